"""`RemoteEngine`: what it does while its engine is gone, comes back, or is another version."""

from __future__ import annotations

import inspect
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from engine import EngineView
from engine.events import ReceiverFailed, Severity
from engine.events.event import UnknownEvent
from engine.remote import channel, client, routes
from engine.remote.client import BackgroundPoller, RemoteEngine
from engine.remote.failures import EngineSilent, ReadOnly
from engine.remote.protocol import STREAMED, groups, methods
from tests.fakes import FakeEngine, FixedClock, busy
from tests.serving import attached, connect, remote, served

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.events import Listener

FAILED = ReceiverFailed(receiver="PET:8106", reason="address in use", remedy="stop that program")
LONG_SECONDS = 10


def test_a_remote_engine_has_every_method_and_group_of_the_view(tmp_path: Path) -> None:
    with remote(tmp_path / "control.sock") as engine:
        for method in methods().values():
            assert inspect.signature(method.of(engine.view)) == method.signature
        assert set(groups(EngineView)) <= set(dir(engine.view))
        for name in STREAMED:
            assert callable(getattr(engine.view, name))


def test_arguments_may_be_given_by_place_or_by_name(tmp_path: Path) -> None:
    engine = busy()
    with attached(engine, tmp_path / "control.sock") as view:
        assert view.events_since(3, 2) == view.events_since(sequence=3, limit=2)
        with pytest.raises(TypeError):
            view.events_since(1, 2, 3)  # type: ignore[call-arg]


def test_an_engine_that_is_gone_is_silent_and_found_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, clock = tmp_path / "control.sock", FixedClock()
    monkeypatch.setattr(channel, "time", clock)
    engine = busy()
    with remote(file) as reached:
        with pytest.raises(EngineSilent):
            reached.view.snapshot()
        with pytest.raises(EngineSilent) as caught:
            reached.view.undo("anna")
        assert (caught.value.remedy[:24], caught.value.exit_code) == ("the request was not sent", 8)
        for _ in range(2):
            with served(engine, file):
                with pytest.raises(EngineSilent, match="can't be reached"):
                    reached.view.snapshot()
                clock.advance(channel.LONGEST_PAUSE_SECONDS)
                assert reached.view.snapshot() == engine.current
            with pytest.raises(EngineSilent):
                reached.view.snapshot()
    assert engine.calls == []


class Hanging(FakeEngine):
    """Answers nothing until it may."""

    def __init__(self) -> None:
        super().__init__(busy().current)
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def snapshot(self) -> Any:
        self.may_answer.wait(10)
        return super().snapshot()

    def undo(self, actor: str) -> None:
        self.is_asked.set()
        self.may_answer.wait(10)


def test_a_look_at_an_engine_that_hangs_costs_no_time_and_is_answered_later(tmp_path: Path) -> None:
    engine = Hanging()
    reached = RemoteEngine(tmp_path / "control.sock", patience_seconds=0.05)
    with served(engine, tmp_path / "control.sock"):
        with pytest.raises(EngineSilent, match="not answered yet"):
            reached.view.snapshot()
        reached._poller._patience_seconds = LONG_SECONDS
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(EngineSilent, match="not answered yet"):
                reached.view.snapshot()
        assert time.monotonic() - began < LONG_SECONDS
        _, answer = reached._poller._asked["snapshot_changes"]
        engine.may_answer.set()
        answer.exception(10)
        assert reached.view.snapshot() == engine.current
        reached.close()


def test_closing_wakes_who_waits_for_an_answer(tmp_path: Path) -> None:
    engine = Hanging()
    reached = RemoteEngine(tmp_path / "control.sock")
    errors: list[EngineSilent] = []

    def ask() -> None:
        try:
            reached.view.undo("anna")
        except EngineSilent as silent:
            errors.append(silent)

    with served(engine, tmp_path / "control.sock"):
        waiting = threading.Thread(target=ask)
        waiting.start()
        assert engine.is_asked.wait(10)
        reached.close()
        waiting.join(5)
        engine.may_answer.set()
    assert not waiting.is_alive()
    assert "check whether the request was carried out" in errors[0].remedy


class Heard(FakeEngine):
    """Says when somebody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.is_heard = threading.Event()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        unsubscribe = super().subscribe(listener)
        self.is_heard.set()
        return unsubscribe


def test_news_arrive_when_they_happen_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.001)
    file = tmp_path / "control.sock"
    heard: list[str] = []
    told = threading.Event()

    def hear(recorded: Any) -> None:
        heard.append(recorded.event.sentence())
        told.set()

    with remote(file) as reached:
        unsubscribe = reached.view.subscribe(hear)
        for number in (1, 2):
            engine = Heard()
            with served(engine, file):
                assert engine.is_heard.wait(15)
                engine.emit(FAILED)
                assert told.wait(10)
                told.clear()
                assert len(heard) == number
        unsubscribe()
    assert heard == [FAILED.sentence()] * 2


def test_an_engine_of_another_version_can_be_seen_and_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = busy()
    with attached(engine, tmp_path / "control.sock") as view:
        assert view.snapshot().read_only == ""
        monkeypatch.setattr(routes, "fingerprint", lambda: "another")
        monkeypatch.setattr(routes, "__version__", "9.9.9")
        assert "9.9.9" in view.snapshot().read_only
        with pytest.raises(ReadOnly, match=r"9\.9\.9"):
            view.undo("anna")
        assert view.projects() == ()
        monkeypatch.undo()
        assert view.snapshot().read_only == ""
        view.undo("anna")
    assert len(engine.named("undo")) == 1


def test_what_a_newer_engine_adds_is_left_out_and_its_events_are_told_in_its_words() -> None:
    snapshot = methods()["snapshot"].result
    record = json.loads(snapshot.dump(busy().current)) | {"colour": "red"}
    assert snapshot.load(json.dumps(record).encode()) == busy().current
    event = {"kind": "MoonRisen", "severity": "WARN", "topic": "sky", "message": "it rose", "x": 1}
    page = {"events": [{"sequence": 1, "at": "2026-08-24T14:03:22Z", "event": event}],
            "next_sequence": 2, "dropped": 0}  # fmt: skip
    (recorded,) = methods()["events_since"].result.load(json.dumps(page).encode()).events
    assert isinstance(recorded.event, UnknownEvent)
    assert (recorded.event.sentence(), recorded.event.severity) == ("it rose", Severity.WARNING)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"HELO\r\n"])
def test_what_is_no_engine_is_called_silent(tmp_path: Path, answer: bytes) -> None:
    file = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening, remote(file) as engine:
        listening.bind(str(file))
        listening.listen()

        def reply() -> None:
            with listening.accept()[0] as accepted:
                accepted.recv(4096)
                accepted.sendall(answer)

        replying = threading.Thread(target=reply)
        replying.start()
        with pytest.raises(EngineSilent):
            engine.meet()
        replying.join()


def test_another_question_does_not_take_the_answer_to_an_earlier_one() -> None:
    may_answer = threading.Event()

    def ask(path: str, arguments: bytes) -> bytes:
        may_answer.wait(10)
        return path.encode() + arguments

    looks = BackgroundPoller(ask, patience_seconds=0.02)
    with pytest.raises(EngineSilent):
        looks.poll("events", b"5")
    may_answer.set()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert looks.poll("events", b"0") == b"events0"
            break
        except EngineSilent:
            continue
    looks.close()


def test_a_connection_that_was_left_alone_is_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "control.sock"
    engine = busy()
    with remote(file) as reached:
        with served(engine, file):
            reached.view.projects()
        with served(engine, file):
            reached.view.undo("anna")
            with connect(file):
                reached.view.undo("anna")
    assert len(engine.named("undo")) == 2
