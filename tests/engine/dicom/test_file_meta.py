"""File metas: pydicom reads them, and nothing that a peer says breaks them."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, FileMeta
from engine.errors import UnreadableObject
from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    image,
)


@pytest.mark.parametrize(
    "syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE]
)
def test_pydicom_reads_what_is_written(syntax: str) -> None:
    preamble = FileMeta(CT_IMAGE_STORAGE, syntax, "CT1", "XNAT").preamble("1.2.3.45")
    ds = pydicom.dcmread(BytesIO(preamble + image(syntax)))
    meta = ds.file_meta
    assert ds.preamble == bytes(128)
    assert meta.FileMetaInformationGroupLength == len(preamble) - 144
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPClassUID == CT_IMAGE_STORAGE
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.45"
    assert meta.TransferSyntaxUID == syntax
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.SourceApplicationEntityTitle == "CT1"
    assert meta.ReceivingApplicationEntityTitle == "XNAT"
    assert ds.PatientName == "Doe^Jane"


def test_the_implementation_uid_is_valid() -> None:
    assert pydicom.uid.UID(IMPLEMENTATION_CLASS_UID).is_valid


def test_strange_values_cannot_break_the_file_meta() -> None:
    file_meta = FileMeta("1.2\u00e9", EXPLICIT_VR_LITTLE_ENDIAN, "a title that is too long", "")
    preamble = file_meta.preamble("../../x\0\n")
    meta = pydicom.dcmread(BytesIO(preamble + image())).file_meta
    assert meta.SourceApplicationEntityTitle == "a title that is"
    with pytest.raises(UnreadableObject, match="too long"):
        file_meta.preamble("9" * 66_000)
