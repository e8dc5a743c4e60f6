"""The course of a soak: two engines, a console and the load; and what must hold in the end."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

from tests.bench.processes import ROOT, Failed, process
from tests.bench.receivers import SCRIPT_OF_20_EDITS
from tests.bench.scale.docks import number_from
from tests.bench.soak.growth import Sample, growth_problems
from tests.bench.soak.senders import Load, Sender
from tests.bench.usage import usage_of
from tests.bench.workloads import PROJECT
from tests.running import configure, free_port, make_receiver
from tests.terminals import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.processes import Process


IDLE_SECONDS = 10
PEER = "PEER"
PLAIN, SCRIPTED = "BENCH", "SCRIPTED"
_SAMPLE_SECONDS = 5.0
_SETTLE_SECONDS = 180.0
"""How long the rest may take after the last object."""
_AWAY = 0.4, 0.5
"""The part of the time in which the peer is away."""
_ALERTED_SECONDS = 60.0
"""If the peer is away for so long, an alert must have come."""


class Soak:
    """Two engines, a console, and the load."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet."""
        self._folder = folder
        self._data, self._peer_data = folder / "dock" / "data", folder / "peer" / "data"
        plain, scripted, self._peer_port = free_port(), free_port(), free_port()
        self._ports = {PLAIN: plain, SCRIPTED: scripted}
        self._alerts = folder / "alerts.jsonl"
        self.samples: list[Sample] = []
        self.away_seconds = 0.0
        loads = (
            Load("ct", plain, PLAIN, 8, 12.0),
            Load("mr", plain, PLAIN, 20, 12.0),
            Load("small", plain, PLAIN, 40, 4.0, is_each_alone=True),
            Load("ct", scripted, SCRIPTED, 8, 12.0),
        )
        self.senders = [Sender(number, load) for number, load in enumerate(loads)]

    def configure(self) -> None:
        """Write both configurations, as an administrator does it by commands."""
        for data in (self._data, self._peer_data):
            data.parent.mkdir()
        configure(self._peer_data, make_receiver(PEER, self._peer_port, anonymization=False))
        configure(
            self._data,
            make_receiver(PLAIN, self._ports[PLAIN], anonymization=False, custom_processing=True),
            make_receiver(SCRIPTED, self._ports[SCRIPTED], custom_processing=True),
        )
        script = self._folder / "script.das"
        script.write_text(SCRIPT_OF_20_EDITS)
        alert = f"import sys; open({str(self._alerts)!r}, 'a').write(sys.stdin.read() + chr(10))"
        peer = (f"ae_title={PEER}", "host=127.0.0.1", f"port={self._peer_port}")
        copy = [f"--set={value}" for value in (*peer, "max_wait_seconds=10")]
        for words in (
            ("projects", "add", PROJECT, "--auto-archive", "archive"),
            ("site", "set", "--script", str(script), "--script-enabled"),
            ("site", "set", "--sessions", f"idle_seconds={IDLE_SECONDS}"),
            (
                "processors",
                "add",
                "--class",
                "forwardCopy",
                "--label",
                "copy",
                "--enabled",
                *copy,
            ),
            ("alerts", "set", "soak", "--command", sys.executable, "-c", alert),
        ):
            ran = self._command(*words)
            if ran.returncode:
                raise Failed(f"{' '.join(words)}: {ran.stderr}")

    def run(self, seconds: float) -> None:
        """Let everything run, and wait until all that was begun is done."""
        with ExitStack() as running:
            dock = running.enter_context(_engine(self._data, len(self._ports)))
            console = running.enter_context(_console(self._data, self._folder))
            pids = dock.pid, console.process.pid
            stopping = threading.Event()
            threads = [threading.Thread(target=s.run, args=(stopping,)) for s in self.senders]
            running.callback(stopping.set)
            for thread in threads:
                thread.start()
            with _engine(self._peer_data, 1):
                self._watch(_AWAY[0] * seconds, *pids)
            gone = time.monotonic()
            self._watch((_AWAY[1] - _AWAY[0]) * seconds, *pids)
            self.away_seconds = time.monotonic() - gone
            running.enter_context(_engine(self._peer_data, 1))
            self._watch((1 - _AWAY[1]) * seconds, *pids)
            stopping.set()
            for thread in threads:
                thread.join()
            self._settle()

    def _watch(self, seconds: float, engine: int, console: int) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            threading.Event().wait(min(left, _SAMPLE_SECONDS))
            tree = [psutil.Process(engine), *psutil.Process(engine).children(recursive=True)]
            logs = self._data.glob("*.sqlite-wal")
            self.samples.append(
                Sample(
                    usage_of(engine).memory_mb,
                    sum(_uses(member, psutil.Process.num_fds) for member in tree),
                    sum(_uses(member, psutil.Process.num_threads) for member in tree),
                    sum(log.stat().st_size for log in logs) / 1e6,
                    usage_of(console).memory_mb,
                )
            )

    def _settle(self) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            if not self._unarchived() and self._copies() == self._count("state = 'stored'"):
                return
            threading.Event().wait(1.0)

    def problems(self) -> Iterator[str]:
        """Yield what is not as it should be, in words."""
        confirmed, again = self.confirmed
        rows, stored = self._count("1"), self._count("state = 'stored'")
        archive = (self._data / "archive").glob("**/SCANS/*/*/*")  # DICOM and secondary
        for sender in self.senders:
            yield from sender.failures[:3]
        if not confirmed:
            yield "nothing was sent"
        if rows != confirmed:
            yield f"{confirmed} objects were confirmed, the index has rows for {rows}"
        if stored != confirmed - again:
            yield f"{stored} objects are stored, {confirmed - again} were sent for the first time"
        if left := self._unarchived():
            yield f"{left} sessions are not archived"
        if (files := sum(file.suffix != ".xml" for file in archive)) != stored:
            yield f"{stored} objects are stored, {files} files are in the archive"
        if (copies := self._copies()) != stored:
            yield f"{stored} objects are stored, the peer has {copies}"
        if self.away_seconds >= _ALERTED_SECONDS and not self._alerts.exists():
            yield f"no alert came, though the peer was away for {self.away_seconds:.0f} s"
        yield from growth_problems(self.samples)
        checked = self._command("check")
        if checked.returncode:
            yield f"check finds something: {(checked.stdout + checked.stderr)[-300:]}"

    @property
    def confirmed(self) -> tuple[int, int]:
        """How many objects were answered with success, and how many of them had come before."""
        senders = self.senders
        return sum(one.confirmed for one in senders), sum(one.again for one in senders)

    def _count(self, condition: str) -> int:
        query = f"SELECT count(*) FROM objects WHERE {condition}"
        return number_from(self._data / "index.sqlite", query)

    def _unarchived(self) -> int:
        query = "SELECT count(*) FROM sessions WHERE status != 'ARCHIVED'"
        return number_from(self._data / "index.sqlite", query)

    def _copies(self) -> int:
        query = "SELECT count(*) FROM objects WHERE state = 'stored'"
        return number_from(self._peer_data / "index.sqlite", query)

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "engine", "--data", str(self._data), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _uses(member: psutil.Process, of: Callable[[psutil.Process], int]) -> int:
    with suppress(psutil.Error):  # a worker that has ended meanwhile
        return of(member)
    return 0


@contextmanager
def _engine(data: Path, receivers: int) -> Iterator[Process]:
    command = [sys.executable, "-m", "engine", "--data", str(data), "engine"]
    with process([*command, "--durability", "none"], data.parent, {}) as started:
        started.wait_for_lines("listening", receivers)
        yield started


@contextmanager
def _console(data: Path, home: Path) -> Iterator[Terminal]:
    """Attach a console, whose screen is read and forgotten."""
    done = threading.Event()
    with Terminal(["-m", "tui", "--data", str(data)], home) as terminal:

        def read() -> None:
            while not done.is_set():
                terminal.read_until(b"\0never\0", 0.5)
                terminal.output = b""

        reading = threading.Thread(target=read)
        reading.start()
        try:
            yield terminal
        finally:
            done.set()
            reading.join()
