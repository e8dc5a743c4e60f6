"""Values that tell who a patient is, found again where no tag says so."""

from __future__ import annotations

import pytest

from engine.model.identity import (
    MASK,
    NO_VALUES,
    IdentifyingValue,
    IdentifyingValues,
    identifies_anywhere,
)

KNOWN = IdentifyingValues(
    (
        IdentifyingValue("Doe^Jane^^Dr", "PN"),
        IdentifyingValue("PAT-4711", "LO"),
        IdentifyingValue("7", "SH"),
        IdentifyingValue("Was seen in the ward after a fall at home", "LT"),
        IdentifyingValue("Huber", "LO", True),
        IdentifyingValue("512", "IS", True),
        IdentifyingValue("yes", "CS", True),
    )
)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("Doe^Jane^^Dr", MASK),
        ("doe^jane^^dr ", MASK),
        ("seen by JANE today", f"seen by {MASK} today"),
        ("Doe, Jane", f"{MASK}, {MASK}"),
        ("CANDOE", "CANDOE"),
        ("x-pat-4711-y", f"x-{MASK}-y"),
        ("7", MASK),
        ("17", "17"),
        ("at Hubers", f"at {MASK}s"),
        ("512", "512"),
        ("yes", "yes"),
        ("", ""),
    ],
)
def test_a_value_is_masked_wherever_it_stands(text: str, hidden: str) -> None:
    assert KNOWN.hide(text) == hidden


@pytest.mark.parametrize(
    ("text", "told"),
    [("PAT-4711", True), ("4711", True), ("711", False), ("the ward", False), ("BRAIN", False)],
)
def test_a_part_of_a_value_tells_it_too_unless_it_is_of_a_long_text(text: str, told: bool) -> None:
    assert KNOWN.appear_in(text) is told


def test_of_a_path_only_the_names_of_creators_say_anything() -> None:
    known = IdentifyingValues((IdentifyingValue("0010", "LO"), IdentifyingValue("Doe", "PN")))
    assert known.hide_in_path("(0010,0010)") == "(0010,0010)"
    assert known.hide_in_path("(0011,{ACME DOE}10)") == f"(0011,{{ACME {MASK}}}10)"


def test_an_object_that_says_very_much_costs_little_and_hides_its_patient_all_the_same() -> None:
    private = [IdentifyingValue(f"{number:05d}{'x' * 2_000}", "LO", True) for number in range(900)]
    known = IdentifyingValues((*private, IdentifyingValue("Doe^Jane", "PN")))
    assert known.hide("Jane Doe") == f"{MASK} {MASK}"
    assert known.appear_in(private[0].text)


def test_where_nothing_is_known_nothing_is_hidden() -> None:
    assert NO_VALUES.hide("Doe^Jane") == "Doe^Jane"
    assert not NO_VALUES.appear_in("Doe^Jane")


@pytest.mark.parametrize(
    ("tag", "vr", "gives_away"),
    [
        (0x00100010, "PN", True),
        (0x00100030, "DA", True),
        (0x00400244, "DA", False),
        (0x00081030, "LO", False),
        (0x00191008, "LO", True),
        (0x00190010, "LO", False),
    ],
)
def test_dates_give_a_person_away_only_where_they_are_the_patients(
    tag: int, vr: str, gives_away: bool
) -> None:
    assert identifies_anywhere(tag, vr) is gives_away
