"""The demonstration's second process: scanners that send studies until standard input ends.

It prints one JSON line with what it did when it has stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from engine.app.demo.studies import CT_SCANNER, ER_CT, MR_SCANNER, Scanner, study
from engine.dimse.contexts import EXPLICIT_LITTLE
from engine.dimse.scu import OutgoingAssociation
from engine.errors import AssociationRefused, PeerError
from engine.model.peer import Peer, PeerDeadlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydicom.dataset import Dataset

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
        """Let every scanner finish its object and release; return what they did."""
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
        """Ask again and again for what the whitelist does not allow."""
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
