"""The receivers that are compared, each as installed but for what is said here.

Debian's DCMTK writes the head and the body of a PDU with two calls and leaves Nagle's algorithm on:
as installed, `storescp` and Orthanc wait 44 ms per object for a delayed acknowledgement. That would
make every comparison meaningless, so `TCP_NODELAY=1` is set for both.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.anonymization import SiteScript
from engine.model.project import Project
from engine.model.site import SiteSettings
from engine.remote.client import RemoteEngine
from engine.remote.failures import EngineSilent
from engine.settings import EngineSettings, usual_receiving_processes
from tests.bench.disk_limit import DiskLimit
from tests.bench.processes import Failed, process
from tests.bench.sender import LOOPBACK
from tests.bench.tape import CALLED
from tests.bench.workloads import PROJECT
from tests.running import UNHURRIED, configure, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.processes import Process

SCRIPT_OF_20_EDITS = """version "6.6"
(0008,0018) := hashUID[(0008,0018)]
(0020,000D) := hashUID[(0020,000D)]
(0020,000E) := hashUID[(0020,000E)]
(0020,0052) := hashUID[(0020,0052)]
*/(0008,1155) ?= "1.2.3"
-(0008,0080)
-(0008,0081)
-(0008,0090)
-(0008,1010)
-(0008,1050)
-(0008,1070)
-(0010,0030)
-(0010,1040)
-(0010,2160)
-(0010,21B0)
-(0018,1000)
(0008,0050) := "0"
(0010,0010) := subject
(0010,0020) := session
"Unassigned" != project ? (0008,1030) := project
"""
"""UIDs hashed, persons and devices removed, labels set: the frequent shape."""
_START_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_SINK = Path(__file__).with_name("sink.c")
FLUSHING_ONLY = ("sink", "disk-limit")
"""Those that always flush, so they take part with durability `full` only, unless they are named."""
_NO_DELAY = {"TCP_NODELAY": "1"}


class Absent(Exception):
    """The receiver is not installed."""


class ReceiverKind(Protocol):
    """One of the compared receivers."""

    @property
    def name(self) -> str:
        """What it is called on the command line and in raw results."""
        ...

    @property
    def title(self) -> str:
        """What it is called in tables."""
        ...

    def version(self) -> str:
        """Return what is installed.

        Raises:
            Absent: if nothing is.
        """
        ...

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Prepare the folder, and return the command that receives into it."""
        ...

    def wait_until_listening(self, started: Process, port: int) -> None:
        """Return when it listens on the port."""
        ...

    def stored(self, folder: Path) -> int:
        """Return how many objects it has stored, now that it is stopped."""
        ...


@contextmanager
def running(kind: ReceiverKind, folder: Path, port: int) -> Iterator[int]:
    """Run a receiver until the block ends, and give its process id.

    Raises:
        Failed: if it does not listen in time.
    """
    folder.mkdir(parents=True)
    with process(kind.command(folder, port), folder, _NO_DELAY) as started:
        kind.wait_until_listening(started, port)
        yield started.pid


class Dicomdock:
    """The real engine with its whole pipeline: identification, placement, index and journal."""

    name = "dicomdock"
    title = "dicomdock"

    def __init__(
        self,
        durability: str = "none",
        rules: str = "",
        ports: int = 1,
        open_at_once: int = 0,
        script: str = "",
        processes: int | None = None,
    ) -> None:
        """Say how it is configured.

        Args:
            durability: what is flushed before an object is confirmed.
            rules: routing expressions of its receivers, for project, subject and session alike.
            ports: how many receivers there are, on as many ports from the given one on.
            open_at_once: raises the limits on associations; 0 leaves them as they are.
            script: the site's anonymization script; empty for none.
            processes: how many receive; None for the default of the engine.
        """
        self._processes = processes
        self._data = Path()
        """The data directory of the last engine."""
        self._script = script
        self._durability = durability
        self._rules = {f"{of}_routing": rules for of in ("project", "subject", "session")}
        self._ports = ports
        self._open_at_once = open_at_once

    def version(self) -> str:
        """Return the version in this clone."""
        receiving = receiving_processes(self._processes)
        return f"this clone, durability {self._durability}, {receiving} receiving processes"

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Write the configuration and return how the engine starts."""
        data = self._data = folder / "data"
        routing = {"routing_enabled": True, **self._rules} if any(self._rules.values()) else {}
        receivers = [make_receiver(CALLED, port + n, **routing) for n in range(self._ports)]
        configure(data, *receivers, projects=(Project.parse({"id": PROJECT}),))
        if self._open_at_once:
            most = self._open_at_once
            limits = replace(
                UNHURRIED,
                associations=most,
                associations_per_receiver=most,
                associations_per_address=most,
                associations_per_calling_ae_title=most,
                idle_seconds=3600,
            )
            store = ConfigurationStore(data / "config.json", clock=SystemClock())
            store.set_site(SiteSettings(bind_address=LOOPBACK, limits=limits), "bench")
        if self._script:
            store = ConfigurationStore(data / "config.json", clock=SystemClock())
            site = store.load().site
            store.set_site(replace(site, script=SiteScript(True, self._script)), "bench")
        engine = [sys.executable, "-m", "engine", "--data", str(data), "engine"]
        processes = [] if self._processes is None else [f"--receiving-processes={self._processes}"]
        return [*engine, "--durability", self._durability, *processes]

    def wait_until_listening(self, started: Process, port: int) -> None:
        """Return when each of its receivers listens, and all its processes have started.

        The ports open before that; what a start costs is measured elsewhere.

        Raises:
            Failed: if its processes do not start in time.
        """
        started.wait_for_lines("listening", self._ports)
        wanted, until = receiving_processes(self._processes), time.monotonic() + _START_SECONDS
        with closing(RemoteEngine(EngineSettings(self._data).control_file)) as engine:
            while self._processes_of(engine) < wanted:
                if time.monotonic() >= until:
                    raise Failed(f"its {wanted} receiving processes did not start")
                time.sleep(_LOOK_SECONDS)

    def _processes_of(self, engine: RemoteEngine) -> int:
        # On a busy machine its first answer may take longer than a look waits.
        try:
            return len(engine.view.snapshot().processes)
        except EngineSilent:
            return 0

    def stored(self, folder: Path) -> int:
        """Count the files; the index must have a row for each, and a session for each row.

        Raises:
            Failed: if files and index differ.
        """
        data = folder / "data"
        files = sum(1 for _ in (data / "prearchive").glob("**/SCANS/*/DICOM/*"))
        with closing(sqlite3.connect(data / "index.sqlite")) as index:
            query = "SELECT count(*) FROM objects WHERE state = 'stored'"
            (rows,) = index.execute(query).fetchone()
            (counted,) = index.execute("SELECT coalesce(sum(objects), 0) FROM sessions").fetchone()
        if not files == rows == counted:
            raise Failed(f"{files} files, {rows} rows, {counted} objects in sessions")
        return files


class AnonymizingDicomdock(Dicomdock):
    """The same with a site script of 20 edits, as sites write them."""

    name = "dicomdock-script"
    title = "dicomdock, 20-edit script"

    def __init__(self, durability: str = "none", processes: int | None = None) -> None:
        super().__init__(durability, script=SCRIPT_OF_20_EDITS, processes=processes)

    def version(self) -> str:
        """Return the version in this clone."""
        return f"{super().version()}, a site script of 20 edits"


@dataclass(frozen=True)
class _Peer:
    """A receiver that is not ours; it says nothing when it listens."""

    name: str
    title: str

    def wait_until_listening(self, started: Process, port: int) -> None:
        """Return when the port answers."""
        started.wait_for_port(port)


@dataclass(frozen=True)
class Storescp(_Peer):
    """DCMTK's `storescp`, all transfer syntaxes accepted; it flushes nothing and has no index."""

    options: tuple[str, ...] = ()

    def version(self) -> str:
        """Return what `storescp --version` says first."""
        return f"{_first_line('storescp', '--version')}, +xa {' '.join(self.options)}".rstrip()

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Return its command; objects go into one folder."""
        objects = folder / "objects"
        objects.mkdir()
        return ["storescp", "+xa", *self.options, "-od", str(objects), str(port)]

    def stored(self, folder: Path) -> int:
        """Count the files."""
        return sum(1 for _ in (folder / "objects").iterdir())


@dataclass(frozen=True)
class Orthanc(_Peer):
    """Orthanc without its web server; everything else as it comes, but for the flushing."""

    sync: bool = False

    def version(self) -> str:
        """Return what `Orthanc --version` says first."""
        return f"{_first_line('Orthanc', '--version')}, sync {'on' if self.sync else 'off'}"

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Write its configuration and return its command."""
        settings = {
            "StorageDirectory": str(folder / "objects"),
            "IndexDirectory": str(folder / "index"),
            "DicomPort": port,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowStore": True,
            "UnknownSopClassAccepted": True,
            "HttpServerEnabled": False,
            "Plugins": [],
            "SyncStorageArea": self.sync,
        }
        file = folder / "orthanc.json"
        file.write_text(json.dumps(settings))
        return ["Orthanc", str(file)]

    def stored(self, folder: Path) -> int:
        """Count the instances that its index knows and has a file for."""
        with closing(sqlite3.connect(folder / "index" / "index")) as index:
            rows = index.execute(
                "SELECT uuid FROM AttachedFiles JOIN Resources ON id = internalId"
                " WHERE resourceType = 4 AND fileType = 1"
            ).fetchall()
        objects = folder / "objects"
        return sum((objects / uuid[:2] / uuid[2:4] / uuid).is_file() for (uuid,) in rows)


@dataclass(frozen=True)
class Pynetdicom(_Peer):
    """Stock pynetdicom that writes what it received (`stock_receiver`); no flushing, no index."""

    def version(self) -> str:
        """Return its version."""
        import pynetdicom

        return f"pynetdicom {pynetdicom.__version__}, encoded_dataset()"

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Return its command; objects go into one folder."""
        objects = folder / "objects"
        objects.mkdir()
        return [sys.executable, "-m", "tests.bench.stock_receiver", str(port), str(objects)]

    def stored(self, folder: Path) -> int:
        """Count the files under their final names."""
        return sum(1 for _ in (folder / "objects").glob("*.dcm"))


@dataclass(frozen=True)
class Sink(_Peer):
    """The bare receiver (`sink.c`): what is left if a receiver does nothing but store durably."""

    name: str = "sink"
    title: str = "bare receiver"

    def version(self) -> str:
        """Return what it does."""
        return "sink.c: receive, write, fdatasync, rename, fsync of the folder, answer"

    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Compile it and return its command; objects go into one folder."""
        program, objects = folder / "sink", folder / "objects"
        objects.mkdir()
        compiler = ["cc", "-O2", "-std=gnu11", "-pthread", "-o", str(program), str(_SINK)]
        subprocess.run(compiler, check=True)
        return [str(program), str(port), str(objects)]

    def stored(self, folder: Path) -> int:
        """Count the files under their final names."""
        return sum(1 for _ in (folder / "objects").glob("*.dcm"))


def receiving_processes(wanted: int | None) -> int:
    """Return how many processes of dicomdock receive; None stands for the engine's default."""
    return usual_receiving_processes() if wanted is None else wanted


def compared(durability: str, processes: int | None = None) -> list[ReceiverKind]:
    """Return all that may be compared, ours first and the limit of the disk last."""
    return [
        Dicomdock(durability, processes=processes),
        AnonymizingDicomdock(durability, processes),
        Storescp("storescp", "DCMTK storescp"),
        Orthanc("orthanc", "Orthanc", sync=durability != "none"),
        Pynetdicom("pynetdicom", "stock pynetdicom"),
        Storescp("storescp-best", "storescp --fork +B", ("--fork", "+B", "-pdu", "131072")),
        Sink(),
        DiskLimit(),
    ]


def _first_line(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        raise Absent(program)
    ran = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return ran.stdout.strip().splitlines()[0].strip("$ ")
