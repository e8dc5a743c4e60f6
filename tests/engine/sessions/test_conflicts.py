"""What keeps two sessions apart, and how two that go together are merged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.sessions.folders.documents import BuiltSession
from engine.sessions.planner import conflicts_between, conflicts_within, plan_merge
from engine.storage.scans import scans_of
from tests.engine.storage.test_scans import CT, ENHANCED_MR, RT_STRUCTURE_SET, stored

if TYPE_CHECKING:
    from engine.storage.scans import StoredObject


def session(*objects: StoredObject, **changes: object) -> BuiltSession:
    built = BuiltSession("NEURO-01", "S1", "E1", "1.2", scans_of(objects))
    return replace(built, **changes)  # type: ignore[arg-type]


def reasons(
    incoming: BuiltSession, existing: BuiltSession, *, merge: bool = True, overwrite: bool = False
) -> list[str]:
    return list(conflicts_between(incoming, existing, merge=merge, overwrite=overwrite))


OLD = session(stored(1, "1.1", "4"), stored(2, "1.1", "4"))
NEW_SCAN = session(stored(3, "1.2", "5"))


def test_another_scan_of_the_same_study_may_be_merged() -> None:
    assert reasons(NEW_SCAN, OLD) == []
    assert reasons(replace(NEW_SCAN, subject="s1"), OLD) == []


def test_without_leave_to_merge_an_existing_session_is_a_conflict() -> None:
    assert reasons(NEW_SCAN, OLD, merge=False) == [
        "session already exists, retry with merge or overwrite"
    ]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("incoming", "reason"),
    [
        (replace(NEW_SCAN, subject="S2"), "the archived session belongs to another subject"),
        (replace(NEW_SCAN, subject=None), "the archived session belongs to another subject"),
        (
            session(stored(3, "1.2", "5", modality="CT", sop_class_uid=CT)),
            "the archived session is MR, this one CT",
        ),
        (
            replace(NEW_SCAN, study_instance_uid="1.3"),
            "the archived session is another study: the Study Instance UIDs differ",
        ),
    ],
)
def test_what_belongs_to_something_else_is_never_merged(
    incoming: BuiltSession, reason: str, overwrite: bool
) -> None:
    assert reasons(incoming, OLD, overwrite=overwrite) == [reason]


def test_one_series_under_two_numbers_is_a_conflict_unless_overwritten() -> None:
    incoming = session(stored(3, "1.1", "9"))
    assert reasons(incoming, OLD) == [
        "scan 9 is the archived scan 4: one series has two series numbers"
    ]
    assert reasons(incoming, OLD, overwrite=True) == []
    assert plan_merge(incoming, OLD).files == {"SCANS/9/DICOM/3.dcm": "SCANS/4/DICOM/3.dcm"}


def test_an_object_that_is_there_already_is_a_conflict_unless_overwritten() -> None:
    again = session(stored(2, "1.1", "4", file="SCANS/4/DICOM/other.dcm"), stored(3, "1.1", "4"))
    assert reasons(again, OLD) == ["session already exists with matching files: 1 in scan 4"]
    assert reasons(again, OLD, overwrite=True) == []
    merge = plan_merge(again, OLD)
    assert merge.replaced == ("SCANS/4/DICOM/2.dcm",)
    assert merge.files == {
        "SCANS/4/DICOM/other.dcm": "SCANS/4/DICOM/other.dcm",
        "SCANS/4/DICOM/3.dcm": "SCANS/4/DICOM/3.dcm",
    }


def test_the_same_instance_of_another_class_is_another_object() -> None:
    other = session(stored(2, "1.1", "4", sop_class_uid=ENHANCED_MR))
    assert reasons(other, OLD) == []
    assert plan_merge(other, OLD).files == {"SCANS/4/DICOM/2.dcm": "SCANS/4/DICOM/2_1.dcm"}


def test_another_series_of_a_number_in_use_becomes_a_scan_of_its_own() -> None:
    incoming = session(stored(7, "1.8", "4"), stored(8, "1.9", "4"))
    merge = plan_merge(incoming, OLD)
    assert merge.files == {
        "SCANS/4/DICOM/7.dcm": "SCANS/4-MR1/DICOM/7.dcm",
        "SCANS/4/DICOM/8.dcm": "SCANS/4-MR2/DICOM/8.dcm",
    }


def test_later_objects_of_a_renamed_scan_join_the_right_one() -> None:
    """P12: scans `1` and `1-MR1`."""
    archived = session(stored(1, "1.1", "1"), stored(2, "1.7", "1"))
    assert [scan.id for scan in archived.scans] == ["1", "1-MR1"]
    merge = plan_merge(session(stored(3, "1.7", "1")), archived)
    assert merge.files == {"SCANS/1/DICOM/3.dcm": "SCANS/1-MR1/DICOM/3.dcm"}


def test_two_objects_of_one_sop_instance_in_a_resource_need_leave_to_overwrite() -> None:
    """F14 and F16: not so if one of them is in the secondary resource."""
    both = session(stored(1), stored(1, file="SCANS/4/DICOM/b.dcm", sop_class_uid=ENHANCED_MR))
    (reason,) = conflicts_within(both, overwrite=False)
    assert reason.startswith("scan 4 has 1 SOP instance UIDs that several objects share")
    assert list(conflicts_within(both, overwrite=True)) == []
    mixed = session(stored(1), stored(1, file="SCANS/4/DICOM/b", sop_class_uid=RT_STRUCTURE_SET))
    assert list(conflicts_within(mixed, overwrite=False)) == []


def test_objects_of_one_name_are_both_kept_if_they_are_not_the_same() -> None:
    incoming = session(stored(9, "1.1", "4", file="SCANS/4/DICOM/2.dcm"))
    assert reasons(incoming, OLD) == []
    merge = plan_merge(incoming, OLD)
    assert (merge.files, merge.replaced) == ({"SCANS/4/DICOM/2.dcm": "SCANS/4/DICOM/2_1.dcm"}, ())
