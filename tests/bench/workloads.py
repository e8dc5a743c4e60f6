"""The objects that are sent: always the same bytes, made from headers of real files.

The headers are those of pydicom's test files, with private and long elements as scanners write
them; identifiers are replaced, and pixel data is noise that no file system can compress.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from tests.bench.pdus import Context, Encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import FileDataset

UID_ROOT = "1.2.826.0.1.3680043.8.498.77"
PROJECT = "BENCH"
"""Stands in Study Description, where the default identifier looks for it."""
_POOL_BYTES = 2 * 1024 * 1024
_FRAME = (600, 800, 3)
_FRAMES = 139
_US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of object, and how many of them one run sends."""

    name: str
    title: str
    code: int
    """Its part of the UIDs."""
    objects: int
    studies: int
    template: Callable[[int], FileDataset]
    """Return the data set of an object, pixel data included, but for its identifiers."""
    transfer_syntax_uid: str = ExplicitVRLittleEndian

    def count(self, associations: int, scale: float = 1.0) -> int:
        """Return how many objects one run sends: some for each association."""
        if self.objects <= 4:
            return max(associations, 1 if scale < 1 else 2)
        return max(2 * associations, round(self.objects * scale))


def make_objects(workload: Workload, count: int) -> Iterator[Encoded]:
    """Yield `count` objects in the order in which they are sent."""
    for number in range(count):
        data_set = make_object(workload, number, count)
        with DicomBytesIO() as encoded:
            encoded.is_little_endian, encoded.is_implicit_VR = True, False
            write_dataset(encoded, data_set)
            context = Context(data_set.SOPClassUID, workload.transfer_syntax_uid)
            yield Encoded(context, data_set.SOPInstanceUID, encoded.getvalue())


def make_object(workload: Workload, number: int, count: int) -> FileDataset:
    """Return one of `count` objects, valid until the next call; study follows study."""
    data_set = workload.template(number)
    study = number * min(workload.studies, count) // count
    study_uid = f"{UID_ROOT}.{workload.code}.{100 + study}"
    data_set.StudyInstanceUID = study_uid
    data_set.SeriesInstanceUID = f"{study_uid}.7"
    data_set.SOPInstanceUID = f"{study_uid}.7.{10_000 + number}"
    data_set.InstanceNumber = number + 1
    data_set.PatientName = f"Bench^{workload.name}^{study}"
    data_set.PatientID = f"BENCH{workload.code}{study:04d}"
    data_set.AccessionNumber = f"ACC{workload.code}{study:04d}"
    data_set.StudyDescription = PROJECT
    return data_set


@cache
def _template(name: str, workload: str) -> FileDataset:
    """Return a data set that only this workload fills in."""
    path = get_testdata_file(name, download=False)
    assert path is not None, f"pydicom's test file {name} is not installed"
    return dcmread(str(path))


@cache
def _pool() -> bytes:
    return random.Random(20_26).randbytes(_POOL_BYTES)


def _noise(number: int, size: int) -> bytes:
    """Return bytes that differ from object to object."""
    start = number * 4096 % (_POOL_BYTES - size)
    return _pool()[start : start + size]


def _image(data_set: FileDataset, side: int, pixels: bytes) -> FileDataset:
    data_set.Rows = data_set.Columns = side
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 12, 11
    data_set.PixelRepresentation = 0
    data_set.PixelData = pixels
    return data_set


def _ct(number: int) -> FileDataset:
    return _image(_template("CT_small.dcm", "ct"), 512, _noise(number, 512 * 512 * 2))


def _mr(number: int) -> FileDataset:
    return _image(_template("MR_small.dcm", "mr"), 256, _noise(number, 256 * 256 * 2))


def _small(number: int) -> FileDataset:
    return _template("rtplan.dcm" if number % 2 else "reportsi.dcm", "small")


def _j2k(number: int) -> FileDataset:
    """A codestream by its markers only: receivers look at the fragments, never inside."""
    codestream = b"\xff\x4f\xff\x51" + _noise(number, 150_000) + b"\xff\xd9"
    data_set = _image(_template("CT_small.dcm", "j2k"), 512, encapsulate([codestream]))
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    return data_set


def _large(number: int) -> FileDataset:
    data_set = _template("CT_small.dcm", "large")
    data_set.SOPClassUID, data_set.Modality = _US_MULTI_FRAME, "US"
    data_set.Rows, data_set.Columns, data_set.SamplesPerPixel = _FRAME
    data_set.NumberOfFrames, data_set.PlanarConfiguration = _FRAMES, 0
    data_set.PhotometricInterpretation, data_set.PixelRepresentation = "RGB", 0
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 8, 8, 7
    rows, columns, samples = _FRAME
    data_set.PixelData = _noise(number, rows * columns * samples) * _FRAMES
    data_set["PixelData"].VR = "OB"
    return data_set


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("ct", "CT 0.5 MB", 1, 500, 16, _ct),
        Workload("mr", "MR 130 KB", 2, 1000, 16, _mr),
        Workload("small", "small 3 KB", 3, 2000, 20, _small),
        Workload("j2k", "JPEG 2000 150 KB", 4, 500, 16, _j2k, JPEG2000Lossless),
        Workload("large", "multi-frame 200 MB", 5, 4, 4, _large),
    )
}
