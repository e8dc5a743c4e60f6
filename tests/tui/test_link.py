"""The link: looks on request, posts news from any thread, survives a silent engine."""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.api import EngineView
from engine.errors import EngineError, NotFound
from engine.events import ObjectsStored, ReceiverFailed
from tests.fakes import NOW, FakeEngine, busy
from tui.engine_client import EngineClient, EngineLink, UrgentEvent

if TYPE_CHECKING:
    from textual.message import Message


def _stored(objects: int) -> ObjectsStored:
    return ObjectsStored(receiver="XNAT:8104", objects=objects, duplicates=0, bytes=1)


def _failed(reason: str) -> ReceiverFailed:
    return ReceiverFailed(receiver="PET:8106", reason=reason, remedy="choose another port")


def test_events_are_read_once_and_shown_newest_first() -> None:
    engine = FakeEngine()
    link = EngineLink(engine, lambda message: None)
    engine.record(_stored(1), _stored(2))
    assert [e.sequence for e in link.read().events] == [2, 1]
    engine.record(_stored(3))
    assert [e.sequence for e in link.read().events] == [3, 2, 1]


def test_an_engine_that_was_started_anew_is_read_from_its_first_event_on() -> None:
    engine = busy()
    link = EngineLink(engine, lambda message: None)
    before = link.read().events
    engine.current = replace(engine.current, started_at=NOW)
    engine.events.clear()
    engine.record(_stored(1))
    newest, *kept = link.read().events
    assert newest == engine.events[0]
    assert tuple(kept) == before


def test_a_silent_engine_leaves_the_last_snapshot_and_says_since_when() -> None:
    engine = busy()
    link = EngineLink(engine, lambda message: None)
    link.read()
    engine.silent = OSError("connection refused")
    engine_state = link.read()
    assert engine_state.silent
    assert engine_state.snapshot is engine.current
    assert engine_state.silent_since == NOW


def test_an_engine_that_never_answered_is_silent_without_a_time() -> None:
    link = EngineLink(FakeEngine(silent=OSError("no socket")), lambda message: None)
    assert link.read().silent
    assert link.read().silent_since is None


def test_news_from_an_engine_thread_are_only_posted() -> None:
    engine = FakeEngine()
    posted: list[Message] = []
    link = EngineLink(engine, posted.append)
    link.start()
    thread = threading.Thread(target=engine.emit, args=(_failed("address in use"),))
    thread.start()
    thread.join()
    assert [type(message) for message in posted] == [UrgentEvent]
    link.stop()
    assert engine.listeners == []


def test_the_same_news_is_told_once_a_minute_and_other_news_at_once() -> None:
    engine = FakeEngine()
    posted: list[Message] = []
    EngineLink(engine, posted.append).start()
    engine.emit(_failed("address in use"))
    engine.emit(_failed("address in use"))
    engine.emit(_failed("not permitted"))
    assert len(posted) == 2


async def _refusal(error: Exception) -> EngineError:
    def run(engine: EngineView) -> None:
        raise error

    engine = FakeEngine()
    client = EngineClient(engine, EngineLink(engine, lambda message: None))
    with pytest.raises(EngineError) as refused:
        await client.call("delete XNAT:8104", run, about=1)
    return refused.value


async def test_a_refusal_comes_back_with_its_remedy_and_a_defect_as_one() -> None:
    refused = await _refusal(NotFound("receiver 1 is gone", "look again"))
    assert refused.remedy == "look again"
    broken = await _refusal(KeyError("x"))
    assert broken.detail == "delete XNAT:8104: KeyError: 'x'"
