"""Objects sorted into scans and resources, with XNAT's ids."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.project import PetMr
from engine.storage.scans import (
    Scan,
    StoredObject,
    is_primary,
    lead_modality,
    modality_of,
    scan_type,
    scans_of,
    session_type,
)

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
CT, PET = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RT_STRUCTURE_SET, RAW_DATA = "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.66"
PRIVATE = "1.2.3.4.99999999999999999999999"


def stored(number: int, series: str = "1.2.3", scan: str = "4", **changes: object) -> StoredObject:
    base = StoredObject(
        file=f"SCANS/{scan}/DICOM/{number}.dcm",
        bytes=100,
        sop_class_uid=MR,
        sop_instance_uid=f"1.2.3.4.{number}",
        series_instance_uid=series,
        series_number=scan,
        modality="MR",
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def shape(scans: tuple[Scan, ...]) -> list[tuple[str, dict[str, list[str]]]]:
    return [(s.id, {r.label: [e.name for e in r.entries] for r in s.resources}) for s in scans]


def test_a_scan_has_the_id_of_its_series_number() -> None:
    scans = scans_of([stored(1, scan="10"), stored(2, "1.2.4", "2"), stored(3, "1.2.3", "10")])
    assert shape(scans) == [("2", {"DICOM": ["2.dcm"]}), ("10", {"DICOM": ["1.dcm", "3.dcm"]})]


def test_a_second_series_of_one_number_gets_the_modality_and_a_count() -> None:
    objects = [stored(1, "1.9"), stored(2, "1.1"), stored(3, "1.5"), stored(4, "1.1")]
    assert [(s.id, s.series_instance_uid) for s in scans_of(objects)] == [
        ("4", "1.9"),
        ("4-MR1", "1.1"),
        ("4-MR2", "1.5"),
    ]


@pytest.mark.parametrize(
    ("modality", "scan_id"), [("CT", "4-CT1"), ("", "4-OT1"), ("../x", "4-OT1")]
)
def test_a_modality_becomes_part_of_a_folder_only_if_it_is_one(modality: str, scan_id: str) -> None:
    odd = stored(2, "1.9", modality=modality, sop_class_uid=PRIVATE)
    assert [s.id for s in scans_of([stored(1), odd])] == ["4", scan_id]


def test_a_series_without_number_is_named_by_its_uid() -> None:
    assert [s.id for s in scans_of([stored(1, "1.2.3", series_number="")])] == ["1_2_3"]


def test_ids_in_use_elsewhere_are_not_given_again() -> None:
    (scan,) = scans_of([stored(1)], taken={"4", "4-MR1"})
    assert scan.id == "4-MR2"


def test_what_is_no_image_goes_to_the_secondary_resource() -> None:
    objects = [
        stored(1),
        stored(2, sop_class_uid=ENHANCED_MR),
        stored(3, sop_class_uid=RT_STRUCTURE_SET),
        stored(4, sop_class_uid=PRIVATE),
    ]
    assert shape(scans_of(objects)) == [
        ("4", {"DICOM": ["1.dcm", "2.dcm"], "secondary": ["3.dcm", "4.dcm"]})
    ]
    assert not is_primary(SECONDARY_CAPTURE)


def test_two_objects_of_one_file_name_keep_both_and_what_is_in_place_keeps_its_name() -> None:
    here = stored(1, file="SCANS/4/DICOM/a.dcm")
    others = [stored(n, file=f"SCANS/{n}/DICOM/a.dcm") for n in (7, 8)]
    names = shape(scans_of([others[0], here, others[1]]))
    assert names == [("4", {"DICOM": ["a_1.dcm", "a.dcm", "a_2.dcm"]})]


def test_frames_of_multi_frame_objects_are_counted_one_by_one() -> None:
    (scan,) = scans_of([stored(1, frames=30), stored(2), stored(3, sop_class_uid=PRIVATE)])
    assert scan.frames == 31


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1.1", "1.2", "1.3", ""]),
            st.sampled_from(["1", "1-MR1", "", "a b", "../../x", "CON", "." * 70]),
            st.sampled_from([MR, SECONDARY_CAPTURE, PRIVATE]),
            st.sampled_from(["SCANS/1/DICOM/a.dcm", "SCANS/2/DICOM/a.dcm", "SCANS/1/secondary/a"]),
        ),
        max_size=12,
    )
)
def test_every_object_has_exactly_one_safe_place_of_its_own(
    series: list[tuple[str, str, str, str]],
) -> None:
    objects = [
        stored(n, uid, number, sop_class_uid=sop_class, file=f"{file}{n}")
        for n, (uid, number, sop_class, file) in enumerate(series)
    ]
    scans = scans_of(objects)
    places = [f"{s.folder(r)}/{e.name}" for s in scans for r in s.resources for e in r.entries]
    assert len(set(places)) == len(places) == len(objects)
    assert {o.file for s in scans for o in s.objects} == {o.file for o in objects}
    assert len({s.id for s in scans}) == len(scans)
    assert all("/" not in s.id and s.id not in {"", ".", ".."} for s in scans)


@pytest.mark.parametrize(
    ("modalities", "leads", "session"),
    [
        ({"MR"}, "MR", "MRSession"),
        ({"PT"}, "PT", "PETSession"),
        ({"CT", "SC"}, "CT", "CTSession"),
        ({"SC"}, "SC", "OtherDicomSession"),
        ({"RTSTRUCT", "MR"}, "MR", "MRSession"),
        ({"PT", "CT", "RTSTRUCT"}, "PT", "PETSession"),
        ({"PT", "MR"}, "PT/MR", "PETMRSession"),
        ({"XA"}, "XA", "XASession"),
        ({"CR"}, "CR", "CRSession"),
        (set(), "OT", "OtherDicomSession"),
    ],
)
def test_one_modality_leads_a_session(modalities: set[str], leads: str, session: str) -> None:
    assert (lead_modality(modalities), session_type(leads)) == (leads, session)


@pytest.mark.parametrize(
    ("wish", "modalities", "leads"),
    [
        (PetMr.PETMR, {"PT", "MR"}, "PT/MR"),
        (PetMr.PET, {"PT", "MR"}, "PT"),
        (PetMr.PET, {"PT/MR"}, "PT"),
        (PetMr.PET, {"MR"}, "MR"),
        (PetMr.SEPARATE, {"PT", "MR"}, "PT/MR"),
    ],
)
def test_what_pet_and_mr_make_a_session_is_a_setting(
    wish: PetMr, modalities: set[str], leads: str
) -> None:
    assert lead_modality(modalities, wish) == leads


@pytest.mark.parametrize(
    ("modality", "sop_class", "counts_as"),
    [
        ("", MR, "MR"),
        ("", ENHANCED_MR, "MR"),
        ("", CT, "CT"),
        ("", PET, "PT"),
        ("", "1.2.840.10008.5.1.4.1.1.13.1.1", "XA"),
        ("", PRIVATE, ""),
        ("CT", SECONDARY_CAPTURE, "CT"),
    ],
)
def test_an_object_without_modality_has_that_of_its_class(
    modality: str, sop_class: str, counts_as: str
) -> None:
    assert modality_of(modality, sop_class) == counts_as


def test_raw_data_and_mr_images_in_one_series_are_an_mr_scan() -> None:
    objects = [stored(1, modality="", sop_class_uid=RAW_DATA), stored(2, modality="")]
    (scan,) = scans_of(objects)
    assert (scan.modality, scan_type("MR", has_images=True)) == ("MR", "mrScanData")
    assert scan_type("CT", has_images=False) == "scScanData"
