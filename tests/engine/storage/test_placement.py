"""Names on disk: XNAT's where they are safe, a hash where they are not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dicom.dataset import read_complete
from engine.model.file_name_template import hash_text, java_list_hash, parse_template
from engine.model.identity import is_device, safe_part, timestamp
from engine.storage.placement import distinct_name, file_name, scan_folder, session_folder
from tests.dicom import EXPLICIT_VR_LITTLE_ENDIAN, MR_IMAGE_STORAGE, image

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView

SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
STUDY = "1.3.12.2.1107.5.2.32.35177.30000006121218324675000000034"
INSTANCE = "1.3.12.2.1107.5.2.32.35177.3.2006121409365951632817982"
OTHER = "1.3.12.2.1107.5.2.32.35177.3.20061214094540972418693"
THIRD = "1.3.12.2.1107.5.2.32.35177.3.2006121409513852130219399"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
HOSTILE = [
    "../../../etc/cron.d/x",
    "/abs",
    "..",
    ".",
    "1.2/..",
    "1.2.3\x004",
    "1.2.3\n4",
    "a b;c$(id)",
    "C:\\x",
    "-rf",
    "CON",
    "x.",
    "9" * 65_000,
]


def header(**values: Any) -> HeaderView:
    return read_complete(image(**values), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize(
    "text", ["P-0001", "1.2.840.10008", "dicom_upload", "_f_o_o_", "a" * 64, "COM", "CONSOLE", "a-"]
)
def test_a_safe_text_is_its_own_name(text: str) -> None:
    assert safe_part(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "",
        " ",
        "a" * 65,
        "a/b",
        ".hidden",
        "Müller",
        "con",
        "nul.dcm",
        "COM1",
        "lpt9.x.y",
        "a\n",
        "😀",
        "\u202eabc",
        "\ud800",
    ],
)
def test_any_other_text_becomes_a_hash(text: str) -> None:
    assert re.fullmatch(r"h-[a-z2-7]{20}", safe_part(text))


@given(st.text(alphabet=st.characters(), max_size=80) | st.sampled_from(HOSTILE))
def test_a_name_never_leaves_its_folder(text: str) -> None:
    name = safe_part(text)
    assert SAFE.fullmatch(name)
    assert not name.endswith(".")
    assert name.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}
    assert safe_part(name) == name


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_texts_get_different_names(one: str, other: str) -> None:
    assert (safe_part(one) == safe_part(other)) == (one == other)


@pytest.mark.parametrize(
    ("number", "series", "folder"),
    [
        ("4", "1.2.3", "4"),
        (None, "1.2.3", "1_2_3"),
        ("4/1", "1.2.3", "1_2_3"),
        (None, None, "NA"),
        ("+4", "1.2.3", "_4"),
        ("4.a", "1.2.3", "4.a"),
        (" 4 ", "1.2.3", "4"),
        ("4 1", "1.2.3", "1_2_3"),
        ("٤".encode(), "1.2.3", "1_2_3"),
    ],
)
def test_a_scan_folder_is_the_series_number_else_the_series_uid(
    number: object, series: object, folder: str
) -> None:
    """XNAT 9.3."""
    assert scan_folder(header(SeriesNumber=number, SeriesInstanceUID=series)) == folder


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_series_stays_in_its_folder(text: str) -> None:
    for values in ({"SeriesNumber": text[:60_000]}, {"SeriesInstanceUID": text[:60_000]}):
        folder = scan_folder(header(**({"SeriesNumber": None} | values)))
        assert SAFE.fullmatch(folder)


@pytest.mark.parametrize(
    ("values", "digest"),
    [
        ((MR_IMAGE_STORAGE, INSTANCE), "1qs88hj"),
        ((ENHANCED_MR, INSTANCE), "sd4il0"),
        ((RT_STRUCTURE_SET, INSTANCE), "1fqtjqx"),
        ((MR_IMAGE_STORAGE, OTHER), "tbb8d8"),
        ((ENHANCED_MR, OTHER), "1txbkft"),
        ((RT_STRUCTURE_SET, OTHER), "i9wjmm"),
        ((MR_IMAGE_STORAGE, THIRD), "1qy16ih"),
        ((ENHANCED_MR, THIRD), "sixgly"),
        ((RT_STRUCTURE_SET, THIRD), "1fwmhrv"),
        (("no-value-for-SOPClassUID", "1.2"), "1tutriu"),
        ((), "1"),
    ],
)
def test_a_list_hashes_as_in_java(values: tuple[str, ...], digest: str) -> None:
    assert hash_text(java_list_hash(values)) == digest


def test_characters_hash_as_utf_16_units() -> None:
    """Java: "😀".hashCode() is 1772899, from the units D83D and DE00."""
    assert java_list_hash(["😀"]) == 31 + 1772899
    assert java_list_hash(["é"]) == 31 + 233


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, f"{STUDY}-4-1-1qs88hj.dcm"),
        ({"SOPClassUID": ENHANCED_MR}, f"{STUDY}-4-1-sd4il0.dcm"),
        ({"SOPClassUID": RT_STRUCTURE_SET}, f"{STUDY}-4-1-1fqtjqx.dcm"),
        ({"InstanceNumber": None}, f"{STUDY}-4-no-value-for-InstanceNumber-1qs88hj.dcm"),
        ({"SeriesNumber": None}, f"{STUDY}-no-value-for-SeriesNumber-1-1qs88hj.dcm"),
        ({"StudyInstanceUID": None}, "no-value-for-StudyInstanceUID-4-1-1qs88hj.dcm"),
        (
            {"SOPClassUID": None, "SOPInstanceUID": "1.2"},
            f"{STUDY}-4-1-1tutriu.dcm",
        ),
        ({"SeriesNumber": "4/1", "InstanceNumber": "+1"}, f"{STUDY}-4_1-_1-1qs88hj.dcm"),
        ({"StudyInstanceUID": "..1"}, "1-4-1-1qs88hj.dcm"),
        ({"StudyInstanceUID": "-rf"}, "_rf-4-1-1qs88hj.dcm"),
    ],
)
def test_a_file_name_follows_xnats_default_template(values: dict[str, object], name: str) -> None:
    """XNAT 9.3."""
    usual = {
        "SOPClassUID": MR_IMAGE_STORAGE,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesNumber": "4",
        "InstanceNumber": "1",
    }
    assert file_name(header(**(usual | values))) == name


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 300, ".", "..."])
@pytest.mark.parametrize(
    "template",
    ["${PatientName}", ".${PatientName}", "-${PatientName}.img", "${PatientName}${PatientName}"],
)
def test_a_hostile_value_makes_no_path_with_any_template(template: str, text: str) -> None:
    name = file_name(header(PatientName=text[:60_000]), parse_template(template))
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,195}\.(dcm|img)", name)
    assert len(name) <= 200
    assert not is_device(name)


def test_an_object_whose_name_another_instance_has_gets_one_of_its_own() -> None:
    names = {distinct_name(header(SOPInstanceUID=uid), "a.b.dcm") for uid in ("1.2", "1.3")}
    assert len(names) == 2
    assert all(re.fullmatch(r"a\.b-[a-z0-9]{1,7}\.dcm", name) for name in names)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "element", ["StudyInstanceUID", "SeriesNumber", "InstanceNumber", "SOPInstanceUID"]
)
def test_a_hostile_value_makes_no_path(element: str, text: str) -> None:
    name = file_name(header(**{element: text[:60_000]}))
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,195}\.dcm", name)
    assert len(name) <= 200


def test_a_session_folder_has_project_time_stamp_and_label() -> None:
    stamp = "20260102_030405006"
    assert session_folder("A", stamp, "P-0001") == ("A", stamp, "P-0001")
    assert session_folder(None, stamp, "P-0001") == (stamp, "P-0001")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_label_or_project_makes_no_path(text: str) -> None:
    folder = session_folder(text, "20260102_030405006", text)
    assert all(SAFE.fullmatch(part) for part in folder)


@pytest.mark.usefixtures("in_utc")
def test_a_time_stamp_has_local_time_and_milliseconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6_999, tzinfo=UTC)
    assert timestamp(moment) == "20260102_030405006"
