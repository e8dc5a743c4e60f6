"""The object of a self-test: a tiny Secondary Capture image that says what it is."""

from __future__ import annotations

import secrets
from io import BytesIO
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from engine.model.marked import TEST_ROOT

if TYPE_CHECKING:
    from datetime import datetime

SOP_CLASS_UID = str(SecondaryCaptureImageStorage)
TRANSFER_SYNTAX_UID = str(ExplicitVRLittleEndian)
_SIDE = 16
_UID_DIGITS = 15


def marked_object(now: datetime) -> tuple[str, bytes]:
    """Return the SOP Instance UID of a new object, and its file."""
    stem = f"{TEST_ROOT}{secrets.randbelow(10**_UID_DIGITS - 1) + 1}"
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SOP_CLASS_UID, f"{stem}.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{stem}.2", f"{stem}.3"
    ds.StudyDate, ds.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.Modality, ds.ConversionType = "OT", "SYN"
    ds.PatientName, ds.PatientID = "SELFTEST^DICOMDOCK", "DICOMDOCK-SELFTEST"
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ""
    ds.StudyID, ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = "SELFTEST", "", 1, 1
    ds.StudyDescription = "dicomdock self-test"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = _SIDE
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes(range(_SIDE * _SIDE))
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return f"{stem}.1", file.getvalue()
