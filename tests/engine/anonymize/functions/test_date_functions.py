"""Dates that move, and patients that get younger (dicomedit 9.4)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.anonymize import ScriptRuntimeError
from engine.anonymize.functions.dates import moved
from tests.engine.anonymize.objects import apply, make_object, result, value_at

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "seconds", "shifted"),
    [
        ("2022", 270 * DAY, "2023"),
        ("202205", -150 * DAY, "202112"),
        ("20220519", 12 * 3600, "20220520"),
        ("20220519", -12 * 3600, "20220519"),
        ("20220519", -13 * 3600, "20220518"),
        ("2022051913", 30 * 60, "2022051914"),
        ("202205191324", -90, "202205191323"),
        ("20220519132435", 86_400, "20220520132435"),
        ("20220519132435.123456+0200", 25, "20220519132500.123456+0200"),
        ("2022-0500", 0, "2022-0500"),
        ("20200228", 2 * DAY, "20200301"),
        ("202202", 14 * DAY, "202203"),
        ("202202", 14 * DAY - 1, "202202"),
        ("202002", 14 * DAY, "202002"),
        ("202204", 15 * DAY, "202205"),
        ("202205", 15 * DAY, "202205"),
        ("20161231235960", 1, "20170101000001"),
        ("0101", 0, "0101"),
    ],
)
def test_the_middle_of_the_period_is_moved_and_its_precision_kept(
    text: str, seconds: int, shifted: str
) -> None:
    assert moved(text, seconds) == shifted


@given(st.dates(date(1850, 1, 1), date(2100, 1, 1)), st.integers(-20_000, 20_000))
def test_whole_days_move_by_the_calendar_and_back(day: date, days: int) -> None:
    text = day.strftime("%Y%m%d")
    assert moved(text, days * DAY) == (day + timedelta(days)).strftime("%Y%m%d")
    assert moved(moved(text, days * DAY), -days * DAY) == text


@pytest.mark.parametrize(
    "text", ["20", "20220519123344.", "2022-05-19", "", "20221301", "20220230", "0000", "99991231"]
)
def test_what_is_no_date_or_leaves_the_calendar_refuses_the_object(text: str) -> None:
    with pytest.raises(ScriptRuntimeError):
        apply(make_object(), "y := shiftDateByIncrement[value, 1]", value=text)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('shiftDateByIncrement[(0008,0020), "-31"]', "20240229"),
        ("shiftDateByIncrement[(0008,0020), 1]", "20240401"),
        ('shiftDateByIncrement["20240331\\\\20240401", 1]', "20240401\\20240402"),
        ('shiftDateByIncrement["20240331", 1, "Years"]', "20250331"),
        ('shiftDateByIncrement["20240331", 24, "HOURS"]', "20240401"),
        ('shiftDateTimeByIncrement["20240331", 86400]', "20240401"),
        ('shiftDateTimeByIncrement["202403310000", 2, "minutes"]', "202403310002"),
        ("shiftDateTimeByIncrement[(0008,0020), 43200]", "20240401"),
    ],
)
def test_a_shifted_date_is_returned(expression: str, value: str) -> None:
    assert result(expression, {"(0008,0020)": ("DA", "20240331")}) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("shiftDateByIncrement[(0008,0021), 1]", "has no value"),
        ("shiftDateByIncrement[(0008,0060), 1]", "not of VR DA"),
        ("shiftDateByIncrement[(0018,9074), 1]", "not of VR DA"),
        ("shiftDateTimeByIncrement[(0008,0030), 1]", "not of VR DA or DT"),
        ('shiftDateByIncrement["20240331", 1, "weeks"]', "unit is not known"),
        ('shiftDateByIncrement["20240331", n]', "no whole number"),
    ],
)
def test_a_date_that_can_not_be_shifted_refuses_the_object(expression: str, said: str) -> None:
    ds = make_object(
        {
            "(0008,0060)": ("CS", "CT"),
            "(0018,9074)": ("DT", "2024"),
            "(0008,0030)": ("TM", "101112"),
        }
    )
    with pytest.raises(ScriptRuntimeError, match=said):
        apply(ds, f"y := {expression}", n="1.5")


def test_a_shift_as_a_statement_changes_nothing() -> None:
    ds = make_object({"(0008,0020)": ("DA", "20240331")})
    apply(ds, "shiftDateByIncrement[(0008,0020), 1]")
    assert value_at(ds, "(0008,0020)") == "20240331"


def test_sequences_are_shifted_in_place_and_what_is_no_date_is_left_alone() -> None:
    ds = make_object(
        {
            "(0040,A30A)[0]/(0040,A120)": ("DT", "20240331\\2024"),
            "(0040,A30A)[1]/(0040,A120)": ("DT", "soon"),
            "(0040,A30A)[1]/(0040,A122)": ("TM", "101112"),
            "(0040,A30A)[1]/(0040,A121)": ("DA", ""),
        }
    )
    apply(ds, 'shiftDateTimeSequenceByIncrement[86400, (0040,A30A)/(0040,A12X), "(0008,0020)"]')
    assert value_at(ds, "(0040,A30A)[0]/(0040,A120)") == "20240401\\2024"
    assert value_at(ds, "(0040,A30A)[1]/(0040,A120)") == "soon"
    assert value_at(ds, "(0040,A30A)[1]/(0040,A122)") == "101112"
    assert value_at(ds, "(0040,A30A)[1]/(0040,A121)") == ""


def test_lists_are_shifted_in_place_and_what_is_no_date_refuses_the_object() -> None:
    ds = make_object({"(0008,0020)": ("DA", "20240331"), "(0008,0021)": ("DA", "")})
    apply(ds, 'shiftDateTimeListByIncrement[{(0008,0020), (0008,0021)}, -1, "days"]')
    assert (value_at(ds, "(0008,0020)"), value_at(ds, "(0008,0021)")) == ("20240330", "")
    ds = make_object({"(0008,0060)": ("CS", "CT")})
    with pytest.raises(ScriptRuntimeError, match="no date"):
        apply(ds, 'shiftDateTimeListByIncrement[(0008,0060), -1, "days"]')


@pytest.mark.parametrize(
    ("study", "birth", "age", "new_birth", "new_age"),
    [
        ("20000131", "19000101", "100Y", "19110201", "089Y"),
        ("20230315", "19230315", "", "19340316", ""),
        ("", "", "090Y", "", "089Y"),
        ("", "19500101", "500Y", "19500101", "500Y"),
        ("20230315", "19500101", "073Y", "19500101", "073Y"),
        ("20230315", "", "089Y", "", "089Y"),
        ("20230315", "unknown", "095Y", "unknown", "089Y"),
        ("20230315", "20230101", "099D", "20230101", "099D"),
    ],
)
def test_patients_above_89_get_younger(
    study: str, birth: str, age: str, new_birth: str, new_age: str
) -> None:
    nested = "(0008,1140)[0]/"
    ds = make_object(
        {
            "(0008,0020)": ("DA", study),
            "(0010,0030)": ("DA", birth),
            "(0010,1010)": ("AS", age),
            f"{nested}(0010,0030)": ("DA", birth),
            f"{nested}(0010,1010)": ("AS", age),
        }
    )
    apply(ds, "scalePatientAgeAndDobFromStudyDate[]")
    for prefix in ("", nested):
        assert value_at(ds, f"{prefix}(0010,0030)") == new_birth
        assert value_at(ds, f"{prefix}(0010,1010)") == new_age
    assert value_at(ds, "(0008,0020)") == study


def test_a_malformed_age_refuses_the_object() -> None:
    ds = make_object({"(0010,1010)": ("AS", "45")})
    with pytest.raises(ScriptRuntimeError, match="age is not of the form"):
        apply(ds, "scalePatientAgeAndDobFromStudyDate[]")
