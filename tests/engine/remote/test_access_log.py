"""Few events for many requests: who uses the control API, and who was refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.events import ControlRefused, ControlUsed, Event
from engine.events.repeats import FOLDED_WITHIN_SECONDS, KEPT
from engine.remote.host import serve
from engine.remote.routes import REFUSALS_PER_HOUR, AccessLog
from engine.remote.tokens import token_of
from engine.settings import EngineSettings
from tests.fakes import busy
from tests.running import LOGIN, free_port
from tests.serving import ask_tcp, send

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Told:
    """What an access log reports, and the time that it sees."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = 0.0
        self.log = AccessLog(self.events.append, lambda: self.now)

    def refusals(self) -> list[ControlRefused]:
        return [event for event in self.events if isinstance(event, ControlRefused)]


def test_a_use_is_reported_again_only_after_a_pause() -> None:
    told = Told()
    for _ in range(50):
        told.log.used("anna")
        told.now += FOLDED_WITHIN_SECONDS - 1
    told.log.used("bob")
    assert told.events == [ControlUsed(by="anna"), ControlUsed(by="bob")]
    told.now += FOLDED_WITHIN_SECONDS
    told.log.used("anna")
    assert told.events[2:] == [ControlUsed(by="anna")]


def test_refusals_of_one_cause_are_counts() -> None:
    told = Told()
    for _ in range(1_000):
        told.log.refused("192.0.2.7", "no token")
    assert [event.times for event in told.refusals()] == [1, 10, 100, 1_000]
    told.now += FOLDED_WITHIN_SECONDS
    told.log.refused("192.0.2.7", "no token")
    assert told.refusals()[-1].times == 1


def test_strangers_with_many_addresses_cause_few_lines() -> None:
    told = Told()
    for number in range(50_000):
        told.log.refused(f"2001:db8:{number:x}::/64", "no token")
        told.now += 0.01
    assert len(told.refusals()) == REFUSALS_PER_HOUR
    told.now += 3_600
    told.log.refused("192.0.2.7", "no token")
    assert told.refusals()[-1].left_out == 50_000 - REFUSALS_PER_HOUR
    told.log.refused("192.0.2.8", "no token")
    assert told.refusals()[-1].left_out == 0


def test_what_is_remembered_is_limited() -> None:
    told = Told()
    for number in range(3 * KEPT):
        told.log.used(f"user {number}")
        told.log.refused(f"192.0.2.{number}", "no token")
    told.events.clear()
    told.log.used("user 0")
    told.log.used(f"user {3 * KEPT - 1}")
    assert told.events == [ControlUsed(by="user 0")]


def test_of_too_many_causes_the_one_that_did_not_come_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.events.repeats.KEPT", 3)
    told = Told()
    for address in ("a", "b", "c", "a", "a", "d", *"aaaaaaa"):
        told.log.refused(address, "no token")
    assert [(event.address, event.times) for event in told.refusals()] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("d", 1),
        ("a", 10),
    ]
    told.log.refused("c", "no token")
    told.log.refused("b", "no token")
    assert [(event.address, event.times) for event in told.refusals()[5:]] == [("b", 1)]


def test_an_engine_keeps_who_uses_its_control_api_and_who_was_refused(tmp_path: Path) -> None:
    events: list[Event] = []
    port = free_port()
    settings = EngineSettings(tmp_path, control_tcp=str(port))
    end = serve(busy(), settings, report=events.append)
    try:
        other = {"dicomdock-protocol": "other"}
        assert send(settings.control_file, "GET", "/v1/projects")[0] == 200
        assert send(settings.control_file, "POST", "/v1/undo", b"{}", other)[0] == 400
        assert ask_tcp(port, "wrong") == ask_tcp(port, "") == 401
        assert ask_tcp(port, token_of(settings.control_token_file)) == 200
    finally:
        end()
    assert events == [
        ControlUsed(by=LOGIN),
        ControlRefused(address=LOGIN, why="it is another version of dicomdock"),
        ControlRefused(address="127.0.0.1", why="a bearer token is required"),
        ControlUsed(by="token from 127.0.0.1"),
    ]
    assert token_of(settings.control_token_file) not in json.dumps([e.to_record() for e in events])
