"""Files, archives and media to import."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

from engine.dicom.part10 import FileMeta
from tests import dicom

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def dicom_file(
    uid: str,
    syntax: str = dicom.EXPLICIT_VR_LITTLE_ENDIAN,
    sop_class: str = dicom.CT_IMAGE_STORAGE,
    pixels: bytes | None = None,
) -> bytes:
    """Return a file with a small image."""
    preamble = FileMeta(sop_class, syntax, "CT1", "XNAT").preamble(uid)
    encoded_as = syntax if syntax in dicom.UNCOMPRESSED else dicom.EXPLICIT_VR_LITTLE_ENDIAN
    names = {"SOPInstanceUID": uid, "SOPClassUID": sop_class}
    return preamble + dicom.image(encoded_as, pixels, **names)


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a ZIP archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, members: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    """Write a tar archive."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_dicomdir(folder: Path, *references: Sequence[str]) -> Path:
    """Write a DICOMDIR that refers to files."""
    records = [
        [
            dicom.element("DirectoryRecordType", "IMAGE"),
            dicom.element("ReferencedFileID", "\\".join(reference)),
        ]
        for reference in references
    ]
    media_directory = "1.2.840.10008.1.3.10"
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    preamble = FileMeta(media_directory, syntax, "", "").preamble("1.2.3")
    element = dicom.element("DirectoryRecordSequence", records)
    path = folder / "DICOMDIR"
    path.write_bytes(preamble + dicom.encode([element], syntax))
    return path
