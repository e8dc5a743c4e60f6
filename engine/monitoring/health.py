"""Is the engine well? One answer with reasons, from what is observed; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import ReceiverState
from engine.api.monitoring import Health
from engine.events import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.api import EngineSnapshot
    from engine.metrics import Counters

LAG_SECONDS = 30.0
"""The index is behind if an object's row has waited for longer."""


def judge(
    snapshot: EngineSnapshot, counters: Counters, dead: Sequence[str], storage_refusal: str
) -> Health:
    """Return the engine's health.

    Args:
        snapshot: what the console sees.
        counters: what is counted, for the index's lag.
        dead: the parts that should run and do not.
        storage_refusal: why nothing is taken in, if so.
    """
    enabled = [status for status in snapshot.receivers if status.receiver.enabled]
    listening = sum(status.state is ReceiverState.LISTENING for status in enabled)
    problems = tuple(_problems(snapshot, counters, dead, storage_refusal))
    return Health(not dead, listening, len(enabled), problems)


def _problems(
    snapshot: EngineSnapshot, counters: Counters, dead: Sequence[str], storage_refusal: str
) -> Iterator[str]:
    yield from (f"{part} does not run" for part in dead)
    if storage_refusal:
        yield f"nothing is taken in: {storage_refusal}"
    if snapshot.configuration_problem:
        yield "the configuration file is refused, the last good settings are in force"
    for status in snapshot.receivers:
        if status.failure is not None:
            yield f"{status.receiver.label} can't listen: {status.failure.reason}"
    if counters.longest_wait_seconds > LAG_SECONDS:
        yield f"the index is {counters.longest_wait_seconds:.0f} s behind"
    if counters.rows_lost:
        lost = counted(counters.rows_lost, "row")
        verb = "is" if counters.rows_lost == 1 else "are"
        yield f"{lost} of the index {verb} lost; stop the engine and run: dicomdock check --adopt"
