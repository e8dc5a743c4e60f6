"""Reads a stored object back from its file, for building its session and for comparisons."""

from __future__ import annotations

import mmap
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import UID

from engine.dicom.dataset import read_header
from engine.dicom.header import (
    INSTANCE_NUMBER,
    MODALITY,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from engine.dicom.part10 import body_offset
from engine.errors import UnreadableObject
from engine.storage.scans import StoredObject

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView

MAX_TEXT_CHARACTERS = 256
_NUMBER_OF_FRAMES = 0x00280008
_SERIES_DESCRIPTION = 0x0008103E
_METHOD_CODES = 0x00120064
_PATIENT_NAME, _PATIENT_ID = 0x00100010, 0x00100020
_STUDY_DATE, _STUDY_TIME = 0x00080020, 0x00080030
_COMPARED_BYTES = 256 * 1024
_BEFORE_META = 128 + 4 + 12  # PS3.10 7.1: preamble, DICM, and the group length itself


def read_stored(folder: Path, file: str) -> StoredObject:
    """Read what building needs to know of an object.

    Args:
        folder: the session's folder.
        file: the object's file, relative to it.

    Raises:
        UnreadableObject: if the file is damaged.
        OSError: if it can't be read at all.
    """
    path = folder / file
    try:
        return _stored(file, path.stat().st_size, _header(path))
    except (ValueError, UnreadableObject) as error:
        # Only the scan is named: the name of a file may identify the patient.
        scan = Path(file).parts[1]
        raise UnreadableObject(f"an object of scan {scan} can't be read: {error}") from error


def same_data_set(one: Path, other: Path) -> bool:
    """Tell whether two stored files hold the same data set; the file meta does not count.

    Raises:
        OSError: if one of them can't be read.
    """
    with one.open("rb") as first, other.open("rb") as second:
        begins = body_offset(first.fileno()), body_offset(second.fileno())
        if begins[0] is None or begins[1] is None:
            return False
        first.seek(begins[0])
        second.seek(begins[1])
        while (mine := first.read(_COMPARED_BYTES)) == second.read(_COMPARED_BYTES):
            if not mine:
                return True
    return False


def scripts_of(path: Path) -> tuple[str, ...]:
    """Return the numbers of the scripts that a file says have run on it, if it can be read."""
    from engine.anonymize.record import recorded  # imports much, and is rarely needed

    try:
        header = _header(path)
        excerpt = header.excerpt([_METHOD_CODES])
        elements = excerpt.elements if excerpt else ()
        content = BytesIO(b"".join(element for _, element in elements))
        syntax = UID(header.transfer_syntax_uid)
        return recorded(read_dataset(content, syntax.is_implicit_VR, syntax.is_little_endian))
    except Exception:  # a hostile file must not hide its session
        return ()


def _header(path: Path) -> HeaderView:
    begin, syntax = _file_meta(path)
    with (
        path.open("rb") as file,
        # Mapped, so that pixel data behind the header are not read.
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages,
        memoryview(pages) as content,
        content[begin:] as data_set,
    ):
        return read_header(data_set, syntax, last_tag=_NUMBER_OF_FRAMES)


def _file_meta(path: Path) -> tuple[int, str]:
    """Return where the data set of a file begins, and its transfer syntax.

    Raises:
        UnreadableObject: if the file meta is damaged.
        OSError: if it can't be read at all.
    """
    try:
        meta = read_file_meta_info(path)
        length = int(meta.get("FileMetaInformationGroupLength", 0))
        return _BEFORE_META + length, str(meta.get("TransferSyntaxUID", ""))
    # A failing disk, not a damaged object: reported as a fault of the storage.
    except OSError:
        raise
    except Exception as error:  # pydicom raises errors of many kinds
        raise UnreadableObject("its file meta is damaged") from error


def _stored(file: str, size_bytes: int, header: HeaderView) -> StoredObject:
    def text(tag: int) -> str:
        return (header.text(tag) or "")[:MAX_TEXT_CHARACTERS]

    frames = text(_NUMBER_OF_FRAMES)
    return StoredObject(
        file=file,
        bytes=size_bytes,
        sop_class_uid=text(SOP_CLASS_UID),
        sop_instance_uid=text(SOP_INSTANCE_UID),
        study_instance_uid=text(STUDY_INSTANCE_UID),
        series_instance_uid=text(SERIES_INSTANCE_UID),
        series_number=text(SERIES_NUMBER),
        modality=text(MODALITY),
        series_description=text(_SERIES_DESCRIPTION),
        instance_number=text(INSTANCE_NUMBER),
        frames=int(frames) if frames.isdecimal() and frames.isascii() else 1,
        study_date=text(_STUDY_DATE),
        study_time=text(_STUDY_TIME),
        patient_id=text(_PATIENT_ID),
        patient_name=text(_PATIENT_NAME),
    )
