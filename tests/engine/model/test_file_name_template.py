"""The file name template: keywords, hashes, extensions, and what is refused at save."""

from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword

from engine.errors import InvalidSite
from engine.model.file_name_template import DEFAULT_TEMPLATE, parse_template
from engine.model.site import SessionSettings

STUDY = "1.3.12.2.1107.5.2.32.35177.30000006121218324675000000034"
INSTANCE = "1.3.12.2.1107.5.2.32.35177.3.2006121409365951632817982"
VALUES = {
    "StudyInstanceUID": STUDY,
    "SeriesNumber": "4",
    "InstanceNumber": "2",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4",
    "SOPInstanceUID": INSTANCE,
    "Rows": "256",
}


def name(template: str, **changes: str | None) -> str:
    values = {tag_for_keyword(key): value for key, value in (VALUES | changes).items()}
    return parse_template(template).name(values.get)


@pytest.mark.parametrize(
    ("template", "result"),
    [
        (DEFAULT_TEMPLATE, f"{STUDY}-4-2-1qs88hj.dcm"),
        ("${InstanceNumber}", "2.dcm"),
        ("${StudyInstanceUID}-${SeriesNumber}", f"{STUDY}-4.dcm"),
        (DEFAULT_TEMPLATE + "-${StudyInstanceUID}", f"{STUDY}-4-2-1qs88hj-{STUDY}.dcm"),
        (
            "${SOPInstanceUID}-${HashSOPClassUIDWithSOPInstanceUID}",
            f"{INSTANCE}-1qs88hj.dcm",
        ),
        ("${SOPInstanceUID}.img", f"{INSTANCE}.img"),
        ("x.${InstanceNumber}", "x.2.dcm"),
        ("${Rows}_${Columns}", "256_no-value-for-Columns.dcm"),
        ("${HashRowsWithRowsWithRows}", "tffbm.dcm"),  # Java: 49428562
        ("..${InstanceNumber}", "2.dcm"),
    ],
)
def test_a_name_follows_the_template(template: str, result: str) -> None:
    """XNAT 9.3, F1, F10."""
    assert name(template) == result


def test_a_missing_value_is_said_and_hashed_as_the_words_for_it() -> None:
    """F2."""
    assert name("${InstanceNumber}", InstanceNumber=None) == "no-value-for-InstanceNumber.dcm"
    assert (
        name("${HashSOPClassUIDWithSOPInstanceUID}", SOPClassUID=None, SOPInstanceUID="1.2")
        == "1tutriu.dcm"
    )


@pytest.mark.parametrize(
    ("template", "message", "column"),
    [
        ("", "is empty", None),
        ("x" * 501, "too long", None),
        ("image", "all objects had one name", None),
        ("${Nonsense}", "is no DICOM keyword", 3),
        ("a-${HashSOPInstanceUID}", "hash of less than two", 5),
        ("${HashSOPInstanceUIDWithNonsense}", "is no DICOM keyword", 3),
        ("${PixelData}", "is no DICOM keyword of a header element", 3),
        ("a/${InstanceNumber}", "can't stand in a file name", 2),
        ("${InstanceNumber", "can't stand in a file name", 1),
        ("${InstanceNumber}ä", "can't stand in a file name", 18),
        ("${InstanceNumber}.xml", "can't be the extension", None),
        ("${InstanceNumber}.[]", "can't be the extension", None),
    ],
)
def test_a_template_is_refused_at_save_with_the_place(
    template: str, message: str, column: int | None
) -> None:
    with pytest.raises(InvalidSite) as caught:
        SessionSettings.parse({"file_name_template": template})
    (problem,) = caught.value.problems
    assert problem.field == "sessions.file_name_template"
    assert message in problem.message
    assert problem.column == column


def test_the_last_tag_is_the_greatest_that_a_template_needs() -> None:
    assert parse_template(DEFAULT_TEMPLATE).last_tag == 0x00200013
    assert parse_template("${Rows}-${PatientID}").last_tag == 0x00280010
