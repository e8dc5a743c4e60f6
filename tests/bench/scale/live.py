"""What an engine that runs costs with many receivers, and after many associations."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from typing import TYPE_CHECKING

from engine.remote.client import RemoteEngine
from tests.bench.idle import free_range
from tests.bench.receivers import Dicomdock, running
from tests.bench.sender import Caller
from tests.bench.usage import settled_usage_of, usage_of
from tests.bench.workloads import WORKLOADS, make_objects
from tests.running import free_port

if TYPE_CHECKING:
    from pathlib import Path

_POLLS = 100
_DESCRIPTORS_OF_A_PORT = 4
_PATIENCE_SECONDS = 30.0


def snapshot_bytes(folder: Path, receivers: int) -> float:
    """Return the bytes that a console gets for each of its questions while nothing happens."""
    return _polled(folder, receivers)[0]


def snapshot_cpu(folder: Path, receivers: int) -> float:
    """Return the CPU milliseconds of the engine for each of these questions."""
    return _polled(folder, receivers)[1]


def _polled(folder: Path, receivers: int) -> tuple[float, float]:
    _allow_descriptors(_DESCRIPTORS_OF_A_PORT * receivers)
    kind, port = Dicomdock(ports=receivers), free_range(receivers)
    sizes: list[int] = []
    with running(kind, folder / "engine", port) as pid:
        engine = RemoteEngine(
            folder / "engine" / "data" / "control.sock", patience_seconds=_PATIENCE_SECONDS
        )
        ask = engine.channel.ask

        def measured(path: str, arguments: bytes, *, patient: bool = True) -> bytes:
            answer = ask(path, arguments, patient=patient)
            sizes.append(len(answer))
            return answer

        engine.channel.ask = measured  # type: ignore[method-assign]
        try:
            engine.channel.greet()
            engine.meet()
            engine.view.snapshot()
            before = settled_usage_of(pid).cpu_seconds
            sizes.clear()
            for _ in range(_POLLS):
                engine.view.snapshot()
            spent = usage_of(pid).cpu_seconds - before
        finally:
            engine.close()
    return sum(sizes) / _POLLS, 1000 * spent / _POLLS


def memory_after(folder: Path, associations: int) -> float:
    """Return the megabytes that an engine has more after many associations than before them.

    They are open at the same time, each has sent one CT slice, and all have been released.
    """
    _allow_descriptors(_DESCRIPTORS_OF_A_PORT * associations)
    port = free_port()
    objects = list(make_objects(WORKLOADS["ct"], associations))
    with running(Dicomdock(open_at_once=2 * associations), folder / "engine", port) as pid:
        before = settled_usage_of(pid).memory_mb
        with ExitStack() as held:
            for encoded in objects:
                caller = held.enter_context(Caller(port, [encoded.context]))
                caller.store(encoded)
        return settled_usage_of(pid).memory_mb - before


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted + 200, hard), hard))
