"""`trace`: what became of an object, a study or everything of a patient."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import settings_of
from engine.cli.options import set_run
from engine.cli.sessions import HEADS, row_of
from engine.errors import NotFound

if TYPE_CHECKING:
    import argparse

    from engine.sessions.tracing import TracedObject

_OBJECT_HEADS = ("RECEIVED", "RECEIVER", "CALLER", "STATE", "STATUS", "SESSION", "FILE", "REASON")


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the command that looks something up."""
    set_run(parser, _trace)
    what = "a SOP or Study Instance UID, an accession number or a patient ID"
    parser.add_argument("value", metavar="VALUE", help=what)


def _trace(arguments: argparse.Namespace) -> None:
    from engine.sessions.index_file import IndexFile
    from engine.sessions.traces import TraceKey
    from engine.sessions.tracing import trace

    settings = settings_of(arguments)
    with IndexFile(settings.index_file) as index:
        path = settings.trace_key_file
        found = trace(index, TraceKey(path) if path.exists() else None, arguments.value)
    if not found.sessions and not found.objects:
        raise NotFound("nothing of that was received", "check the value; letter case is ignored")
    if arguments.json:
        return terminal.print_json(asdict(found))
    if found.objects:
        rows = [_row(found_object) for found_object in found.objects]
        terminal.print_table(_OBJECT_HEADS, rows)
    return terminal.print_table(HEADS, map(row_of, found.sessions))


def _row(found: TracedObject) -> tuple[object, ...]:
    status = f"0x{found.status:04X}"
    who = (found.at, found.receiver, found.calling_ae_title)
    return (*who, found.state, status, found.session, found.file, found.reason)
