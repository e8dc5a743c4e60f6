"""Synthetic CT and MR studies with realistic headers; the people in them do not exist."""

from __future__ import annotations

import array
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

ROWS = COLUMNS = 128
_FAMILY_NAMES = ("Ashdown", "Bellweather", "Calloway", "Dunmore", "Everhart", "Fairbourne")
_GIVEN_NAMES = ("Avery", "Blake", "Casey", "Devon", "Ellis", "Finley")


@dataclass(frozen=True, slots=True)
class DemoSeries:
    """One series of a synthetic study."""

    description: str
    images: int


@dataclass(frozen=True, slots=True)
class Scanner:
    """A modality that acquires synthetic studies."""

    ae_title: str
    modality: str
    sop_class_uid: UID
    manufacturer: str
    model: str
    study_description: str
    series: tuple[DemoSeries, ...]


CT_SCANNER = Scanner(
    "CT_SCANNER_1",
    "CT",
    CTImageStorage,
    "Northlight Imaging",
    "Helix 64",
    "THORAX",
    (
        DemoSeries("Topogram", 1),
        DemoSeries("Thorax 5.0 B40f", 24),
        DemoSeries("Thorax 1.0 B60f", 48),
    ),
)
ER_CT = Scanner(
    "ER_CT",
    "CT",
    CTImageStorage,
    "Northlight Imaging",
    "Helix 16",
    "HEAD",
    (DemoSeries("Topogram", 1), DemoSeries("Head 5.0 H40s", 28)),
)
MR_SCANNER = Scanner(
    "MR_PRISMA",
    "MR",
    MRImageStorage,
    "Southfield Magnetics",
    "Lumen 3T",
    "BRAIN",
    (DemoSeries("localizer", 3), DemoSeries("t1_mprage_sag", 40), DemoSeries("t2_tse_tra", 24)),
)


def study(scanner: Scanner, number: int, project: str, acquired_at: datetime) -> Iterator[Dataset]:
    """Yield the objects of one study, series by series.

    Args:
        scanner: what the study is acquired on.
        number: makes subject and session of the study.
        project: a project id, written where XNAT's default rules find it.
        acquired_at: study date and time.
    """
    study_uid = generate_uid()
    for series_number, series in enumerate(scanner.series, start=1):
        series_uid = generate_uid()
        for instance_number in range(1, series.images + 1):
            ds = _header(scanner, number, project, acquired_at)
            ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
            ds.SeriesNumber, ds.SeriesDescription = series_number, series.description
            ds.InstanceNumber = instance_number
            ds.SOPInstanceUID = generate_uid()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            _add_pixels(ds, instance_number / series.images)
            yield ds


def _header(scanner: Scanner, number: int, project: str, acquired_at: datetime) -> Dataset:
    family = _FAMILY_NAMES[number % len(_FAMILY_NAMES)]
    given = _GIVEN_NAMES[number // len(_FAMILY_NAMES) % len(_GIVEN_NAMES)]
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = scanner.sop_class_uid
    ds.StudyDate = ds.SeriesDate = acquired_at.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = acquired_at.strftime("%H%M%S")
    ds.AccessionNumber = f"ACC{number:06d}"
    ds.Modality = scanner.modality
    ds.Manufacturer = scanner.manufacturer
    ds.ManufacturerModelName = scanner.model
    ds.StudyDescription = scanner.study_description
    ds.PatientName = f"{family}^{given}"
    ds.PatientID = f"DEMO-{number:04d}"
    ds.PatientBirthDate = (acquired_at - timedelta(days=365 * (20 + number % 60))).strftime(
        "%Y%m%d"
    )
    ds.PatientSex = "FM"[number % 2]
    subject, session = f"S{number:04d}", f"S{number:04d}_{scanner.modality}_01"
    ds.PatientComments = f"Project:{project} Subject:{subject} Session:{session}"
    ds.StudyID = str(number)
    ds.SliceThickness = "5.0"
    return ds


def _add_pixels(ds: Dataset, position: float) -> None:
    """Draw a bright ellipse whose size changes through the series."""
    radius = 0.25 + 0.65 * (1 - abs(2 * position - 1))
    samples = array.array("H")
    for row in range(ROWS):
        y = (row - ROWS / 2) / (ROWS / 2)
        half = int(COLUMNS / 2 * max(0.0, radius * radius - y * y) ** 0.5)
        margin = COLUMNS // 2 - half
        samples.extend([24] * margin + [900 + 4 * row] * (2 * half) + [24] * margin)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0
    ds.PixelData = samples.tobytes()
    ds["PixelData"].VR = "OW"
