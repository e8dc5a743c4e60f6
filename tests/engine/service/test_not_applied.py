"""What is told of options without effect: once, for all receivers, and louder if it is news."""

from __future__ import annotations

import pytest

from engine.events import (
    AnonymizationNotApplied,
    AnonymizationOutOfForce,
    Event,
    OptionNotApplied,
    Severity,
)
from engine.model.anonymization import SiteScript
from engine.model.configuration import Configuration
from engine.model.site import SiteSettings
from engine.service.states import settings_without_effect
from tests.running import make_receiver

A = make_receiver("A", 104)
B = make_receiver("B", 104)
OFF = make_receiver("OFF", 104, anonymization=False)
ODD = make_receiver("ODD", 104, anonymization=False, custom_processing=True, file_namer="gone")
SCRIPT = SiteSettings(script=SiteScript(enabled=True, text='version "6.1"\n'))
NONE = Configuration(receivers=(A, B, OFF))
ALL = Configuration(receivers=(A, B, OFF), site=SCRIPT)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, NONE, [AnonymizationNotApplied(receivers=("A:104", "B:104"))]),
        (None, ALL, []),
        (NONE, NONE, []),
        (NONE, ALL, []),
        (ALL, NONE, [AnonymizationOutOfForce(receivers=("A:104", "B:104"))]),
        (Configuration(receivers=(A,)), NONE, [AnonymizationNotApplied(receivers=("B:104",))]),
        (NONE, Configuration(receivers=(A,)), []),
    ],
)
def test_one_event_names_all_receivers_whose_objects_are_left_as_received(
    before: Configuration | None, after: Configuration, told: list[Event]
) -> None:
    assert list(settings_without_effect(before, after, ())) == told


def test_only_a_script_that_is_gone_is_a_warning() -> None:
    assert AnonymizationNotApplied.severity is Severity.INFO
    assert AnonymizationOutOfForce.severity is Severity.WARNING


def test_an_option_without_effect_is_told_when_it_comes_and_not_again() -> None:
    odd = Configuration(receivers=(ODD,))
    told = list(settings_without_effect(NONE, odd, ()))
    assert [type(event) for event in told] == [OptionNotApplied, OptionNotApplied]
    assert {event.receiver for event in told} == {"ODD:104"}
    assert list(settings_without_effect(odd, odd, ())) == []
