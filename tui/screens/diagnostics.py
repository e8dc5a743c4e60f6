"""What support asks for first: versions, files, the terminal, the engine, threads."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tui.text import counted, duration, fit, moment, safe, size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from textual.app import App

    from engine.view import EngineSnapshot
    from tui.link import Reading

PACKAGES = ("dicomdock", "textual", "rich", "pynetdicom", "pydicom")
VARIABLES = ("TERM", "COLORTERM", "TERM_PROGRAM", "TMUX", "LANG", "LC_ALL", "NO_COLOR")
"""What decides how the terminal behaves."""
NAME_WIDTH = 18
Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ConsoleFacts:
    """What a console knows of itself."""

    versions: tuple[Fact, ...]
    settings_file: str
    terminal: tuple[Fact, ...]
    theme: str
    threads: tuple[str, ...]


def console_facts(app: App[Any], settings_file: Path | None) -> ConsoleFacts:
    """Return what this process knows."""
    width, height = app.size
    variables = tuple((name, os.environ[name]) for name in VARIABLES if name in os.environ)
    return ConsoleFacts(
        (
            ("Python", platform.python_version()),
            *((name, _version(name)) for name in PACKAGES),
            ("system", platform.platform()),
        ),
        str(settings_file) if settings_file else "none",
        (
            ("size", f"{width} × {height}"),
            ("colors", app.console.color_system or "none"),
            *variables,
        ),
        app.theme,
        tuple(thread.name for thread in threading.enumerate()),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def diagnostics(console: ConsoleFacts, reading: Reading) -> str:
    """Return everything as text for a ticket; no object's values are in it."""
    sections = {
        "Versions": console.versions,
        "Engine": _engine(reading),
        "Console": (
            ("theme", console.theme),
            ("settings file", console.settings_file),
            ("events kept", f"{len(reading.events):,}, {reading.dropped:,} lost"),
        ),
        "Terminal": console.terminal,
        "Threads": _threads(console.threads),
    }
    return "\n\n".join(f"{title}\n{_lines(facts)}" for title, facts in sections.items())


def _engine(reading: Reading) -> tuple[Fact, ...]:
    snapshot = reading.snapshot
    if snapshot is None:
        return (("state", "has not answered yet"),)
    now = snapshot.taken_at
    answers = f"not since {moment(now, now)}" if reading.silent else "yes"
    running = (now - snapshot.started_at).total_seconds()
    return (
        ("answers", answers),
        ("version", snapshot.version),
        ("host", snapshot.host),
        ("running for", duration(running)),
        ("revision", f"{snapshot.revision:,}"),
        ("configuration", snapshot.configuration_problem or "in force"),
        ("data directory", snapshot.data_dir),
        ("durability", snapshot.durability),
        ("free space", size(snapshot.storage.free_bytes)),
        *_load(snapshot),
    )


def _load(snapshot: EngineSnapshot) -> tuple[Fact, ...]:
    states = Counter(str(status.state) for status in snapshot.receivers)
    totals = snapshot.totals
    return (
        ("receivers", ", ".join(f"{n} {state}" for state, n in states.items()) or "none"),
        ("associations", f"{len(snapshot.associations)} of {snapshot.maximum_associations}"),
        ("since start", f"{counted(totals.stored, 'object')} stored, {totals.failed:,} failed"),
    )


def _threads(names: Iterable[str]) -> tuple[Fact, ...]:
    kinds = Counter(name.rstrip("0123456789-_ ") or name for name in names)
    return tuple((safe(kind, NAME_WIDTH - 1), str(n)) for kind, n in sorted(kinds.items()))


def _lines(facts: Iterable[Fact]) -> str:
    return "\n".join(f"  {fit(name, NAME_WIDTH)}{safe(value)}" for name, value in facts)
