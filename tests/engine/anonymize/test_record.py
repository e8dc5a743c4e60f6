"""What an object tells of its anonymization (dicomedit 10)."""

from __future__ import annotations

import pytest

from engine.anonymize import UneditableFile, mark_as_deidentified, record, recorded
from tests.engine.anonymize.objects import find, make_object, script, value_at, vr_at

CODES = "(0012,0064)"


def test_one_item_for_each_script_is_appended_and_earlier_ones_stay() -> None:
    ds = make_object({f"{CODES}[0]/(0008,0100)": ("SH", "113100")})
    record(ds, [12, 7])
    assert value_at(ds, f"{CODES}[0]/(0008,0100)") == "113100"
    wanted = {
        "(0008,0100)": ("SH", "12"),
        "(0008,0102)": ("SH", "XNAT"),
        "(0008,0103)": ("SH", "1.0"),
        "(0008,0104)": ("LO", "XNAT DicomEdit 6 Script"),
    }
    for tag, (vr, value) in wanted.items():
        assert (vr_at(ds, f"{CODES}[1]/{tag}"), value_at(ds, f"{CODES}[1]/{tag}")) == (vr, value)
    assert recorded(ds) == ("12", "7")
    assert find(ds, "(0012,0062)") is None


def test_a_script_records_itself_after_it_has_run_even_if_it_is_empty() -> None:
    ds = make_object({f"{CODES}[0]/(0008,0100)": ("SH", "113100")})
    script(f"-{CODES}").apply(ds, {}, script_id=12)
    script().apply(ds, {}, script_id=13)
    assert recorded(ds) == ("12", "13")


@pytest.mark.parametrize("script_id", [None, 0])
def test_a_script_without_a_number_records_nothing(script_id: int | None) -> None:
    ds = make_object()
    script().apply(ds, {}, script_id=script_id)
    record(ds, [])
    assert not ds
    assert recorded(ds) == ()


@pytest.mark.parametrize("script_id", [-1, 0, 10**16])
def test_numbers_that_no_code_can_hold_are_refused(script_id: int) -> None:
    with pytest.raises(UneditableFile, match="no script number"):
        record(make_object(), [script_id])


def test_a_record_needs_a_sequence() -> None:
    ds = make_object({"(0012,0064)": ("LO", "text")})
    with pytest.raises(UneditableFile, match="no sequence"):
        record(ds, [1])


def test_an_object_is_marked_only_on_demand_and_keeps_earlier_methods() -> None:
    ds = make_object({"(0012,0063)": ("LO", "by hand")})
    mark_as_deidentified(ds, "site script 12")
    mark_as_deidentified(ds, "site script 12")
    assert value_at(ds, "(0012,0062)") == "YES"
    assert value_at(ds, "(0012,0063)") == "by hand\\site script 12"


@pytest.mark.parametrize("method", ["", "a\\b", "x" * 65])
def test_a_method_must_fit_its_element(method: str) -> None:
    with pytest.raises(UneditableFile, match="no de-identification method"):
        mark_as_deidentified(make_object(), method)
