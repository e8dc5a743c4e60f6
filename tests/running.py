"""A real engine for tests, in this process or a second one, on free ports of the loopback."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from time import monotonic
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from engine.config.store import ConfigurationStore
from engine.dimse.pdata import BUFFER_BYTES, ReceiveBuffer
from engine.events import Event
from engine.events.journal import Journal
from engine.host.clock import SystemClock
from engine.identification.installed import infos_of, load_identifiers
from engine.index.store import SessionIndex
from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings
from engine.net.admission import PendingConnections
from engine.net.reactor import Reactor
from engine.reception.acceptance import EngineLoad
from engine.reception.association import SharedServices
from engine.reception.associations import Associations
from engine.reception.commitment_scp import CommitmentSCP
from engine.reception.deadlines import Deadlines
from engine.reception.listener import ListenerContext
from engine.reception.receivers import Receivers
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.events import RecordedEvent
    from engine.host.clock import Clock
    from engine.index.writer import ObjectRow
    from engine.model.project import Project
    from engine.model.session import Session
    from engine.net.ports import InheritedSockets
    from engine.reception.storage_scp import StorageSCP

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 30
UNHURRIED = Limits(
    associations_per_second_per_address=100_000, association_burst_per_address=100_000
)
"""The site's own limits, but as many associations as a test needs."""
LOOPBACK_SITE = SiteSettings(bind_address=LOOPBACK, limits=UNHURRIED)


LOGIN = pwd.getpwuid(os.getuid()).pw_name
"""Who runs the tests."""


class Ports:
    """Ports below those of outgoing connections, each for one test process of this machine only.

    A port is claimed by a lock on the byte of that number in a file that all test processes of
    a user share, so that no other one can take it between now and when it is bound.
    """

    def __init__(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        file = Path(gettempdir()) / f"dicomdock-test-ports-{os.getuid()}"
        self._claims = os.open(file, flags, 0o600)
        self._left = iter(range(20_000 + os.getpid() % 4_000, 32_000))

    def next_free(self) -> int:
        """Return a port that is free now and was never given before."""
        for port in self._left:
            if self._claim(port) and _is_free(port):
                return port
        raise AssertionError("no free port")

    def _claim(self, port: int) -> bool:
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as candidate:
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


free_port = Ports().next_free


def make_receiver(ae_title: str, port: int, **changes: Any) -> Receiver:
    """Return a new receiver with an id still to be given."""
    return Receiver(0, AETitle.parse(ae_title), port, **changes)


def configure(data_dir: Path, *receivers: Receiver, projects: tuple[Project, ...] = ()) -> None:
    """Write a configuration that listens on the loopback only, to callers in any hurry."""
    data_dir.mkdir(mode=0o750, exist_ok=True)
    identifiers = infos_of(load_identifiers())
    file = data_dir / "config.json"
    store = ConfigurationStore(file, clock=SystemClock(), identifiers=identifiers)
    store.set_site(LOOPBACK_SITE, "test")
    for project in projects:
        store.save_project(project, "test")
    for receiver in receivers:
        store.save_receiver(receiver, "test")


class EngineProcess:
    """`dicomdock engine` in a second process."""

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        through: Sequence[str] = (),
        keep: Sequence[int] = (),
    ) -> None:
        """Start it, perhaps through another command and with descriptors kept open for it."""
        command = [sys.executable, "-m", "engine", "--data", str(data_dir), "engine"]
        # They cost start time: a test that is about them says so.
        command += ["--receiving-processes", "0", *options]
        self.process = subprocess.Popen(
            [*through, *command], stderr=subprocess.PIPE, text=True, pass_fds=keep
        )
        self.data_dir = data_dir
        self.started_with: list[str] = []

    def wait_until_listening(self, receivers: int) -> None:
        """Return when the process has said that this many receivers listen or failed."""
        assert self.process.stderr is not None
        while (
            sum("listening" in line or "failed" in line for line in self.started_with) < receivers
        ):
            line = self.process.stderr.readline()
            assert line, f"the engine ended early: {''.join(self.started_with)}"
            self.started_with.append(line)

    def wait_until(self, has_come: Callable[[], bool], seconds: float = 20) -> None:
        """Return when something has come that only the disk shows."""
        deadline = monotonic() + seconds
        while not has_come():
            assert monotonic() < deadline, "it has not come"
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def terminate(self) -> int:
        """Ask it to stop in good order and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._wait()

    def _wait(self) -> int:
        code = self.process.wait(STOP_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def engine_process(data_dir: Path, receivers: int, *options: str) -> Iterator[EngineProcess]:
    """Run the engine in a second process until the block ends."""
    running = EngineProcess(data_dir, *options)
    try:
        running.wait_until_listening(receivers)
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()


def run_dcmtk(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK sender as a modality would; its output comes back as text."""
    return subprocess.run(
        [tool, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=50,
        check=False,
        env=os.environ | {"TCP_NODELAY": "1"},
    )


def stored_files(data_dir: Path) -> list[Path]:
    """Return all object files of the prearchive."""
    return sorted((data_dir / "prearchive").glob("**/SCANS/*/DICOM/*"))


def leftovers(data_dir: Path) -> list[Path]:
    """Return half-received files."""
    return [path for path in (data_dir / "incoming").rglob("*") if path.is_file()]


def object_rows(data_dir: Path) -> tuple[ObjectRow, ...]:
    """Return the journal rows of all objects, newest first."""
    index = SessionIndex(EngineSettings(data_dir).index_file, durable=False)
    try:
        return index.objects(limit=100_000)
    finally:
        index.close()


def sessions(data_dir: Path) -> tuple[Session, ...]:
    """Return all session rows."""
    index = SessionIndex(EngineSettings(data_dir).index_file, durable=False)
    try:
        return index.sessions()
    finally:
        index.close()


def descriptors() -> Iterator[str]:
    """Yield what each descriptor of this process stands for: a path, or ``socket:[4711]``."""
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            yield str(entry.readlink())


def held_below(folder: Path) -> int:
    """Return how many descriptors of this process stand for a folder or for what is in it."""
    return sum(Path(held).is_relative_to(folder) for held in descriptors())


def sockets_at(*ports: int) -> int:
    """Return how many sockets of this process have one of some local ports.

    Those are listeners and what they have accepted, whatever else this process has open.
    """
    entries = Path("/proc/self/fd").iterdir()
    return sum(_port_of(entry) in ports for entry in entries)


def _port_of(entry: Path) -> int:
    """Return the local port of a descriptor; 0 if it is no socket of one, or closed meanwhile."""
    with suppress(OSError):
        if not str(entry.readlink()).startswith("socket:"):
            return 0  # not to be opened and closed again: SQLite's locks would go (fcntl(2))
        with socket.fromfd(int(entry.name), socket.AF_INET, socket.SOCK_STREAM) as held:
            match held.getsockname():
                case (str(), int(port), *_):
                    return port
                case _:
                    pass
    return 0


@contextmanager
def calls_of(owner: object, method: str) -> Iterator[threading.Semaphore]:
    """Yield a semaphore that each end of a call of a method releases, on whatever thread."""
    real, ended = getattr(owner, method), threading.Semaphore(0)

    def call(*arguments: Any, **more: Any) -> Any:
        try:
            return real(*arguments, **more)
        finally:
            ended.release()

    with patch.object(owner, method, call):
        yield ended


def join_all_but(before: set[threading.Thread]) -> None:
    """Wait for every thread that is not among some, and for those that they start in turn."""
    while new := set(threading.enumerate()) - before:
        for thread in new:
            with suppress(RuntimeError):  # it is only just being started
                thread.join(20)
                assert not thread.is_alive(), thread.name


class WatchedJournal(Journal):
    """A journal that wakes whoever waits for an event."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.changed = threading.Condition()

    def record(self, event: Event) -> RecordedEvent:
        recorded = super().record(event)
        with self.changed:
            self.changed.notify_all()
        return recorded


class SettableTime:
    """The time of the loop, which passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def monotonic(self) -> float:
        return self.seconds


class Dock:
    """The listeners of an engine without the rest of it; use it in a `with` block."""

    def __init__(
        self,
        clock: Clock | None = None,
        storage: StorageSCP | None = None,
        *,
        handshake_seconds: float = 10.0,
        inherited: InheritedSockets | None = None,
        time: SettableTime | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self._time = time
        self.journal = WatchedJournal(self.clock)
        self.associations = Associations(self.clock, self.journal)
        self.site = LOOPBACK_SITE
        self.draining = False
        self.pending = PendingConnections(self.clock, self.journal, 1000, 1000)
        self.reactor = Reactor(monotonic=time.monotonic if time else monotonic)
        services = SharedServices(
            self.reactor,
            ReceiveBuffer(BUFFER_BYTES),
            self.associations,
            storage,  # type: ignore[arg-type]
            CommitmentSCP(self.associations, self.journal),
            Deadlines(handshake_seconds=handshake_seconds),
        )
        listener_context = ListenerContext(
            *(services, self.associations, self.pending, self.load, self.clock),
            *(self.journal, inherited),
        )
        self.receivers = Receivers(listener_context, self.on_change)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.receivers.stop_accepting()
        self.receivers.abort_all()
        assert self.associations.wait_until_none(10)

    def load(self) -> EngineLoad:
        return EngineLoad(self.associations.open_ones(), self.site, self.draining)

    def on_change(self) -> None:
        """Called when a port was bound or failed by itself."""

    def apply(self, *receivers: Receiver) -> None:
        self.receivers.apply(receivers, self.site)

    def settle(self) -> None:
        """Return when the loop has acted on everything that has come so far."""
        for _ in range(2):  # what came during a round of the loop is acted on in the next one
            assert self.reactor.call_and_wait(lambda: None, 20)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the peers, after everything that has come so far."""
        assert self._time is not None
        self.settle()
        self._time.seconds += seconds
        self.settle()

    def wake(self) -> None:
        """Let the supervisor look at the clock, which a clock that stands still does not."""
        with self.receivers._wake:
            self.receivers._wake.notify_all()

    def wait_until(self, has_come: Callable[[], bool]) -> None:
        """Wait for an event; `has_come` looks at what was told, and at nothing else."""
        with self.journal.changed:
            assert self.journal.changed.wait_for(has_come, 20), self.told(Event)

    def told(self, *kinds: type[Event]) -> list[str]:
        """Return what was told of some kinds of event, each as ``AE:port sentence``."""
        page = self.journal.events_since(0, 1000)
        events = [r.event for r in page.events if isinstance(r.event, kinds)]
        return [f"{event.receiver} {event.sentence()}" for event in events]
