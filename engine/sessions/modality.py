"""What kind of session a study is, from the modalities of its scans (XNAT 12.12); pure."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pydicom.uid import UID

from engine.model.pet_mr import PetMr

if TYPE_CHECKING:
    from collections.abc import Collection

PET = "PT"
MR = "MR"
PET_MR = "PT/MR"
OTHER = "OT"
SECONDARY_CAPTURE = "Secondary Capture"

_BY_CLASS_NAME = (
    ("MR ", "MR"),
    ("CT ", "CT"),
    ("Positron Emission Tomography", "PT"),
    ("PET ", "PT"),
    ("Ultrasound", "US"),
    ("US ", "US"),
    ("Computed Radiography", "CR"),
    ("Nuclear Medicine", "NM"),
    ("X-Ray Angiographic", "XA"),
    ("XA ", "XA"),
    ("X-Ray 3D Angiographic", "XA"),
    ("X-Ray Radiofluoroscopic", "RF"),
    ("Digital Mammography", "MG"),
    ("Digital X-Ray", "DX"),
    ("RT Structure Set", "RTSTRUCT"),
)
_TYPES = {
    "PT/MR": ("PETMRSession", ""),
    "PT": ("PETSession", "petScanData"),
    "MR": ("MRSession", "mrScanData"),
    "CT": ("CTSession", "ctScanData"),
    "NM": ("NMSession", "nmScanData"),
    "XA": ("XASession", "xaScanData"),
    "RF": ("RFSession", "rfScanData"),
    "US": ("USSession", "usScanData"),
    "MG": ("MGSession", "mgScanData"),
    "CR": ("CRSession", "crScanData"),
    "DX": ("DXSession", "dxScanData"),
    "IO": ("IOSession", "ioScanData"),
    "XC": ("XCSession", "xcScanData"),
    "ES": ("ESSession", "esScanData"),
    "GM": ("GMSession", "gmScanData"),
    "SM": ("SMSession", "smScanData"),
    "OP": ("OPSession", "opScanData"),
    "OPT": ("OPTSession", "optScanData"),
    "ECG": ("ECGSession", "ecgScanData"),
    "EPS": ("EPSSession", "epsScanData"),
    "HD": ("HDSession", "hdScanData"),
    "RTSTRUCT": ("RTSession", "rtImageScanData"),
    "RTIMAGE": ("RTSession", "rtImageScanData"),
    "RTDOSE": ("RTSession", "rtImageScanData"),
    "RTPLAN": ("RTSession", "rtImageScanData"),
}
"""XNAT's types of session and scan; the order says which modality leads where there are several."""
_LEADING = tuple(_TYPES)


def modality_of(modality: str, sop_class_uid: str) -> str:
    """Return an object's modality, from its SOP class if it does not say one."""
    return modality or _modality_of_class(sop_class_uid)


def lead_modality(modalities: Collection[str], pet_mr: PetMr = PetMr.PETMR) -> str:
    """Return the modality that gives a scan, or a session, its type; ``OT`` if none is known.

    Args:
        modalities: of all its objects, or scans.
        pet_mr: what PET and MR together are; until they are separated, a type of its own.
    """
    if PET_MR in modalities or {PET, MR} <= set(modalities):
        return PET if pet_mr is PetMr.PET else PET_MR
    leading = next((m for m in _LEADING if m in modalities), None)
    return leading or next(iter(sorted(filter(None, modalities))), OTHER)


def session_type(modality: str) -> str:
    """Return XNAT's type of a session, such as ``MRSession``."""
    return _TYPES.get(modality, ("OtherDicomSession", ""))[0]


def scan_type(modality: str, *, has_images: bool) -> str:
    """Return XNAT's type of a scan, such as ``mrScanData``."""
    if not has_images and modality in {"MR", "CT", "PT", "SC"}:
        return "scScanData"
    return _TYPES.get(modality, ("", ""))[1] or "otherDicomScanData"


@cache
def _modality_of_class(sop_class_uid: str) -> str:
    name = UID(sop_class_uid).name.removeprefix("Enhanced ").removeprefix("Legacy Converted ")
    return next((modality for start, modality in _BY_CLASS_NAME if name.startswith(start)), "")
