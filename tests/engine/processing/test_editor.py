"""The editor of processors: what may be written, and what is refused."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from engine.processing.context import DatasetEditor, DatasetHeader, NoEditor


def made() -> Dataset:
    ds = Dataset()
    ds.PatientName = "Doe^Jane"
    ds.OtherPatientIDs = ["A", "B"]
    ds.PatientComments = "a\\b"
    ds.Rows = 512
    ds.RequestAttributesSequence = [Dataset()]
    ds.StudyID = ""
    return ds


def test_texts_are_those_of_rules() -> None:
    header = DatasetHeader(made())
    tags = (0x00100010, 0x00101000, 0x00104000, 0x00280010, 0x00400275, 0x00200010, 0x00080060)
    texts = [header.text(tag) for tag in tags]
    assert texts == ["Doe^Jane", "A", "a\\b", "512", None, None, None]
    assert [tag in header for tag in tags] == [True] * 6 + [False]


def test_what_is_written_is_noted() -> None:
    ds = made()
    editor = DatasetEditor(ds)
    editor.set(0x00100020, "P1")
    editor.set(0x00101000, "X", "Y")
    editor.set(0x00280010, 3)
    editor.set(0x00091001, "own", vr="LO")
    editor.set(0x00200010)
    editor.remove(0x00104000)
    editor.remove(0x00104000)
    assert (ds.PatientID, list(ds.OtherPatientIDs), ds.Rows) == ("P1", ["X", "Y"], 3)
    assert ds[0x00091001].value == "own"
    assert "PatientComments" not in ds
    assert not ds.StudyID
    assert len(editor.changed) == 6


@pytest.mark.parametrize(
    ("tag", "values", "why"),
    [
        (0x00020010, ("1.2",), "is no element of the header"),
        (0x7FE00010, ("1",), "is no element of the header"),
        (0x00100000, (4,), "is no element of the header"),
        (0x00080016, ("1.2",), "names the object to its sender"),
        (0x00080018, ("1.2",), "names the object to its sender"),
        (0x00400275, ("x",), "is not written by value"),
        (0x00091001, ("x",), "is not known"),
        (0x00100020, ("\x1b[31m",), "would contain control characters"),
    ],
)
def test_what_may_not_be_written(tag: int, values: tuple[str, ...], why: str) -> None:
    editor = DatasetEditor(made())
    with pytest.raises(ValueError, match=why):
        editor.set(tag, *values)
    assert editor.changed == []


def test_processors_of_ours_return_scripts_instead() -> None:
    with pytest.raises(ValueError, match="returns a script"):
        NoEditor().set(0x00100020, "x")
    with pytest.raises(ValueError, match="returns a script"):
        NoEditor().remove(0x00100020)
