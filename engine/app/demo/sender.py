"""The demonstration's second process: scanners that send studies until standard input ends.

It prints one JSON line with its counts when it has stopped.
"""

from __future__ import annotations

import argparse
import array
import json
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from engine.dimse.contexts import EXPLICIT_LITTLE
from engine.dimse.scu import OutgoingAssociation
from engine.errors import AssociationRefused, PeerError
from engine.model.peer import Peer, PeerDeadlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


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
        scanner: the modality that acquires it.
        number: gives subject and session their names.
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


CT_AE_TITLE = "DEMO_CT"
MR_AE_TITLE = "DEMO_MR"
PROJECTS = ("NEURO-01", "THORAX-02")
UNKNOWN_CALLER = "OLD_WS"
"""The calling AE title that is on no whitelist."""

_OBJECT_PAUSE_SECONDS = 0.04
_STUDY_PAUSE_SECONDS = 1.5
_UNKNOWN_CALLER_PAUSE_SECONDS = 4.0
_JOIN_SECONDS = 15
_DEADLINES = PeerDeadlines(connect_seconds=10, answer_seconds=10)


class Demonstration:
    """Scanners at work; each runs on a thread of its own."""

    def __init__(self, ct_port: int, mr_port: int) -> None:
        self._ct_port = ct_port
        self._mr_port = mr_port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._acquire, args=(CT_SCANNER, PROJECTS[1], 1)),
            threading.Thread(target=self._acquire, args=(ER_CT, PROJECTS[0], 2)),
            threading.Thread(target=self._acquire, args=(MR_SCANNER, PROJECTS[0], 3)),
            threading.Thread(target=self._knock),
        ]

    def start(self) -> None:
        """Let all scanners send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict[str, int]:
        """Let every scanner finish its object and release; return the counts."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
        names = ("objects_sent", "associations", "associations_rejected")
        return {name: self._counts[name] for name in names}

    def _acquire(self, scanner: Scanner, project: str, first: int) -> None:
        for number in count(first, 3):
            with suppress(PeerError):
                self._send(scanner, study(scanner, number, project, datetime.now(UTC)))
            if self._stop.wait(_STUDY_PAUSE_SECONDS):
                return

    def _send(self, scanner: Scanner, objects: Iterable[Dataset]) -> None:
        with self._call(scanner, scanner.ae_title) as association:
            self._count("associations")
            for ds in objects:
                if self._stop.is_set():
                    return
                encoded = _encoded(ds)
                context = (scanner.sop_class_uid, EXPLICIT_LITTLE)
                association.store(context, ds.SOPInstanceUID, [memoryview(encoded)], len(encoded))
                self._count("objects_sent")
                self._stop.wait(_OBJECT_PAUSE_SECONDS)

    def _knock(self) -> None:
        """Request associations that the whitelist rejects, again and again."""
        while not self._stop.is_set():
            try:
                with self._call(MR_SCANNER, UNKNOWN_CALLER):
                    pass
            except AssociationRefused:
                self._count("associations_rejected")
            except PeerError:
                pass
            self._stop.wait(_UNKNOWN_CALLER_PAUSE_SECONDS)

    def _call(self, scanner: Scanner, calling: str) -> OutgoingAssociation:
        called, port = (
            (CT_AE_TITLE, self._ct_port)
            if scanner.modality == "CT"
            else (MR_AE_TITLE, self._mr_port)
        )
        peer = Peer("127.0.0.1", port, called, calling)
        return OutgoingAssociation(peer, [(scanner.sop_class_uid, EXPLICIT_LITTLE)], _DEADLINES)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1


def _encoded(ds: Dataset) -> bytes:
    """Return a data set in Explicit VR Little Endian."""
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, ds)
    return encoded.getvalue()


def main(argv: Sequence[str] | None = None) -> int:
    """Send to the two demonstration receivers until standard input is closed."""
    parser = argparse.ArgumentParser(prog="dicomdock demo sender")
    parser.add_argument("ct_port", type=int)
    parser.add_argument("mr_port", type=int)
    options = parser.parse_args(argv)
    demonstration = Demonstration(options.ct_port, options.mr_port)
    demonstration.start()
    sys.stdin.read()
    sys.stdout.write(json.dumps(demonstration.stop()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
