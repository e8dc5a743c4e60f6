"""An inquiry: the time of an object's rules, and identifiers that decide by themselves."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

import engine.identification.evaluation
from engine.errors import RoutingFailed
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.identifiers import explain
from engine.identification.sources import RuleSource
from engine.model.identity import Attribute, Decision, Identity, Source
from engine.model.plugins import IdentifierInfo
from engine.model.project import Project, ProjectRegistry
from engine.routing import RuleTimeout
from tests.engine.identification.identifying import (
    explained,
    header_of,
    identified,
    receiver_with,
    routing_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

THREE_RULES = "\n".join(["(0008,0060):(MR)"] * 3)
PROJECTS = ProjectRegistry((Project("NEURO"),))


def steps_of(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by this much whenever it is looked at."""
    moments = count(1)
    return lambda: next(moments) * seconds


def test_rules_that_together_work_too_long_fail_the_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine.identification.evaluation, "monotonic", steps_of(1))
    monkeypatch.setattr(engine.identification.evaluation, "thread_time", steps_of(0.03))
    with pytest.raises(RoutingFailed, match="the rules of one object take longer than 50 ms"):
        identified(routing_of(receiver_with(subject=THREE_RULES)))


def test_rules_that_only_waited_for_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.identification.evaluation, "monotonic", steps_of(10))
    identity = identified(routing_of(receiver_with(subject=THREE_RULES)))
    assert identity.subject.value == "Doe_Jane"


def test_the_time_counts_over_all_attributes_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.identification.evaluation, "monotonic", steps_of(1))
    monkeypatch.setattr(engine.identification.evaluation, "thread_time", steps_of(0.03))
    one = "(0008,0060):(MR)"
    assert identified(routing_of(receiver_with(one, one))).subject.value == "Doe_Jane"
    with pytest.raises(RoutingFailed):
        identified(routing_of(receiver_with(one, one, one)))


def test_a_rule_that_runs_out_of_time_only_while_it_is_explained_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def explain(*_: object) -> None:
        raise RuleTimeout("took longer than 10 ms", "simplify it")

    monkeypatch.setattr(RuleSource, "explain", explain)
    found = explained(routing_of(receiver_with(subject="(0008,0060):(MR)\n(0008,0060):(.*)")))
    first, second = found.trace.of(Attribute.SUBJECT)
    assert (first.result, first.why_not) == (None, "took longer than 10 ms")
    assert (second.result, second.why_not) == ("CT", "")


class Fixed:
    """An identifier that takes the project from the receiver and knows no subject."""

    info = IdentifierInfo("fixed", "Fixed project", can_route=False)
    tags = frozenset({0x00200010})
    is_settled_by_header = True

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        project = evaluation.settle(Attribute.PROJECT, "NEURO", "receiver's project")
        subject = evaluation.settle(Attribute.SUBJECT, None, "no subject", "it is not wanted")
        return Identity(project, subject, evaluation.session(), evaluation.auto_archive())


def test_what_an_identifier_settles_by_itself_is_a_step_like_others() -> None:
    found = explain(Fixed(), header_of(), routing_of(projects=PROJECTS))
    assert found.identity is not None
    assert found.identity.project == Decision("NEURO", "receiver's project")
    assert found.identity.labels == ("NEURO", "", "P-0001")
    project, subject = found.trace.steps[:2]
    assert (project.source, project.rule, project.element) == (
        Source.IDENTIFIER,
        "receiver's project",
        "",
    )
    assert (project.result, project.why_not) == ("NEURO", "")
    assert (subject.result, subject.why_not) == (None, "it is not wanted")
    assert found.trace.deciding(Attribute.PROJECT) is project


def test_steps_are_noted_only_on_request() -> None:
    evaluation = RoutingEvaluation(header_of(), routing_of(projects=PROJECTS))
    assert Fixed().identify(evaluation).project.value == "NEURO"
    assert evaluation.trace.steps == ()
