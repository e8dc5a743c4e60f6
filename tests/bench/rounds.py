"""Runs, interleaved, so that whatever disturbs the machine disturbs all receivers alike.

In each round every receiver gets a fresh start, a fresh folder and the same objects; the next round
begins with another receiver.

Files stay until a comparison is done: ext4 makes new files slowly for minutes after many were
deleted. Only a tmpfs, which has no such memory, is emptied earlier, when it would get too full.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil

from tests.bench.disk_limit import DiskLimit
from tests.bench.pdus import Refused
from tests.bench.processes import Failed
from tests.bench.receivers import Absent, running
from tests.bench.runs import Run, Spoilt, judged
from tests.bench.sender import longest_pdu
from tests.bench.tape import write_tape
from tests.bench.usage import PeakWatch, settled_usage_of
from tests.bench.workloads import make_objects
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.bench.receivers import ReceiverKind
    from tests.bench.runs import Case
    from tests.bench.sender import Blaster
    from tests.bench.tape import Tape

_RESERVE_BYTES = 6 * 1024**3
"""What must stay free on a tmpfs, for the receivers' own memory."""
_TROUBLE = (Failed, Refused, OSError, sqlite3.Error, subprocess.SubprocessError)


class Bench:
    """Plays cases to receivers, in a folder of its own."""

    def __init__(self, folder: Path, blaster: Blaster, say: Callable[[str], None]) -> None:
        self._folder = folder
        self.blaster = blaster
        self._say = say
        self._tapes: dict[tuple[str, int, int], Tape] = {}
        self._runs = 0
        self._kept: list[Path] = []
        self._is_warm = False

    def compare(self, case: Case, kinds: Sequence[ReceiverKind], rounds: int) -> list[Run | Spoilt]:
        """Run a case with every receiver in every round, after one that does not count."""
        runs = []
        self._warm_up(case, kinds)
        for number in range(rounds):
            first = number % len(kinds)
            for kind in (*kinds[first:], *kinds[:first]):
                self._say(f"round {number + 1}/{rounds}: {kind.title}")
                runs.append(self._run(case, kind, number))
        self.clear_runs()
        return runs

    def _warm_up(self, case: Case, kinds: Sequence[ReceiverKind]) -> None:
        """Let a machine that has rested get up to its speed: the first minutes are slow for all."""
        if not self._is_warm:
            for kind in kinds:
                self._say(f"warming up: {kind.title}")
                self._run(case, kind, 0)
        self._is_warm = True

    def _run(self, case: Case, kind: ReceiverKind, number: int) -> Run | Spoilt:
        self._make_room(self.tape(case).data_set_bytes)
        try:
            return judged(self._measured(case, kind, number), case)
        except _TROUBLE as error:
            return Spoilt(kind.name, number, str(error))

    def _measured(self, case: Case, kind: ReceiverKind, number: int) -> Run:
        folder, port = self.fresh_folder(), free_port()
        if isinstance(kind, DiskLimit):
            return kind.measured(folder, number, case, self.tape(case).data_set_bytes)
        with running(kind, folder, port) as pid:
            longest = longest_pdu(port, self.tape(case).contexts, case.pdu_bytes)
            tape = self.tape(replace(case, pdu_bytes=longest))
            before = settled_usage_of(pid)
            with PeakWatch(pid) as watch:
                blast = self.blaster.play(tape, port, case.associations, single=case.single)
            after = settled_usage_of(pid)
        used = after.cpu_seconds - before.cpu_seconds
        return Run(kind.name, number, blast, used, watch.peak_mb, kind.stored(folder))

    def tape(self, case: Case) -> Tape:
        """Return the tape of a case; only those of the newest workload are kept."""
        key = (case.workload.name, case.objects, case.pdu_bytes)
        if key not in self._tapes:
            if any(known[:2] != key[:2] for known in self._tapes):
                self._clear_tapes()
            path = self._folder / f"{case.workload.name}-{case.objects}-{case.pdu_bytes}.tape"
            objects = make_objects(case.workload, case.objects)
            self._tapes[key] = write_tape(path, objects, case.pdu_bytes)
        return self._tapes[key]

    def fresh_folder(self) -> Path:
        """Name a folder for one run, which is yet to be made."""
        self._runs += 1
        self._kept.append(self._folder / f"run-{self._runs}")
        return self._kept[-1]

    def _clear_tapes(self) -> None:
        for tape in self._tapes.values():
            tape.path.unlink()
        self._tapes = {}

    def _make_room(self, needed: int) -> None:
        if is_tmpfs(self._folder):
            while self._kept and free_bytes(self._folder) < needed + _RESERVE_BYTES:
                shutil.rmtree(self._kept.pop(0), ignore_errors=True)

    def clear_runs(self) -> None:
        """Remove what runs left behind, where that disturbs no later one."""
        if is_tmpfs(self._folder):
            while self._kept:
                shutil.rmtree(self._kept.pop(), ignore_errors=True)


def is_tmpfs(folder: Path) -> bool:
    """Tell whether a folder is in memory."""
    return "tmpfs" in file_system_of(folder)


def free_bytes(folder: Path) -> int:
    """Return what a tmpfs can still take: its own limit and that of the memory."""
    return min(shutil.disk_usage(folder).free, psutil.virtual_memory().available)


def file_system_of(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    holding = [
        partition
        for partition in psutil.disk_partitions(all=True)
        if folder.resolve().is_relative_to(partition.mountpoint)
    ]
    return max(holding, key=lambda partition: len(partition.mountpoint)).fstype


def installed(kinds: Sequence[ReceiverKind]) -> tuple[list[ReceiverKind], dict[str, str]]:
    """Return the receivers that are there, and what each is, or that it is absent."""
    there, versions = [], {}
    for kind in kinds:
        try:
            versions[kind.title] = kind.version()
            there.append(kind)
        except Absent:
            versions[kind.title] = "absent: not installed"
    return there, versions
