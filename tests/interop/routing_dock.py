"""A running engine that sorts objects into projects, and XNAT's sample image to send it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from engine.model.project import Project
from engine.settings import Durability, EngineSettings
from tests.engine.service.test_service import NotingEngine
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver, sessions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.receiver import Receiver

JUNK = "notPatternOrProject"
COMMENT = "Project:P Subject:subj Session:sess"
ROUTED = "Project:P_rtd Subject:subj_rtd Session:sess_rtd"
_PATTERN = r"(0014,0046):Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+)"
RULES: dict[str, Any] = {
    "project_routing": f"{_PATTERN}:1",
    "subject_routing": f"{_PATTERN}:2",
    "session_routing": f"{_PATTERN}:3",
}
CONSTANT = "(0020,000E):(.*):1 t:.+ r:{}"
PROJECTS = tuple(map(Project, ("P", "P_rtd", "497x8489412x", "0R220790", "SIEx")))
"""Those that the scenarios route to."""


def image(**values: Any) -> Dataset:
    """Return XNAT's sample MR image, so far as routing looks at it."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, generate_uid(prefix=None)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.840.1", "1.2.840.1.4"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 4, 1
    ds.StudyDate, ds.Manufacturer = "20061214", "SIEMENS"
    ds.PatientName, ds.PatientID = "Sample Patient", "Sample ID"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def routed_image() -> Dataset:
    """Return the object of XNAT 12.1."""
    ds = image(PatientComments=COMMENT)
    ds.add_new(0x00140046, "LT", ROUTED)
    return ds


class Dock:
    """A running engine with XNAT's receiver, changed through its own interface."""

    def __init__(self, running: NotingEngine, settings: EngineSettings, port: int) -> None:
        self.engine = running
        self.data = settings.data_dir
        self.port = port

    def save(self, receiver: Receiver | None = None, **changes: Any) -> Receiver:
        receiver = receiver or self.engine.snapshot().receivers[0].receiver
        return self.engine.save_receiver(replace(receiver, **changes), "test")

    def send(self, *objects: Dataset, called: str = "XNAT") -> list[int | None]:
        to = Destination(LOOPBACK, self.port, called, "SCANNER")
        with SendingAssociation(to, [MRImageStorage]) as peer:
            return [peer.send(ds) for ds in objects]

    def labels_of(self, ds: Dataset, called: str = "XNAT") -> tuple[str, str | None, str]:
        """Send an object and tell under which labels it has been filed."""
        assert self.send(ds, called=called) == [0]
        newest = max(sessions(self.data), key=lambda session: session.id)
        return newest.project or "Unassigned", newest.subject, newest.label


@contextmanager
def running_dock(data: Path) -> Iterator[Dock]:
    port = free_port()
    configure(data, make_receiver("XNAT", port), projects=PROJECTS)
    settings = EngineSettings(data, durability=Durability.NONE)
    running = NotingEngine(settings)
    running.start()
    try:
        yield Dock(running, settings, port)
    finally:
        running.stop(drain_seconds=0)
