"""AE titles: XNAT's table (full match), what is wrong with the others, and any text at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidAETitle
from engine.model.peer import AETitle

XNAT_PATTERN = re.compile(r"(?=[^\\]*[^\s\\]+$)(?=^[^\s\\]+[^\\]*)[ -~]{1,16}")

# From XNAT's conformance rows; surrounding spaces are trimmed before, as its dialog does.
ROWS = [
    ("XNAT", True),
    ("xnat", True),
    ("A", True),
    ("A B", True),
    ("A\\B", False),
    ("1234567890123456", True),
    ("12345678901234567", False),
    ("", False),
    ("A@B", True),
    ("A:B", True),
    ("é", False),
    ("A\tB", False),
    ("A\n", False),
]


@pytest.mark.parametrize(("text", "ok"), ROWS)
def test_what_is_an_ae_title_agrees_with_xnat(text: str, ok: bool) -> None:
    if ok:
        assert AETitle.parse(text) == text
    else:
        with pytest.raises(InvalidAETitle):
            AETitle.parse(text)


@pytest.mark.parametrize("text", [" A", "A ", "  A  "])
def test_surrounding_spaces_are_padding_and_not_part_of_the_title(text: str) -> None:
    assert AETitle.parse(text) == "A"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("A" * 17, "is longer than 16 characters (17)"),
        ("A\\B", "contains a backslash, which separates values in DICOM"),
        ("A\tB", "contains U+0009, which is not printable ASCII"),
        ("\tA", "contains U+0009, which is not printable ASCII"),
        ("Ä", "contains U+00C4, which is not printable ASCII"),
        ("A\x00", "contains U+0000, which is not printable ASCII"),
        ("A\x7f", "contains U+007F, which is not printable ASCII"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InvalidAETitle) as caught:
        AETitle.parse(text, "called")
    (problem,) = caught.value.problems
    assert (problem.field, problem.value, problem.message) == ("called", text, message)
    assert problem.remedy


def test_titles_that_differ_in_case_are_different_titles() -> None:
    assert AETitle.parse("ct1") != AETitle.parse("CT1")


@given(st.text(max_size=20))
def test_any_text_is_a_title_exactly_if_xnats_pattern_matches_it_trimmed(text: str) -> None:
    expected = XNAT_PATTERN.fullmatch(text.strip(" ")) is not None
    try:
        title = AETitle.parse(text)
    except InvalidAETitle as error:
        assert not expected
        assert error.problems[0].message
    else:
        assert expected
        assert AETitle.parse(title) == title == text.strip(" ")
