"""What processors did since the engine started, as a running engine tells it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from engine.model.processing import ProcessorStatus

_COUNTS = ("runs", "rejects", "errors")


def statuses_of(arguments: argparse.Namespace) -> dict[int, ProcessorStatus]:
    """Return the statuses of all processors by their ids; none if no engine runs."""
    from engine.control.attach import find_engine

    engine = find_engine(settings_of(arguments))
    if engine is None:
        return {}
    with closing(engine):
        return {status.processor.id: status for status in engine.view.processors.list()}


def status_record(status: ProcessorStatus | None) -> dict[str, object] | None:
    """Return a status for programs; None if no engine tells it."""
    if status is None:
        return None
    names = (*_COUNTS, "receivers", "problem", "last_error", "last_error_at", "mean_seconds")
    return {"state": str(status.state)} | {name: getattr(status, name) for name in names}


def print_statuses(statuses: Mapping[int, ProcessorStatus]) -> None:
    """Print what the processors did."""
    heads = ("LABEL", "STATE", *(name.upper() for name in _COUNTS), "MS", "SEES", "PROBLEM")
    rows = [
        (
            *(s.processor.label, str(s.state), s.runs, s.rejects, s.errors),
            *(f"{1000 * s.mean_seconds:.1f}", ", ".join(s.receivers), s.problem or s.last_error),
        )
        for s in statuses.values()
    ]
    terminal.print_table(heads, rows)
