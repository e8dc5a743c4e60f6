"""A real engine without ports and without its clockwork: every step of it is called by hand.

Objects go through the pipeline as associations hand them over; sessions are looked after on the
thread of the caller, so that what is recorded, or fails, is the same each time.
"""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from engine.intake.object import ObjectArrival
from engine.service.engine import Engine
from engine.settings import EngineSettings
from tests import dicom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.intake.pipeline import ObjectOutcome
    from engine.model.session import Session
    from tests.fakes import FixedClock

ON_RECEIPT, BEFORE_ARCHIVE = "QUINCE^ZEBEDEE", "MALLOW^ISOLDE"
"""Names of patients: by the site's script the first is on no final file, by its project's script
the second on none of the archive."""
A_DAY = 86_400
TOKEN_BYTES = 32


@dataclass(frozen=True)
class Sent:
    """An object as its sender has it."""

    token: bytes
    """The last bytes of its pixel data, which no other object has."""
    data_set: bytes
    sop_class_uid: str
    sop_instance_uid: str
    receiver: str


def make(
    number: int, receiver: str = "RAW", *, content: int = 0, sr: bool = False, **values: Any
) -> Sent:
    """Return an object of a patient's study; another content makes it another object."""
    token = hashlib.sha256(f"{receiver}/{number}/{content}".encode()).digest()
    sop_class = "1.2.840.10008.5.1.4.1.1.88.11" if sr else dicom.CT_IMAGE_STORAGE
    values = {"StudyDescription": "NEURO", "PatientID": "E1", "SOPClassUID": sop_class} | values
    values |= {"SOPInstanceUID": f"1.2.3.{number}", "InstanceNumber": str(number)}
    data_set = dicom.image(dicom.EXPLICIT_VR_LITTLE_ENDIAN, token, **values)
    return Sent(token, data_set, sop_class, values["SOPInstanceUID"], receiver)


class Dock:
    """An engine on a data directory; use `running`."""

    def __init__(self, data: Path, clock: FixedClock, note: Callable[[str], None]) -> None:
        self.data = data
        self.clock = clock
        self.note = note
        self.engine = Engine(EngineSettings(data), clock=clock)
        self.sent: dict[bytes, Sent] = {}
        """All objects that were ever sent, by their tokens."""

    def pass_time(self, seconds: float) -> None:
        """Let the clock go on; a power cut from now on is later, too."""
        self.clock.advance(seconds)
        self.note(f"clock {self.clock.now().isoformat()}")

    def store(self, sent: Sent) -> ObjectOutcome:
        """Take an object in; what its sender is told is noted in the record just before it is."""
        self.sent[sent.token] = sent
        engine: Any = self.engine
        receivers = engine._configuration.receivers
        receiver = next(r for r in receivers if str(r.ae_title) == sent.receiver)
        pipeline = engine._intake.pipeline
        source = pipeline.source(receiver, "CT", "192.0.2.1:50112", "A-0001")
        arrival = ObjectArrival(
            source, sent.sop_class_uid, sent.sop_instance_uid, dicom.EXPLICIT_VR_LITTLE_ENDIAN
        )
        try:
            incoming = pipeline.begin(arrival)
            incoming.write([memoryview(sent.data_set)], len(sent.data_set))
            outcome: ObjectOutcome = pipeline.finish(incoming)
            if outcome.status == 0:
                self.note(f"stored {sent.token.hex()}")
            pipeline.record_outcome(incoming, outcome)
        finally:
            source.close()
        return outcome

    def replace(self, old: Sent, new: Sent) -> ObjectOutcome:
        """Take in an object that replaces another."""
        self.note(f"may-go {old.token.hex()}")
        return self.store(new)

    def look(self) -> None:
        """Do what is due for the sessions, as their thread does."""
        engine: Any = self.engine
        engine._index.flush(10)
        engine._session_service._lifecycle.run_due()

    def recover(self) -> None:
        """Recover the sessions that an earlier run left open, as their thread does first."""
        engine: Any = self.engine
        engine._session_service.recover()

    def fall_silent(self) -> None:
        """Let the idle time of all sessions pass, and what is due happen."""
        engine: Any = self.engine
        engine._index.flush(10)
        self.pass_time(301)
        self.look()

    def session(self, label: str, area: str | None = None) -> Session:
        """Return the newest session of a label."""
        engine: Any = self.engine
        sessions: tuple[Session, ...] = engine._index.sessions()
        found = [s for s in sessions if s.label == label and area in {None, str(s.area)}]
        return max(found, key=lambda session: session.id)

    def announce(self) -> None:
        """Note that a change of the configuration was answered."""
        self.note(f"revision {self.engine._configuration.revision}")


@contextmanager
def running(data: Path, clock: FixedClock, note: Callable[[str], None]) -> Iterator[Dock]:
    """Start an engine by hand, and stop it."""
    with clockwork_stopped():
        dock = Dock(data, clock, note)
        dock.engine.start()
        try:
            yield dock
        finally:
            dock.engine.stop(0)


@contextmanager
def clockwork_stopped() -> Iterator[None]:
    """Let the engine start without the threads that look after sessions and configuration.

    Rows are written at once: nobody waits for others to join them, or for long if that fails.
    """
    with ExitStack() as stack:
        stack.enter_context(patch("engine.index.writer.BATCH_SECONDS", 0))
        stack.enter_context(patch("engine.index.writer.RETRY_SECONDS", 0.02))
        for name in ("sessions.worker.SessionWorker", "config.watcher.ConfigurationWatcher"):
            for method in ("start", "stop"):
                stack.enter_context(patch(f"engine.{name}.{method}", lambda _self: None))
        yield
