"""Identifiers of others: what goes wrong in them fails one object, and names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import IntakeError, OutOfResources, ProcessingFailed, RoutingFailed
from engine.identification.evaluation import RoutingEvaluation
from engine.model.identity import Decision, Identity
from engine.model.plugins import IdentifierInfo
from engine.model.project import Project, ProjectRegistry
from engine.plugins.loading import GuardedIdentifier
from tests.engine.identification.identifying import header_of, routing_of
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from engine.events import Event

PROJECTS = ProjectRegistry((Project("P", aliases=("alias",)),))
IDENTITY = Identity(Decision("P", ""), Decision("S1", ""), Decision("E1", ""))


class Acme:
    info = IdentifierInfo("acme", "Acme", can_route=False)
    tags: frozenset[int] = frozenset()
    is_settled_by_header = True

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome  # type: ignore[no-any-return]


def identified(outcome: Any, report: Any = print) -> Identity:
    evaluation = RoutingEvaluation(header_of(PatientName="Doe^Jane"), routing_of(projects=PROJECTS))
    return GuardedIdentifier(Acme(outcome), report, FixedClock()).identify(evaluation)


def decided(project: Any = "P", subject: Any = "S1", session: Any = "E1", **more: Any) -> Identity:
    return Identity(Decision(project, ""), Decision(subject, ""), Decision(session, ""), **more)


def test_an_identity_that_can_be_is_passed_on() -> None:
    assert identified(IDENTITY) == IDENTITY
    nothing = decided(None, None, None)
    assert identified(nothing) == nothing


def test_labels_are_made_safe() -> None:
    identity = identified(decided(subject="../../etc", session="a\x1b[2J\nb"))
    assert (identity.subject.value, identity.session.value) == ("______etc", "a__2J_b")


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (ValueError("Doe^Jane"), "ValueError in test_guarded.py line"),
        (SystemExit(3), "SystemExit in test_guarded.py line"),
        (MemoryError(), "MemoryError in test_guarded.py line"),
        (KeyboardInterrupt(), "KeyboardInterrupt in test_guarded.py line"),
        (None, "no Identity was returned"),
        (("P", "S1", "E1"), "no Identity was returned"),
        (decided("NOPE"), "the project does not exist"),
        (decided("alias"), "the project does not exist"),
        (decided("../P"), "the project does not exist"),
        (decided(subject=3), "project, subject or session is no Decision"),
        (Identity("P", "S1", "E1"), "project, subject or session is no Decision"),  # type: ignore[arg-type]
        (decided(auto_archive="yes"), "auto_archive or warning is of the wrong kind"),
        (decided(warning=None), "auto_archive or warning is of the wrong kind"),
    ],
)
def test_a_failure_names_the_identifier_and_nothing_of_the_object(outcome: Any, why: str) -> None:
    with pytest.raises(ProcessingFailed) as caught:
        identified(outcome)
    assert caught.value.status == 0x0110
    assert caught.value.detail.startswith(f"identifier acme failed: {why}")
    assert "Doe" not in caught.value.detail


@pytest.mark.parametrize("error", [RoutingFailed("no label"), OutOfResources("full")])
def test_errors_that_the_engine_knows_keep_their_status(error: IntakeError) -> None:
    with pytest.raises(type(error)) as caught:
        identified(error)
    assert caught.value is error


def test_a_slow_identifier_is_told_of_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 0.7
        return now[0]

    monkeypatch.setattr("engine.plugins.loading.monotonic", monotonic)
    told: list[Event] = []
    clock = FixedClock()
    guarded = GuardedIdentifier(Acme(IDENTITY), told.append, clock)
    evaluation = RoutingEvaluation(header_of(), routing_of(projects=PROJECTS))
    for seconds in (0, 59, 1):
        clock.advance(seconds)
        guarded.identify(evaluation)
    assert [event.sentence() for event in told] == ["identifier acme took 0.7 s for one object"] * 2
    assert {event.receiver for event in told} == {"XNAT:8104"}


def test_a_fast_identifier_is_not_told_of() -> None:
    told: list[Event] = []
    identified(IDENTITY, told.append)
    assert told == []
