"""What reception has left beside the work on many sessions that fell idle at the same time.

The engine runs in this process, so that the CPU time of its threads can be told apart.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from engine import Engine
from engine.host.clock import SystemClock
from engine.state.database import stamp
from tests.bench.pdus import Context, Encoded
from tests.bench.processes import Failed
from tests.bench.scale.docks import LONG_AGO, Dock
from tests.bench.sender import Blaster
from tests.bench.tape import write_tape
from tests.bench.usage import usage_of
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.running import free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.settings import EngineSettings
    from tests.bench.sender import Blast

ROUNDS = 3
"""Each alone, and beside the builder."""
OBJECTS = 20_000
"""Sent in each."""
WITH_FILES = 4_000
"""Sessions that can be built: more than are built in all rounds."""
_ASSOCIATIONS = 4
_PDU_BYTES = 16_382
_OF_A_STUDY = 100
_IDLE_SECONDS = 3600
_BUILDER = "session-timer"
_PATIENCE_SECONDS = 60.0
_SETTLE_SECONDS, _LOOK_SECONDS = 1.0, 0.05
_ROOT = "1.2.826.0.1.3680043.8.498.79"
_HEARD = "UPDATE sessions SET last_object_at = ? WHERE status = 'RECEIVING'"


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round showed."""

    rate: float
    """Objects a second."""
    builder: float
    """CPU seconds of the thread that builds."""
    engine: float
    """CPU seconds of the engine, with all its threads and processes."""


def share(folder: Path, sessions: int, processes: int) -> float:
    """Return the builder's part of the engine's CPU while objects arrive, in per cent."""
    rounds = [beside for _, beside in _rounds(folder, sessions, processes)]
    return 100 * sum(r.builder for r in rounds) / sum(r.engine for r in rounds)


def kept(folder: Path, sessions: int, processes: int) -> float:
    """Return the rate beside the builder, in per cent of that alone: the median of the rounds."""
    rounds = _rounds(folder, sessions, processes)
    return median(100 * beside.rate / alone.rate for alone, beside in rounds)


def _rounds(folder: Path, sessions: int, processes: int) -> Iterator[tuple[_Round, _Round]]:
    port = free_port()
    dock = Dock(folder, make_receiver("BENCH", port))
    dock.fill(sessions, files=WITH_FILES)
    settings = replace(dock.settings, receiving_processes=processes)
    blaster, tape = Blaster(folder), folder / "tape"
    for number in range(ROUNDS):
        results = []
        for part, silent_for in enumerate((timedelta(), LONG_AGO)):
            dock.execute(_HEARD, [(stamp(SystemClock().now() - silent_for),)])
            objects = _objects((2 * number + part) * OBJECTS)
            played = write_tape(tape, objects, _PDU_BYTES)
            with _running(settings):
                results.append(_measured(lambda p=played: blaster.play(p, port, _ASSOCIATIONS)))  # type: ignore[misc]
        alone, beside = results
        yield alone, beside


@contextmanager
def _running(settings: EngineSettings) -> Iterator[None]:
    """Run an engine; give it time to get to work."""
    engine = Engine(settings)
    engine.start()
    try:
        site = engine.site()
        engine.set_site(
            replace(site, sessions=replace(site.sessions, idle_seconds=_IDLE_SECONDS)), "bench"
        )
        until = time.monotonic() + _PATIENCE_SECONDS
        while len(engine.snapshot().processes) < settings.receiving_processes:
            if time.monotonic() > until:
                raise Failed("its receiving processes did not start")
            time.sleep(_LOOK_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        yield
    finally:
        engine.stop()


def _measured(play: Callable[[], Blast]) -> _Round:
    builder = next(t for t in threading.enumerate() if t.name == _BUILDER)
    assert builder.ident is not None
    clock = time.pthread_getcpuclockid(builder.ident)
    before, engine = time.clock_gettime(clock), usage_of(os.getpid()).cpu_seconds
    blast = play()
    spent = usage_of(os.getpid()).cpu_seconds - engine - blast.sender_cpu_seconds
    if blast.failure:
        raise Failed(blast.failure)
    return _Round(blast.objects / blast.seconds, time.clock_gettime(clock) - before, spent)


def _objects(first: int) -> Iterator[Encoded]:
    """Yield objects of new studies: a small image, into which their UIDs are put."""
    context = Context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    study = f"{_ROOT}.10000000"
    uid = f"{study}.1.10000000"
    template = image(
        *(EXPLICIT_VR_LITTLE_ENDIAN, bytes(2048)),
        SOPInstanceUID=uid,
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.1",
        AccessionNumber="A10000000",
        PatientID="P10000000",
    )
    for number in range(first, first + OBJECTS):
        its_study = f"{10_000_001 + number // _OF_A_STUDY}"
        its_uid = f"{_ROOT}.{its_study}.1.{20_000_000 + number}"
        data = template.replace(uid.encode(), its_uid.encode())
        for prefix in (f"{_ROOT}.", "A", "P"):
            data = data.replace(f"{prefix}10000000".encode(), f"{prefix}{its_study}".encode())
        yield Encoded(context, its_uid, data)
