"""Live configuration: whatever is changed, and however, only that changes, and at once."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydicom.uid import CTImageStorage

from engine.api import ReceiverState
from engine.app.demo.sender import CT_SCANNER, study
from engine.config.store import ConfigurationStore
from engine.errors import CorruptConfiguration, InvalidReceiver
from engine.events import AssociationAborted
from engine.host.clock import SystemClock
from engine.model.peer import AETitle
from engine.settings import Durability, EngineSettings
from tests.caller import call
from tests.engine.service.test_service import NotingEngine
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    configure,
    free_port,
    make_receiver,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

    from engine.model.receiver import Receiver

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
STEADY, ALONE, STRANGER, CHECKER = "STEADY", "ALONE", "STRANGER", "CHECKER"
TITLES = ("ALPHA", "BETA", "GAMMA")
WHITELISTS = ((), (CHECKER,), ("SOMEBODY",), (f"{CHECKER}@{LOOPBACK}", "SOMEBODY"))
IDLE_STATES = {ReceiverState.DISABLED, ReceiverState.DRAINING}
PATIENCE = 120
"""Seconds after which a sender is stuck, however busy the machine."""


def small_image(number: int) -> Dataset:
    ds = next(study(CT_SCANNER, number, "NEURO-01", NOW))
    ds.Rows = ds.Columns = 4
    ds.PixelData = bytes(32)
    return ds


class Sender:
    """Sends in the background until it is stopped, and remembers whatever went wrong."""

    def __init__(self, port: int, called: str, objects_per_association: int) -> None:
        self._to = Destination(LOOPBACK, port, called, f"TO_{called}")
        self._objects = objects_per_association
        self._progress = threading.Condition()
        self._stopping = False
        self.may_associate = threading.Lock()
        """Held by a sender as long as its association, or by whoever wants none to begin."""
        self.sent = 0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run, name=f"sender to {called}")
        self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def require_progress(self) -> None:
        """Wait for another object to be answered with success."""
        with self._progress:
            before = self.sent
            moved = self._progress.wait_for(lambda: self.sent > before or self.failures, PATIENCE)
        assert not self.failures, self.failures
        assert moved, "the sender is stuck"

    def _run(self) -> None:
        ds = small_image(self._to.port)
        while not self._stopping and not self.failures:
            with self.may_associate:
                self._associate(ds)

    def _associate(self, ds: Dataset) -> None:
        with SendingAssociation(
            self._to, [CTImageStorage], timeout_seconds=PATIENCE
        ) as association:
            if not association.is_established:
                self._fail("no association")
                return
            for _ in range(self._objects):
                if self._stopping or self.failures:
                    return
                status = association.send(ds)
                if status != 0:
                    self._fail(f"status {status}")
                with self._progress:
                    self.sent += 1
                    self._progress.notify_all()

    def _fail(self, why: str) -> None:
        with self._progress:
            self.failures.append(f"{self._to.called_ae_title} after {self.sent} objects: {why}")
            self._progress.notify_all()


class Place:
    """The ports of one test; the receivers that are not to be touched have the first two."""

    def __init__(self) -> None:
        self.shared, self.own = free_port(), free_port()
        self.pool = (self.shared, free_port(), free_port())


PLACE = Place()
which = st.integers(0, 20)
ports = st.sampled_from(range(len(PLACE.pool)))
titles = st.sampled_from(TITLES)
whitelists = st.sampled_from(WHITELISTS)


class LiveConfiguration(RuleBasedStateMachine):
    """Random changes beside two receivers that are being sent to and never touched."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="live-"))
        self.engine_settings = EngineSettings(self.folder / "data", durability=Durability.NONE)
        steady, alone = make_receiver(STEADY, PLACE.shared), make_receiver(ALONE, PLACE.own)
        configure(self.engine_settings.data_dir, steady, alone)
        self.engine = NotingEngine(self.engine_settings)
        self.engine.start()
        self.untouched = [status.receiver for status in self.engine.snapshot().receivers]
        self.expected: dict[int, Receiver] = {}
        self.allowed = True
        self.lasting = Sender(PLACE.shared, STEADY, objects_per_association=1_000_000)
        self.returning = Sender(PLACE.own, ALONE, objects_per_association=2)

    def teardown(self) -> None:
        if not self.allowed:
            self.returning.may_associate.release()
            self.returning.failures.append("the test is over")
        aborted = self.engine.told(AssociationAborted)
        for sender in (self.lasting, self.returning):
            sender.stop()
        self.engine.stop(drain_seconds=0)
        shutil.rmtree(self.folder)
        labels = {receiver.label for receiver in self.untouched}
        assert not [event for event in aborted if event.receiver in labels]

    # What is expected

    def receivers(self) -> list[Receiver]:
        return [*self.untouched, *self.expected.values()]

    def is_taken(self, title: str, port: int, but: int = 0) -> bool:
        return any((r.ae_title, r.port) == (title, port) and r.id != but for r in self.receivers())

    def answers(self, port: int) -> dict[str, str]:
        """Return what callers on a port should get to hear, by called AE title."""
        titles = (ALONE, STRANGER) if port == PLACE.own else (*TITLES, STEADY)
        enabled = {str(r.ae_title): r for r in self.receivers() if r.port == port and r.enabled}
        if not enabled or not self.allowed:
            return dict.fromkeys(titles, "closed")
        return {title: _answer(enabled.get(title)) for title in titles}

    @invariant()
    def the_ports_and_what_they_answer_are_those_of_the_enabled_receivers(self) -> None:
        for port in (*PLACE.pool, PLACE.own):
            wanted = self.answers(port)
            assert {title: call(port, title, CHECKER) for title in wanted} == wanted

    @invariant()
    def the_snapshot_says_so(self) -> None:
        snapshot = self.engine.snapshot()
        assert sorted(s.receiver.label for s in snapshot.receivers) == sorted(
            receiver.label for receiver in self.receivers()
        )
        by_id = {receiver.id: receiver for receiver in self.receivers()}
        for status in snapshot.receivers:
            assert status.receiver == by_id[status.receiver.id]
            assert status.state in self.states(status.receiver), status

    def states(self, receiver: Receiver) -> set[ReceiverState]:
        if not receiver.enabled:
            return IDLE_STATES
        return {ReceiverState.LISTENING if self.allowed else ReceiverState.NOT_ALLOWED}

    @invariant()
    def the_senders_go_on(self) -> None:
        self.lasting.require_progress()
        if self.allowed:
            self.returning.require_progress()

    # What is done

    def pick(self, number: int) -> Receiver:
        return list(self.expected.values())[number % len(self.expected)]

    def save(self, receiver: Receiver) -> None:
        if self.is_taken(receiver.ae_title, receiver.port, receiver.id):
            with pytest.raises(InvalidReceiver):
                self.engine.save_receiver(receiver, "anna")
            return
        saved = self.engine.save_receiver(receiver, "anna")
        self.expected[saved.id] = saved

    @rule(title=titles, port=ports, enabled=st.booleans(), whitelist=whitelists)
    def add(self, title: str, port: int, enabled: bool, whitelist: tuple[str, ...]) -> None:
        rules = {"whitelist_enabled": bool(whitelist), "whitelist": whitelist}
        self.save(make_receiver(title, PLACE.pool[port], enabled=enabled, **rules))

    @precondition(lambda self: self.expected)
    @rule(number=which, anonymization=st.booleans(), direct_archive=st.booleans())
    def edit_flags(self, number: int, anonymization: bool, direct_archive: bool) -> None:
        receiver = self.pick(number)
        self.save(replace(receiver, anonymization=anonymization, direct_archive=direct_archive))

    @precondition(lambda self: self.expected)
    @rule(number=which, whitelist=whitelists, enabled=st.booleans())
    def edit_whitelist(self, number: int, whitelist: tuple[str, ...], enabled: bool) -> None:
        receiver = replace(self.pick(number), whitelist_enabled=enabled, whitelist=whitelist)
        self.save(receiver)

    @precondition(lambda self: self.expected)
    @rule(number=which, title=titles)
    def rename(self, number: int, title: str) -> None:
        self.save(replace(self.pick(number), ae_title=AETitle(title)))

    @precondition(lambda self: self.expected)
    @rule(number=which, port=ports)
    def move(self, number: int, port: int) -> None:
        self.save(replace(self.pick(number), port=PLACE.pool[port]))

    @precondition(lambda self: self.expected)
    @rule(number=which, enabled=st.booleans())
    def enable_or_disable(self, number: int, enabled: bool) -> None:
        receiver_id = self.pick(number).id
        self.expected[receiver_id] = self.engine.set_enabled(receiver_id, enabled, "anna")

    @precondition(lambda self: self.expected)
    @rule(number=which)
    def delete(self, number: int) -> None:
        receiver = self.expected.pop(self.pick(number).id)
        self.engine.delete_receiver(receiver.id, "anna")

    @rule()
    def flip_the_switch_over_all(self) -> None:
        if self.allowed:
            self.returning.may_associate.acquire()
        self.allowed = not self.allowed
        self.engine.set_site(replace(self.engine.site(), receivers_allowed=self.allowed), "anna")
        if self.allowed:
            self.returning.may_associate.release()

    @precondition(lambda self: self.expected)
    @rule(number=which, in_place=st.booleans())
    def enable_or_disable_by_hand(self, number: int, in_place: bool) -> None:
        receiver = self.pick(number)
        receiver = replace(receiver, enabled=not receiver.enabled)
        self.expected[receiver.id] = receiver

        def change(tables: dict[str, Any]) -> None:
            tables["receivers"][str(receiver.id)]["enabled"] = receiver.enabled

        self.edit_by_hand(change, in_place=in_place)

    @rule(title=titles, port=ports, number=which)
    def replace_by_hand(self, title: str, port: int, number: int) -> None:
        """Take one receiver out and put another in, in one go."""
        gone = self.expected.pop(self.pick(number).id) if self.expected else None
        new = make_receiver(title, PLACE.pool[port])
        is_new = not self.is_taken(title, new.port)

        def change(tables: dict[str, Any]) -> None:
            if gone is not None:
                del tables["receivers"][str(gone.id)]
            if is_new:
                number = 1 + next(iter(tables["meta"].values()))["last_receiver_id"]
                record = {"ae_title": title, "port": str(new.port)}
                tables["receivers"][str(number)] = record
                self.expected[number] = replace(new, id=number)

        if gone is not None or is_new:
            self.edit_by_hand(change, in_place=False)

    @rule(garbage=st.sampled_from(["", "{", "[1]", '{"site": {"1": {"port": 1}}}', "\0\1"]))
    def break_by_hand_and_mend(self, garbage: str) -> None:
        file = self.engine_settings.config_file
        good = file.read_text()
        file.write_text(garbage)
        self.engine.wait_until("self.snapshot().configuration_problem")
        self.the_ports_and_what_they_answer_are_those_of_the_enabled_receivers()
        with pytest.raises(CorruptConfiguration):
            self.engine.save_receiver(make_receiver(STRANGER, PLACE.own), "anna")
        file.write_text(good)
        self.engine.wait_until("not self.snapshot().configuration_problem")

    @precondition(lambda self: self.expected)
    @rule(number=which)
    def change_from_another_process(self, number: int) -> None:
        receiver = self.pick(number)
        other = ConfigurationStore(self.engine_settings.config_file, clock=SystemClock())
        configuration, saved = other.set_enabled(receiver.id, not receiver.enabled, "bert")
        self.expected[saved.id] = saved
        self.engine.wait_until(f"self.snapshot().revision == {configuration.revision}")

    def edit_by_hand(self, change: Callable[[dict[str, Any]], None], *, in_place: bool) -> None:
        """Change the file as an editor does and wait until the engine has taken it in."""
        file = self.engine_settings.config_file
        revision = self.engine.snapshot().revision
        tables = json.loads(file.read_text())
        change(tables)
        draft = file if in_place else file.with_name("draft")
        draft.write_text(json.dumps(tables))
        draft.replace(file)
        self.engine.wait_until(f"self.snapshot().revision == {revision + 1}")


def _answer(receiver: Receiver | None) -> str:
    if receiver is None:
        return "1/1/7"
    lines = receiver.whitelist
    is_welcome = not receiver.whitelist_enabled or any(CHECKER in line for line in lines)
    return "answered" if is_welcome else "1/1/3"


@pytest.fixture
def _eager_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watcher report a change after 10 ms instead of 100; hand edits are many here."""
    monkeypatch.setattr("engine.config.watcher._STEP_MS", 10)


@pytest.mark.no_cover  # as of all random tests
@pytest.mark.timeout(400)  # the time to find the shortest sequence, should one fail
@pytest.mark.usefixtures("_eager_watcher")
def test_whatever_is_changed_the_ports_answer_as_configured_and_no_other_association_breaks() -> (
    None
):
    bounded = settings(
        max_examples=6,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(LiveConfiguration, settings=bounded)
