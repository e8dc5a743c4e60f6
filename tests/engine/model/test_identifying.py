"""Which elements may tell who a patient is."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from engine.model.identity import is_identifying, is_private


@pytest.mark.parametrize(
    "keyword",
    [
        *("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientComments"),
        *("AccessionNumber", "ReferringPhysicianName", "OperatorsName", "InstitutionName"),
        *("PatientAddress", "AdmissionID", "RequestingPhysician", "ImageComments"),
        *("EthnicGroup", "StationName", "DeviceSerialNumber", "VerifyingObserverName"),
        *("AdditionalPatientHistory", "TextValue", "PersonName"),
    ],
)
def test_what_leads_to_a_person_is_identifying(keyword: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert is_identifying(tag, dictionary_VR(tag))


@pytest.mark.parametrize(
    "keyword",
    [
        *("SOPInstanceUID", "StudyInstanceUID", "Modality", "StudyDescription", "Rows"),
        *("SeriesDescription", "PatientSex", "PatientAge", "PatientWeight", "PixelData"),
        *("OtherPatientIDsSequence", "StudyDate", "WindowCenter"),
    ],
)
def test_what_routing_and_technique_need_is_not(keyword: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    assert not is_identifying(tag, dictionary_VR(tag))


def test_private_values_may_be_anything_but_their_creators_are_known() -> None:
    assert is_identifying(0x00091001, "LO")
    assert not is_identifying(0x00090010, "LO")
    assert is_private(0x00090010)
    assert not is_private(0x00080010)
