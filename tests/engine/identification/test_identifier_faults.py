"""Receivers that can't use their identifier don't listen, and say why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.identification.builtin import FixedProjectSubject
from engine.identification.installed import IdentifierFaults
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierField, IdentifierInfo
from tests.fakes import FixedClock, make_receiver

if TYPE_CHECKING:
    from engine.events import Event
    from engine.model.receiver import Receiver

BROKEN = IdentifierInfo("broken", "broken", can_route=False, error="ImportError: no module 'x'")
INSTALLED = (*DEFAULT_IDENTIFIERS, FixedProjectSubject.info, BROKEN)
FIXED = {"identifier": "fixedProjectSubject"}
SETTINGS = (("project", "P"), ("subject", "S1"))
GOOD = make_receiver(1)


class Faults(IdentifierFaults):
    def __init__(self) -> None:
        self.told: list[Event] = []
        self.clock = FixedClock()
        super().__init__(INSTALLED, self.clock, self.told.append)


def failing(**changes: Any) -> Receiver:
    return make_receiver(2, "OTHER", 8105, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identifier": "gone"}, "its identifier specifies an unknown DICOM Object Identifier"),
        ({"identifier": "broken"}, "its identifier broken can't be used: ImportError: no module"),
        (FIXED, "its identifier_settings.project is empty"),
        (
            {**FIXED, "identifier_settings": (*SETTINGS, ("more", "x"))},
            "its identifier_settings.more is not known to the identifier fixedProjectSubject",
        ),
        (
            {**FIXED, "identifier_settings": SETTINGS, "routing_enabled": True},
            "its identifier fixedProjectSubject does not support custom routing",
        ),
    ],
)
def test_a_receiver_that_can_not_use_its_identifier_is_disabled_with_a_reason(
    changes: dict[str, Any], reason: str
) -> None:
    faults, bad = Faults(), failing(**changes)
    assert faults.sort_out([GOOD, bad]) == (GOOD, replace(bad, enabled=False))
    failure = faults.of(bad)
    assert failure is not None
    assert failure.reason.startswith(reason)
    assert failure.remedy
    assert faults.of(GOOD) is None
    assert [event.sentence() for event in faults.told] == [
        f"can't listen: {failure.reason}; {failure.remedy}"
    ]


def test_what_a_plugin_says_of_a_setting_is_in_no_event() -> None:
    field = IdentifierField("key", "Key", "write a key", check=lambda text: f"{text} is too short")
    info = IdentifierInfo("acme", "Acme", can_route=False, fields=(field,), origin="acme 2.5")
    told: list[Event] = []
    faults = IdentifierFaults([info], FixedClock(), told.append)
    faults.sort_out([failing(identifier="acme", identifier_settings=(("key", "S3CRET"),))])
    assert [event.sentence() for event in told] == [
        "can't listen: its identifier_settings.key is not acceptable to the identifier; write a key"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {**FIXED, "identifier_settings": SETTINGS},
        {"identifier": "gone", "enabled": False},
        {"routing_enabled": True, "project_routing": "(0010,0010):(.*)"},
    ],
)
def test_others_are_served_as_they_are(changes: dict[str, Any]) -> None:
    faults, receiver = Faults(), failing(**changes)
    assert faults.sort_out([receiver]) == (receiver,)
    assert (faults.of(receiver), faults.told) == (None, [])


def test_the_same_reason_is_told_once_and_dates_from_then() -> None:
    faults, bad = Faults(), failing(identifier="gone")
    faults.sort_out([bad])
    before = faults.of(bad)
    faults.clock.advance(60)
    faults.sort_out([replace(bad, port=8106)])
    assert faults.of(bad) == before
    assert len(faults.told) == 1
    faults.sort_out([failing(identifier="broken")])
    after = faults.of(bad)
    assert before is not None
    assert after is not None
    assert (after.since - before.since).total_seconds() == 60


def test_a_receiver_that_was_mended_has_no_fault_any_more() -> None:
    faults, bad = Faults(), failing(identifier="gone")
    faults.sort_out([bad])
    mended = failing()
    assert faults.sort_out([mended]) == (mended,)
    assert faults.of(mended) is None
