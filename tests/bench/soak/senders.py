"""Senders that send study after study, each of which is new, at a fixed rate."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.bench.pdus import Context, Encoded, Refused
from tests.bench.sender import Caller
from tests.bench.workloads import UID_ROOT, WORKLOADS, make_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_TEMPLATES = threading.Lock()
"""Held while a data set is filled in: all senders of a workload share one."""
_AGAIN = 5
"""Each fifth study is sent twice: its objects are duplicates."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one sender sends."""

    workload: str
    port: int
    called: str
    objects: int
    """In a study."""
    seconds: float
    """From the begin of one study to that of the next."""
    is_each_alone: bool = False
    """Whether each object has an association of its own; else each study has."""


@dataclass(slots=True)
class Sender:
    """Sends study after study; `run` is a thread of its own."""

    number: int
    load: Load
    confirmed: int = 0
    """Objects that were answered with success."""
    again: int = 0
    """Those among them that had been sent before."""
    failures: list[str] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        """Send until it is time to stop."""
        study = 0
        while not stopping.is_set():
            due = time.monotonic() + self.load.seconds
            try:
                objects = list(study_objects(self.number, study, self.load))
                self._send(objects)
                if study % _AGAIN == 0:
                    self._send(objects)
                    self.again += len(objects)
            except (OSError, Refused) as error:
                self.failures.append(f"{self.load.workload}: {error}")
            study += 1
            stopping.wait(max(0.0, due - time.monotonic()))

    def _send(self, objects: Sequence[Encoded]) -> None:
        for together in [[each] for each in objects] if self.load.is_each_alone else [objects]:
            self._send_together(together)

    def _send_together(self, objects: Sequence[Encoded]) -> None:
        context = objects[0].context
        with Caller(self.load.port, [context], called=self.load.called) as caller:
            for encoded in objects:
                status = caller.store(encoded)
                if status != 0:
                    raise Refused(f"an object was answered with 0x{status:04X}")
                self.confirmed += 1


def study_objects(sender: int, study: int, load: Load) -> Iterator[Encoded]:
    """Yield the objects of a study that no sender has sent before."""
    workload = WORKLOADS[load.workload]
    uid = f"{UID_ROOT}.{workload.code}.{sender}.{study}"
    for number in range(load.objects):
        with _TEMPLATES:
            data_set = make_object(workload, number, load.objects)
            data_set.StudyInstanceUID, data_set.SeriesInstanceUID = uid, f"{uid}.7"
            data_set.SOPInstanceUID = f"{uid}.7.{number + 1}"
            data_set.PatientID = data_set.AccessionNumber = f"SOAK{sender}-{study}"
            data_set.PatientName = f"Soak^{sender}^{study}"
            with DicomBytesIO() as encoded:
                encoded.is_little_endian, encoded.is_implicit_VR = True, False
                write_dataset(encoded, data_set)
                content = encoded.getvalue()
            context = Context(data_set.SOPClassUID, workload.transfer_syntax_uid)
            instance = data_set.SOPInstanceUID
        yield Encoded(context, instance, content)
