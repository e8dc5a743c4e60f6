"""Completes names of receivers, projects and sessions for a shell.

Configuration and index are read as they are: no engine is asked, nothing is written, and what
can't be read completes nothing. Only plain names are offered, as a shell may evaluate others.
"""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.model.queries import SessionQuery
from engine.settings import EngineSettings, default_data_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Completer = Callable[..., list[str]]


MOST_SESSIONS = 200
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def attach(parser: argparse.ArgumentParser) -> None:
    """Give all options that name something of the data directory their completions."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                attach(below)
        elif completer := _completer_of(action):
            action.completer = completer  # type: ignore[attr-defined]


def _completer_of(action: argparse.Action) -> Completer | None:
    if action.metavar in {"RECEIVER", "AE:PORT"}:
        return receivers
    if action.metavar == "ID":
        known = {"project": projects, "projects": projects, "session": sessions}
        return known.get(action.dest)
    return None


def receivers(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the receivers as ``AE:port``."""
    found = _configured(parsed_args, "receivers")
    return _plain(f"{one.get('ae_title')}:{one.get('port')}" for one in found)


def projects(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the ids of projects."""
    return _plain(str(one.get("id")) for one in _configured(parsed_args, "projects"))


def sessions(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the numbers of the newest sessions."""
    # Here, as other completions need no database.
    from engine.index.listing import find_sessions
    from engine.index.reader import IndexFile

    try:
        with IndexFile(_settings(parsed_args).index_file) as index:
            return [str(one.id) for one in find_sessions(index, SessionQuery(), MOST_SESSIONS)]
    except (EngineError, OSError):
        return []


def _settings(arguments: argparse.Namespace) -> EngineSettings:
    return EngineSettings((getattr(arguments, "data", None) or default_data_dir()).absolute())


def _configured(arguments: argparse.Namespace, table: str) -> Iterator[dict[str, Any]]:
    # Not by the store, which checks the whole model: that takes longer than a shell should wait.
    try:
        document = json.loads(_settings(arguments).config_file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return
    rows = document.get(table) if isinstance(document, dict) else None
    if isinstance(rows, dict):
        yield from (row for row in rows.values() if isinstance(row, dict))


def _plain(names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if _PLAIN.fullmatch(name)})
