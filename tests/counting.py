"""Counts what the index is asked: statements, steps of SQLite's machine, scans of whole tables.

A count is the same on every machine and under any load, so that tests may compare it.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from engine.index.store import SessionIndex


@dataclass
class Counts:
    """What was asked within a block."""

    statements: list[str] = field(default_factory=list)
    """Each with its values; those of triggers are not listed."""
    steps: int = 0
    """Instructions of SQLite's machine: at least one for each row that is read or written."""
    scans: set[str] = field(default_factory=set)
    """What reads a whole table or index, as `EXPLAIN QUERY PLAN` says; filled at the end."""


@contextmanager
def counted(*connections: sqlite3.Connection) -> Iterator[Counts]:
    """Count what is asked through some connections within the block, by any thread."""
    counts = Counts()

    def trace(statement: str) -> None:
        if not statement.startswith("--"):  # so SQLite marks statements of triggers
            counts.statements.append(statement)

    def step() -> int:
        counts.steps += 1
        return 0  # go on

    with ExitStack() as watched:
        for connection in connections:
            connection.set_trace_callback(trace)
            connection.set_progress_handler(step, 1)
            watched.callback(connection.set_trace_callback, None)
            watched.callback(connection.set_progress_handler, None, 0)
        yield counts
    for statement in set(counts.statements):
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = connections[0].execute(f"EXPLAIN QUERY PLAN {statement}")
            reads = {row[-1] for row in plan}
            counts.scans |= {r for r in reads if r.startswith("SCAN") and "CONSTANT" not in r}


@contextmanager
def counted_index(index: SessionIndex) -> Iterator[Counts]:
    """Count what an engine's index is asked within the block."""
    with counted(index._connection, index._reading) as counts:
        yield counts
