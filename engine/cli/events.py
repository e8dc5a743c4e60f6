"""`events`: the event log and the audit log of an engine that runs or ran."""

from __future__ import annotations

import argparse
import threading
from datetime import datetime
from typing import TYPE_CHECKING

from engine.cli.context import settings_of
from engine.cli.options import set_run, severity, whole_number
from engine.errors import NotFound
from engine.events import Severity
from engine.events.event_log import EventLog
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.queries import EVENT_FIELDS, parse_event_query
from engine.model.text import MOMENT_REMEDY, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.events.event_log import Record
    from engine.model.queries import EventQuery

_SHOWN = 1000
_SHOWN_BEFORE_FOLLOWING = 10


def add_events(parser: argparse.ArgumentParser) -> None:
    """Add the command that shows events."""
    set_run(parser, _events)
    named = ", ".join(f"{field}:" for field in EVENT_FIELDS)
    words = f"{named} with * and commas, such as receiver:CT1 kind:Object*; or words of the message"
    parser.add_argument("filters", metavar="FILTER", nargs="*", help=words)
    parser.add_argument("--follow", "-f", action="store_true", help="then show new events")
    since = "from then on: an age such as 2h, or a time"
    parser.add_argument("--since", type=_moment, metavar="WHEN", help=since)
    least = f"the least severity: {', '.join(Severity)}"
    parser.add_argument("--level", type=severity, default=Severity.INFO, metavar="LEVEL",
                        help=least)  # fmt: skip
    audit = "only what people did: changes, shown values, use of the control API, refusals of it"
    parser.add_argument("--audit", action="store_true", help=audit)
    many = f"the newest N (default: {_SHOWN}, with --follow {_SHOWN_BEFORE_FOLLOWING})"
    parser.add_argument("--limit", type=whole_number, metavar="N", help=many)


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text, SystemClock().now())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no time; {MOMENT_REMEDY}") from error


def _events(arguments: argparse.Namespace) -> None:
    query = parse_event_query(arguments.filters, arguments.since, arguments.level)
    path = _log_file(arguments)
    if not path.parent.is_dir():
        raise NotFound(f"no engine has run on {path.parent.parent}", "start one: dicomdock engine")
    usual = _SHOWN_BEFORE_FOLLOWING if arguments.follow and not arguments.since else _SHOWN
    limit = arguments.limit or usual
    with EventLog(path) as log:
        _show(log.newest(limit, query.matches), arguments.json)
        if arguments.follow:
            _follow(log, arguments, query)


def _log_file(arguments: argparse.Namespace) -> Path:
    settings = settings_of(arguments)
    return settings.audit_log if arguments.audit else settings.event_log


def _follow(log: EventLog, arguments: argparse.Namespace, query: EventQuery) -> None:
    """Show new events until the command is interrupted or its output is closed."""
    # watchfiles, which only this option needs.
    from engine.config.watcher import ConfigurationWatcher

    changed = threading.Event()
    watcher = ConfigurationWatcher(_log_file(arguments), changed.set)
    watcher.start()
    try:
        while True:
            _show(filter(query.matches, log.added()), arguments.json)
            changed.wait()
            # Before the next look at the log: a change during it wakes this thread again.
            changed.clear()
    finally:
        watcher.stop()


def _show(records: Iterable[Record], as_json: bool) -> None:
    """Write each event as one line: JSON for programs, words for people."""
    for record in records:
        terminal.print_line(record) if as_json else terminal.print_text(_line(record))
    terminal.flush()


def _line(record: Record) -> str:
    cells = [_local_time(str(record.get("at"))), str(record.get("severity", "")).ljust(5)]
    about = ("receiver", "calling_ae_title", "association")
    cells.extend(str(record[name]) for name in about if record.get(name))
    message = str(record.get("message", ""))
    # One line for each event, also if a damaged log has line breaks in a text.
    return "  ".join(" ".join(cell.splitlines()) for cell in (*cells, message))


def _local_time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return "-"
