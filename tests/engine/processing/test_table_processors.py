"""*Relabel from table* and *Remap by study*: what they say of single objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ProcessingFailed
from engine.model.identity import UNASSIGNED
from engine.model.processing import Assignment
from engine.model.processor import Location
from engine.processing.builtin.label_tables import LabelTables
from engine.processing.builtin.relabel_from_table import RelabelFromTable
from engine.processing.builtin.remap_by_study import RemapByStudy
from engine.processing.context import NoEditor
from engine.processing.contract import Context, Continue, Facts, Known, Reject, Settings
from tests.engine.identification.identifying import header_of

if TYPE_CHECKING:
    from pathlib import Path

    from engine.processing.contract import PreparedProcessor

STUDY = "1.2.826.0.1.3680043.8.498.2"
MISSING = "key,project\nnobody,A\n"


def relabel(folder: Path, text: str, **told: str) -> PreparedProcessor:
    file = folder / "labels.csv"
    file.write_text(text)
    values = RelabelFromTable.info.complete({"file": str(file), **told})
    return RelabelFromTable().prepare(Settings(tuple(values.items())), LabelTables())


def asked(
    prepared: PreparedProcessor, location: Location = Location.AFTER_DICOM_READ
) -> tuple[Continue | Reject | None, Assignment]:
    facts, said = Facts("XNAT:8104", "CT_1"), list[str]()
    context = Context(location, header_of(), NoEditor(), facts, Known(), Settings(), said.append)
    return prepared.process(context), context.assigned


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("patient_id", "P-0001"),
        ("accession_number", "ACC-1"),
        ("calling_ae_title", "CT_1"),
        ("PatientName", "Doe^Jane"),
        ("(0008,0060)", "CT"),
        ("00080060", "CT"),
        ("0008,0060", "CT"),
    ],
)
def test_an_object_is_found_by_any_of_its_values(tmp_path: Path, key: str, value: str) -> None:
    prepared = relabel(tmp_path, f"key,project,session\n{value},A,E1\n", key=key)
    assert asked(prepared) == (Continue(), Assignment("A", None, "E1"))


@pytest.mark.parametrize(
    ("missing", "said", "assigned"),
    [
        ("continue", None, Assignment()),
        ("unassigned", Continue(), Assignment(project="")),
        ("reject", Reject("its patient_id is not in the table"), Assignment()),
    ],
)
def test_what_is_not_in_the_table(
    tmp_path: Path, missing: str, said: object, assigned: Assignment
) -> None:
    assert asked(relabel(tmp_path, MISSING, missing=missing)) == (said, assigned)


def test_without_any_good_table_objects_fail_and_the_problem_is_shown(tmp_path: Path) -> None:
    prepared = relabel(tmp_path, "PAT-7,Doe^Jane\n")  # the line of names is missing
    assert prepared.problem.startswith("table: column 1 of the first line is none of key, project")
    with pytest.raises(ProcessingFailed, match="column 1") as caught:
        asked(prepared)
    assert "pat-7" not in caught.value.detail.lower()


@pytest.mark.parametrize("key", ["", "Nope", "(7FE0,0010)", "(0002,0010)", "PixelData"])
def test_a_key_that_is_no_element_of_a_header_is_refused(key: str) -> None:
    (problem,) = RelabelFromTable().check(Settings((("key", key),)))
    assert problem.field == "key"


def test_a_study_in_the_table_gets_labels_and_its_script() -> None:
    script = 'version "6.6"\n(0010,0010) := "X"'
    quoted = script.replace('"', '""')
    text = f'study_instance_uid,project,subject,script\n{STUDY},A,S1,"{quoted}"\n'
    prepared = RemapByStudy().prepare(Settings((("table", text),)), LabelTables())
    assert asked(prepared, Location.AFTER_PROJECT_SET) == (
        Continue(script),
        Assignment("A", "S1", None),
    )
    other = RemapByStudy().prepare(
        Settings((("table", text.replace(STUDY, "1.2.3")),)), LabelTables()
    )
    assert asked(other) == (None, Assignment())


def test_the_table_of_studies_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "studies.csv"
    prepared = RemapByStudy().prepare(Settings((("file", str(file)),)), LabelTables())
    with pytest.raises(ProcessingFailed, match="No such file"):
        asked(prepared)
    assert UNASSIGNED in Assignment(project="").words()
    prepared.close()


BAD = 'study_instance_uid,project,script\n1.2.3,A,"version ""6.6""\nDoe"\n{},B,\n'


def test_a_bad_script_in_the_file_of_studies_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    file = tmp_path / "studies.csv"
    settings = Settings((("file", str(file)),))
    assert list(RemapByStudy().check(settings)) == []  # there is no file yet
    file.write_text(BAD.format(STUDY))
    (problem,) = RemapByStudy().check(settings)
    assert (problem.field, "line 2: it is not acceptable at its script" in problem.message) == (
        "file",
        True,
    )
    assert "Doe" not in str(problem)
    (problem,) = RemapByStudy().check(Settings((("table", BAD.format(STUDY)),)))
    assert (problem.field, "line 2: it is not acceptable at its script" in problem.message) == (
        "table",
        True,
    )


def test_only_the_study_with_a_bad_script_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "studies.csv"
    file.write_text(BAD.format(STUDY))
    prepared = RemapByStudy().prepare(Settings((("file", str(file)),)), LabelTables())
    assert asked(prepared) == (Continue(), Assignment("B"))
    file.write_text(BAD.format("1.2.4").replace("1.2.3", STUDY))
    prepared = RemapByStudy().prepare(Settings((("file", str(file)),)), LabelTables())
    with pytest.raises(ProcessingFailed, match="line 2: it is not acceptable at its script line 2"):
        asked(prepared)
