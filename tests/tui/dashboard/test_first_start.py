"""The steps of the first start, and when they are shown."""

from dataclasses import replace

from engine.api import AssociationEnd
from engine.metrics import Totals
from tests.fakes import busy, empty
from tui.dashboard.first_start import first_steps, is_first_start
from tui.dashboard.panels import steps_drawn
from tui.theme import DARK, palette_of


def test_steps_are_ticked_as_they_are_done_until_an_object_has_come() -> None:
    new = replace(empty().current, has_anonymization=False)
    assert is_first_start(new)
    assert [step.is_done for step in first_steps(new)] == [False] * 4
    lines = [line.plain.rstrip() for line in steps_drawn(new, palette_of(DARK), 38)]
    assert lines == [
        "○ Receiver       n creates one",
        "○ Project        6 Projects, then n",
        "○ First sender   after the receiver",
        "○ Anonymization  6 there, if needed",
    ]
    with_projects = replace(new, projects=2)
    assert [step.is_done for step in first_steps(with_projects)] == [False, True, False, False]
    receivers = tuple(replace(s, last_object_at=None) for s in busy().current.receivers)
    listening = replace(with_projects, receivers=receivers, has_anonymization=True)
    assert [step.is_done for step in first_steps(listening)] == [True, True, False, True]
    assert first_steps(listening)[2].help == "what to type there"
    ended = busy().current.ended_associations
    rejected = tuple(a for a in ended if a.end is AssociationEnd.REJECTED)
    refused = replace(listening, ended_associations=rejected)
    assert first_steps(refused)[2].help == "rejected; w: why"
    called = replace(listening, ended_associations=ended)
    assert all(step.is_done for step in first_steps(called))
    assert is_first_start(called)
    assert not is_first_start(replace(called, totals=Totals(received=1)))
    assert not is_first_start(replace(new, sessions_receiving=1))
    assert not is_first_start(busy().current)
