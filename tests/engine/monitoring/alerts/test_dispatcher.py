"""The alert thread: whom it tells, and what of it outlives a failure and a restart."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageUnusable
from engine.events import ReceiverFailed, ReceiverListening
from engine.events.journal import Journal
from engine.events.monitoring import AlertFailed, StorageLow
from engine.host.clock import SystemClock
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.monitoring.alerts import dispatcher, waiting
from engine.monitoring.alerts.dispatcher import AlertDispatcher
from engine.monitoring.alerts.waiting import WaitingAlerts
from engine.state.outbox import NewItem
from tests.engine.monitoring.alerts.test_delivery import FAILED, command, hook
from tests.fakes import FixedClock
from tests.running import WatchedJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.monitoring.alerts.throttle import Alert

LISTENING = ReceiverListening(receiver="CT1:8105", address="127.0.0.1:8105")
GONE = AlertTarget("ops", ("/nowhere",))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long."""
    monkeypatch.setattr(dispatcher, "RETRY_SECONDS", (0.01, 0.01))
    monkeypatch.setattr(dispatcher, "PASS_SECONDS", 0.05)
    monkeypatch.setattr("engine.state.outbox.FIRST_SECONDS", 0.05)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[WaitingAlerts]:
    with WaitingAlerts(tmp_path / "state.sqlite") as outbox:
        yield outbox


@contextmanager
def listening(
    outbox: WaitingAlerts, *targets: AlertTarget, clock: Clock | None = None
) -> Iterator[WatchedJournal]:
    clock = clock or SystemClock()
    journal = WatchedJournal(clock)
    alerts = AlertDispatcher(journal, clock, lambda: AlertSettings(targets), outbox)
    alerts.start()
    try:
        yield journal
    finally:
        alerts.stop()


def fail_to_tell(outbox: WaitingAlerts, *events: ReceiverFailed | ReceiverListening | StorageLow,
                 clock: Clock | None = None) -> None:  # fmt: skip
    """Let alerts of events wait for a target that can't be told."""
    with listening(outbox, GONE, clock=clock) as journal:
        for event in events:
            journal.record(event)
        wait_until_told(journal, len(events))


def wait_until_told(journal: WatchedJournal, times: int = 1) -> list[AlertFailed]:
    with journal.changed:
        assert journal.changed.wait_for(lambda: len(told(journal)) >= times, 20)
    return told(journal)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def told(journal: Journal) -> list[AlertFailed]:
    page = journal.events_since(0, 99)
    return [r.event for r in page.events if isinstance(r.event, AlertFailed)]


def test_an_alert_that_could_not_be_delivered_is_delivered_after_the_next_start(
    outbox: WaitingAlerts,
) -> None:
    fail_to_tell(outbox, FAILED)
    with hook() as server, listening(outbox, AlertTarget("ops", webhook=server.url)) as journal:
        with server.changed:
            assert server.changed.wait_for(lambda: server.told, 20)
        assert told(journal) == []
    assert [(t["event"], t["subject"]) for t in server.told] == [("ReceiverFailed", "CT1:8105")]
    assert outbox.items() == ()


def test_an_outage_is_told_once_and_ends_with_what_waited(outbox: WaitingAlerts) -> None:
    with (
        hook(*[500] * 6) as server,
        listening(outbox, AlertTarget("ops", webhook=server.url)) as journal,
    ):
        journal.record(FAILED)
        with server.changed:
            assert server.changed.wait_for(lambda: len(server.told) == 7, 20)
        assert [event.why for event in told(journal)] == ["the webhook answered 500"]


def test_what_has_ended_is_told_after_what_had_begun(outbox: WaitingAlerts) -> None:
    fail_to_tell(outbox, FAILED, LISTENING)
    with (
        hook() as server,
        listening(outbox, AlertTarget("ops", webhook=server.url)),
        server.changed,
    ):
        assert server.changed.wait_for(lambda: len(server.told) == 2, 20)
    assert [t["resolved"] for t in server.told] == [False, True]


def test_a_new_alert_is_told_after_what_waits_of_the_same_matter(outbox: WaitingAlerts) -> None:
    with hook(*[500] * 3) as server:
        target = AlertTarget("ops", webhook=server.url)
        with listening(outbox, target) as journal:
            journal.record(FAILED)
            wait_until_told(journal)
            journal.record(LISTENING)
            with server.changed:
                assert server.changed.wait_for(lambda: len(server.told) == 5, 20)
    assert [t["resolved"] for t in server.told] == [False] * 4 + [True]


def test_an_alert_that_a_target_does_not_take_holds_up_no_other_matter(
    outbox: WaitingAlerts, tmp_path: Path
) -> None:
    fail_to_tell(outbox, FAILED, StorageLow(free_bytes=1, full_in_seconds=None))
    script = f"test $DICOMDOCK_ALERT = storage && cat >> {tmp_path}/told; echo >> {tmp_path}/called"
    target = AlertTarget("ops", ("/bin/sh", "-c", f"{script}; test $DICOMDOCK_ALERT = storage"))
    with listening(outbox, target):
        wait_for(lambda: len(outbox.items()) == 1)
    (left,) = outbox.items()
    assert left.alert.kind == "receiver"
    assert "StorageLow" in (tmp_path / "told").read_text()


def test_after_a_day_an_alert_is_given_up_and_that_is_told_once(outbox: WaitingAlerts) -> None:
    clock = FixedClock()
    fail_to_tell(outbox, FAILED, StorageLow(free_bytes=1, full_in_seconds=None), clock=clock)
    clock.advance(timedelta(days=1).total_seconds() + 1)
    with (
        hook() as server,
        listening(outbox, AlertTarget("ops", webhook=server.url), clock=clock) as journal,
    ):
        (event,) = wait_until_told(journal)
    assert (event.target, event.why) == ("ops", "2 of its alerts dropped after 24 hours")
    assert server.told == []
    assert outbox.items() == ()


def test_a_target_that_is_gone_or_wants_others_by_now_is_not_told(outbox: WaitingAlerts) -> None:
    for kinds in ((), (AlertKind.STORAGE,)):
        fail_to_tell(outbox, FAILED)
        with hook() as server:
            name = "ops" if kinds else "other"
            with listening(outbox, AlertTarget(name, webhook=server.url, kinds=kinds)) as journal:
                journal.record(ReceiverListening(receiver="CT2:8106", address="127.0.0.1:8106"))
                wait_for(lambda: not outbox.items())
        assert outbox.items() == ()
        assert server.told == []


def test_a_row_that_damage_has_changed_holds_up_nothing(outbox: WaitingAlerts) -> None:
    outbox.add(NewItem(0, None, "", what, "2026-01-01") for what in ("{", "[]", '{"target": 1}'))
    outbox.add([NewItem(0, None, "", '{"target": "ops", "alert": {"odd": 1}}', "2026-01-01")])
    with hook() as server, listening(outbox, AlertTarget("ops", webhook=server.url)) as journal:
        journal.record(FAILED)
        wait_for(lambda: bool(server.told) and not outbox.items())
    assert [t["event"] for t in server.told] == ["ReceiverFailed"]


def test_of_too_many_alerts_the_oldest_is_dropped_and_that_is_told(
    outbox: WaitingAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_WAITING", 2)
    failures = [
        ReceiverFailed(receiver=f"CT{n}:8105", reason="port in use", remedy="") for n in range(3)
    ]
    with listening(outbox, GONE) as journal:
        for event in failures:
            journal.record(event)
        reasons = [event.why for event in wait_until_told(journal, 4)]
    assert reasons.count("too many alerts wait, the oldest was dropped") == 1
    assert [item.alert.subject for item in outbox.items()] == ["CT1:8105", "CT2:8105"]


def test_a_state_database_that_can_not_be_used_keeps_no_alert_from_being_told(
    outbox: WaitingAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[Alert, ...]:
        raise StorageUnusable("the disk is full")

    monkeypatch.setattr(WaitingAlerts, "put", full)
    monkeypatch.setattr(WaitingAlerts, "items", full)
    with hook(500) as server, listening(outbox, AlertTarget("ops", webhook=server.url)) as journal:
        journal.record(FAILED)
        with server.changed:
            assert server.changed.wait_for(lambda: len(server.told) == 2, 20)


def test_an_alert_that_can_not_be_removed_from_the_outbox_is_not_told_again(
    outbox: WaitingAlerts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end, tries = WaitingAlerts.end, iter([True] * 4)

    def full(outbox: WaitingAlerts, *items: int) -> None:
        if next(tries, False):
            raise StorageUnusable("the disk is full")
        end(outbox, *items)

    monkeypatch.setattr(WaitingAlerts, "end", full)
    with hook() as server, listening(outbox, AlertTarget("ops", webhook=server.url)) as journal:
        journal.record(FAILED)
        wait_for(lambda: bool(server.told) and not outbox.items())
    assert len(server.told) == 1
    assert caplog.text.count("the disk is full") == 1


def test_no_secret_of_a_target_is_kept(outbox: WaitingAlerts, tmp_path: Path) -> None:
    with (
        hook(*[500] * 3) as server,
        listening(outbox, AlertTarget("ops", webhook=server.url)) as journal,
    ):
        journal.record(FAILED)
        wait_until_told(journal)
    files = [path.read_bytes() for path in tmp_path.glob("state.sqlite*")]
    assert any(b"port in use" in content for content in files)
    assert not any(b"secret" in content for content in files)


def test_targets_are_told_of_what_they_want_to_hear_and_a_failure_is_tried_again(
    outbox: WaitingAlerts,
) -> None:
    journal = WatchedJournal(SystemClock())
    with hook(500, 500, 204) as server:
        settings = AlertSettings((
            AlertTarget("quiet", ("/nowhere",), kinds=(AlertKind.STORAGE,)),
            AlertTarget("ops", webhook=server.url),
            AlertTarget("gone", ("/nowhere",)),
        ))  # fmt: skip
        alerts = AlertDispatcher(journal, SystemClock(), lambda: settings, outbox)
        alerts.start()
        journal.record(FAILED)
        with journal.changed:
            assert journal.changed.wait_for(lambda: told(journal), 20)
        alerts.stop()
        assert len(server.told) == 3
    (failed,) = told(journal)
    assert failed.target == "gone"


def test_a_stop_gives_a_command_a_moment_and_then_ends_it_with_all_that_it_started(
    tmp_path: Path, outbox: WaitingAlerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MOMENT_SECONDS", 0.1)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    target = command(f"exec >{fifo}; echo begun; sleep 60 & wait")
    journal = WatchedJournal(SystemClock())
    alerts = AlertDispatcher(journal, SystemClock(), lambda: AlertSettings((target,)), outbox)
    alerts.start()
    journal.record(FAILED)
    with fifo.open() as output:
        assert output.readline() == "begun\n"
        alerts.stop()
        assert output.read() == ""  # nobody has it open any more
    with journal.changed:
        assert journal.changed.wait_for(lambda: told(journal), 20)
    (failed,) = told(journal)
    assert failed.why == "the engine stops"


def test_more_events_than_can_wait_are_dropped_and_hold_up_nobody(
    outbox: WaitingAlerts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatcher, "EVENTS_WAITING", 2)
    journal = Journal(SystemClock())
    alerts = AlertDispatcher(journal, SystemClock(), AlertSettings, outbox)
    journal.follow(alerts._offer)  # without its thread, so that nothing is taken out
    for _ in range(3):
        journal.record(FAILED)
    assert "too many events" in caplog.text
