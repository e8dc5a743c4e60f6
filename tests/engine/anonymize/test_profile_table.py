"""The table of the profile, cell by cell, against what others read from the standard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

import engine.anonymize.profile
from engine.anonymize import Profile, Retain
from tests.engine.anonymize.objects import value_at

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = (
    Retain.UIDS, Retain.DEVICE, Retain.INSTITUTION, Retain.PATIENT_CHARACTERISTICS, Retain.DATES
)  # fmt: skip
SINCE_2025 = {
    "00181010", "00181011", "003A0020", "003A0203", "003A020C", "00400556", "0040B020", "0040E012",
    "00700006", "3004007F",
}  # fmt: skip
"""Attributes that the standard has added to the table since the second extraction was made."""
LISTS = {
    "X": "X_TAGS", "Z": "Z_TAGS", "X/Z": "X_Z_TAGS", "D": "D_TAGS", "Z/D": "Z_D_TAGS",
    "X/D": "X_D_TAGS", "X/Z/D": "X_Z_D_TAGS", "U": "U_TAGS", "X/Z/U*": "X_Z_U_STAR_TAGS",
}  # fmt: skip
VALUES = {
    "AS": "012Y", "DA": "20240102", "DT": "20240102030405", "TM": "030405", "UI": "1.2.3",
    "IS": "7", "DS": "7", "US": 7, "SS": 7, "UL": 7, "FL": 7.0, "FD": 7.0, "AT": 0x00100010,
    "OB": b"KEPT", "OW": b"KEPT", "UN": b"KEPT",
}  # fmt: skip


def rows(path: Path) -> dict[str, list[str]]:
    lines = path.read_text("utf-8").splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return {tag: rest[:7] for tag, *rest in cells}


OURS = rows(Path(engine.anonymize.profile.__file__).with_suffix(".tsv"))
THEIRS = rows(Path(__file__).parent / "table_e_1_1_of_2025.tsv")


def test_every_cell_is_that_of_the_second_extraction() -> None:
    assert {tag: OURS[tag] for tag in OURS.keys() - SINCE_2025} == THEIRS


def test_every_basic_action_is_that_of_a_third_extraction() -> None:
    exact = {
        f"{entry[0]:04X}{entry[1]:04X}": action
        for action, name in LISTS.items()
        for entry in getattr(dicomfields_2026c, name)
        if len(entry) == 2
    }
    ours = {tag: cells[0] for tag, cells in OURS.items() if "X" not in tag}
    assert ours == exact | {"3004007F": "X"}  # new in 2026d


def test_the_options_have_as_many_attributes_as_the_standard_gives_them() -> None:
    columns = list(zip(*OURS.values(), strict=True))[1:]
    kept = [sum(cell == "K" for cell in column) for column in columns]
    cleaned = [sum(cell == "C" for cell in column) for column in columns]
    assert kept == [60, 48, 10, 14, 169, 0]
    assert cleaned == [0, 11, 0, 5, 0, 169]


def known(tags: dict[str, list[str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield tag, VR and cells of the attributes that can be put into an object."""
    for tag, cells in tags.items():
        try:
            vr = dictionary_VR(BaseTag(int(tag, 16)))
        except (ValueError, KeyError):
            continue
        if tag[:4] not in ("0000", "0002", "0004") and tag not in ("00120064", "00280303"):
            yield tag, vr[:2], cells


def made(tag: str, vr: str) -> Dataset:
    ds, number = Dataset(), BaseTag(int(tag, 16))
    if vr == "SQ":
        item = Dataset()
        item.Rows, item.PatientName = 7, "Doe"
        ds[number] = DataElement(number, "SQ", Sequence([item]))
    else:
        value = VALUES.get(vr, "KEPT")
        ds[number] = DataElement(number, vr, value, already_converted=vr in ("OB", "OW", "UN"))
    return ds


def stays(tag: str, vr: str, profile: Profile) -> bool:
    """Tell whether a value stays, or of a sequence what identifies nobody."""
    ds, number = made(tag, vr), BaseTag(int(tag, 16))
    before = str(ds[number].value) if vr != "SQ" else ""
    profile.apply(ds)
    if number not in ds:
        return False
    if vr == "SQ":
        assert "Doe" not in str(ds)
        return bool(ds[number].value and ds[number].value[0].get("Rows") == 7)
    return str(ds[number].value) == before


@pytest.mark.parametrize("column", range(5), ids=[str(option) for option in OPTIONS])
def test_an_option_keeps_what_its_column_keeps_and_nothing_else(column: int) -> None:
    profile, basic = Profile(frozenset({OPTIONS[column]})), Profile()
    wrong = []
    for tag, vr, cells in known(THEIRS):
        expected = cells[1 + column] == "K" or stays(tag, vr, basic)
        if stays(tag, vr, profile) != expected:
            wrong.append(tag)
    assert wrong == []


def test_moved_dates_are_those_of_their_column_and_no_other_option_keeps_them_unmoved() -> None:
    profile = Profile(frozenset(OPTIONS) - {Retain.DATES}, shift_days=31)
    moved = {"DA": "20240202", "DT": "20240202030405", "TM": "030405"}
    wrong = []
    for tag, vr, cells in known(THEIRS):
        if vr in moved:
            ds = made(tag, vr)
            profile.apply(ds)
            value = value_at(ds, f"({tag[:4]},{tag[4:]})")
            if (value == moved[vr]) != (cells[6] == "C"):
                wrong.append(tag)
    assert wrong == []


def test_the_time_zone_stays_with_dates_and_the_time_of_a_satellite_goes() -> None:
    for profile in (Profile(frozenset({Retain.DATES})), Profile(shift_days=3)):
        assert stays("00080201", "SH", profile)
        assert not stays("00160077", "DT", profile)
