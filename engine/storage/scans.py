"""Scan, resource and modality of each object of a session (XNAT 9.3, 9.4, 12.12); pure.

Objects come in the order in which they arrived, so that a scan keeps its id when later objects
join the session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from pydicom.uid import UID

from engine.model.identity import scan_name
from engine.model.project import PetMr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path


PET = "PT"
MR = "MR"
PET_MR = "PT/MR"
OTHER = "OT"
SECONDARY_CAPTURE = "Secondary Capture"

# By the beginning of a SOP class's name, the first match counts.
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
"""XNAT's types of session and scan; in this order a modality leads if there are several."""
_LEADING = tuple(_TYPES)


def modality_of(modality: str, sop_class_uid: str) -> str:
    """Return an object's modality, or the one of its SOP class if it is empty."""
    return modality or _modality_of_class(sop_class_uid)


def lead_modality(modalities: Collection[str], pet_mr: PetMr = PetMr.PETMR) -> str:
    """Return the modality that gives a scan, or a session, its type; ``OT`` if none is known.

    Args:
        modalities: the modalities of all its objects, or scans.
        pet_mr: the project's setting for PET and MR together; until they are separated, they
            are a type of their own.
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


DICOM = "DICOM"
SECONDARY = "secondary"
SCANS = "SCANS"
UNKNOWN_MODALITY = "OT"

_MODALITY = re.compile(r"[A-Z0-9]{1,16}")
_NO_IMAGES = ("MR Spectroscopy Storage", "Enhanced US Volume Storage")
"""Primary imaging classes whose names do not end with "Image Storage"."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The values of one stored object that building needs."""

    file: str
    """Relative to the session's folder."""
    bytes: int
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    series_number: str = ""
    modality: str = ""
    series_description: str = ""
    instance_number: str = ""
    frames: int = 1
    study_date: str = ""
    study_time: str = ""
    patient_id: str = ""
    patient_name: str = ""

    @property
    def is_primary(self) -> bool:
        """Whether its SOP class is a primary imaging class, which decides about its resource."""
        return is_primary(self.sop_class_uid)


class ReadStored(Protocol):
    """Reads an object back from its file."""

    def __call__(self, folder: Path, file: str, /) -> StoredObject:
        """Read a file, which is relative to its session's folder.

        Raises:
            UnreadableObject: if its content is not a stored object.
            OSError: if it can't be read at all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a resource."""

    stored: StoredObject
    name: str
    """Its file name inside the resource."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The objects of one kind in a scan: ``DICOM``, or ``secondary``."""

    label: str
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """The size of all its objects."""
        return sum(entry.stored.bytes for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Scan:
    """One series of a session."""

    id: str
    """Also the name of its folder."""
    number: str
    """The id that it would have without another scan of the same series number."""
    series_instance_uid: str
    modality: str
    description: str
    resources: tuple[Resource, ...]

    @property
    def objects(self) -> tuple[StoredObject, ...]:
        """Its objects, in the order of the resources."""
        return tuple(e.stored for resource in self.resources for e in resource.entries)

    @property
    def frames(self) -> int:
        """How many images the scan has, frames of multi-frame objects counted one by one."""
        return sum(stored.frames for stored in self.objects if stored.is_primary)

    def folder(self, resource: Resource) -> str:
        """Return a resource's folder, relative to the session's."""
        return f"{SCANS}/{self.id}/{resource.label}"


def scans_of(objects: Sequence[StoredObject], taken: Collection[str] = ()) -> tuple[Scan, ...]:
    """Sort objects into scans, in the order of their ids.

    Args:
        objects: all objects of a session, in the order of their arrival.
        taken: scan ids that must not be used.
    """
    ids = _scan_ids(list(_series(objects)), taken)
    scans = (_scan(ids[name, uid], name, uid, own) for name, uid, own in _series(objects))
    return tuple(sorted(scans, key=lambda scan: natural_order(scan.id)))


def free_scan_id(number: str, modality: str, taken: Collection[str]) -> str:
    """Return ``4-MR1`` or the next free one for a scan whose number another scan has."""
    word = modality if _MODALITY.fullmatch(modality) else UNKNOWN_MODALITY
    count = 1
    while f"{number}-{word}{count}" in taken:
        count += 1
    return f"{number}-{word}{count}"


def natural_order(scan_id: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts ``2`` before ``10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", scan_id)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


@cache
def is_primary(sop_class_uid: str) -> bool:
    """Tell whether a SOP class holds images; documents, plans and private classes do not."""
    name = UID(sop_class_uid).name
    return name.endswith(("Image Storage", *_NO_IMAGES)) and SECONDARY_CAPTURE not in name


def _series(
    objects: Iterable[StoredObject],
) -> Iterator[tuple[str, str, tuple[StoredObject, ...]]]:
    """Yield each series with the id of its number, in the order of arrival."""
    series: dict[tuple[str, str], list[StoredObject]] = {}
    for stored in objects:
        name = scan_name(stored.series_number, stored.series_instance_uid)
        series.setdefault((name, stored.series_instance_uid), []).append(stored)
    for (name, uid), own in series.items():
        yield name, uid, tuple(own)


def _scan_ids(
    series: Sequence[tuple[str, str, tuple[StoredObject, ...]]], taken: Collection[str]
) -> dict[tuple[str, str], str]:
    """Give each series an id: the first one of a number gets ``4``, the next ``4-MR1``."""
    ids: dict[tuple[str, str], str] = {}
    numbers = {name for name, _, _ in series}
    for name, uid, own in series:
        used = {*taken, *ids.values()}
        if name in used:
            # Not a number of any series: that one shall have its own id, also if it comes later.
            ids[name, uid] = free_scan_id(name, _series_modality(own), used | numbers)
        else:
            ids[name, uid] = name
    return ids


def _scan(scan_id: str, name: str, uid: str, objects: tuple[StoredObject, ...]) -> Scan:
    parts = (
        (DICOM, [stored for stored in objects if stored.is_primary]),
        (SECONDARY, [stored for stored in objects if not stored.is_primary]),
    )
    resources = [_resource(scan_id, label, own) for label, own in parts if own]
    description = next((o.series_description for o in objects if o.series_description), "")
    return Scan(scan_id, name, uid, _series_modality(objects), description, tuple(resources))


def _resource(scan_id: str, label: str, objects: Sequence[StoredObject]) -> Resource:
    """Give each object a file name; objects in the right folder keep theirs."""
    folder = PurePosixPath(SCANS, scan_id, label)
    names = {o.file: PurePosixPath(o.file).name for o in objects}
    used = {names[o.file] for o in objects if PurePosixPath(o.file).parent == folder}
    for stored in objects:
        if PurePosixPath(stored.file).parent != folder:
            names[stored.file] = free_name(names[stored.file], used)
            used.add(names[stored.file])
    return Resource(label, tuple(Entry(o, names[o.file]) for o in objects))


def free_name(name: str, used: Collection[str]) -> str:
    """Return a file name, with ``_1``, ``_2`` … before its extension if it is in use."""
    stem, dot, extension = name.rpartition(".")
    candidate, number = name, 0
    while candidate in used:
        number += 1
        candidate = f"{stem}_{number}{dot}{extension}"
    return candidate


def _series_modality(objects: Sequence[StoredObject]) -> str:
    return lead_modality({modality_of(o.modality, o.sop_class_uid) for o in objects})
