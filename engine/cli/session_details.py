"""Details of a session from a running engine: scans, objects, preview of archiving."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.live import running_engine
from engine.cli.options import add_verb, whole_number
from engine.host import terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from engine.api.sessions import SessionDetail
    from engine.cli.options import Commands

_CONFLICT = 1
_LONGEST_LOOK_SECONDS = 60.0
"""How long the engine waits at a time."""


def add_objects_verb(verbs: Commands) -> None:
    """Add the verb that lists the objects of a scan."""
    parser = add_verb(verbs, "objects", _objects, "list the objects of a scan as they arrived")
    parser.add_argument("session", metavar="ID", type=whole_number, help="a session's number")
    parser.add_argument("scan", metavar="SCAN", help="a scan's id, see: sessions show ID")
    parser.add_argument("--limit", type=whole_number, default=1000, metavar="N",
                        help="how many at most (default: 1000)")  # fmt: skip


def _objects(arguments: argparse.Namespace) -> None:
    number = arguments.session
    with running_engine(arguments) as engine:
        page = engine.sessions.objects(number, arguments.scan, limit=arguments.limit)
    if arguments.json:
        return terminal.print_json(
            {"objects": [asdict(o) for o in page.objects], "total": page.total}
        )
    heads = ("OBJECT", "AT", "SOP CLASS", "BYTES", "SOP INSTANCE UID", "REASON")
    rows = [
        (f"{number}:{o.file}", o.at, o.sop_class, o.bytes, o.sop_instance_uid, o.reason)
        for o in page.objects
    ]
    return terminal.print_table(heads, rows)


def print_detail(detail: SessionDetail) -> None:
    """Print what a running engine knows of a session besides its row."""
    heads: tuple[str, ...] = ("SCAN", "MODALITY", "DESCRIPTION", "OBJECTS", "MB", "FIRST OBJECT")
    rows = [
        (s.id, s.modality, s.description, s.objects, f"{s.bytes / 1e6:.1f}", s.first_file)
        for s in detail.scans
    ]
    terminal.print_table(heads, rows)
    heads = ("FROM", "ADDRESS", "RECEIVER", "OBJECTS", "LAST")
    sources = [
        (s.calling_ae_title, s.address, s.receiver, s.objects, s.last_at) for s in detail.sources
    ]
    terminal.print_table(heads, sources)
    told = [(moment.at, moment.text) for moment in detail.history]
    terminal.print_table(("WHEN", "WHAT"), told)
    for line in _remarks(detail):
        terminal.say(line)


def _remarks(detail: SessionDetail) -> Iterator[str]:
    for warning in detail.warnings:
        yield f"{warning.reason} ({terminal.counted(warning.objects, 'object')})"
    if detail.request is not None:
        begun = "begun" if detail.request.begun else "waits"
        yield f"{detail.request.action} was asked for by {detail.request.by}, {begun}"
    if detail.purged_at is not None:
        yield f"removed for good after {terminal.cell_text(detail.purged_at)}"
    yield f"may be asked for now: {', '.join(detail.actions) or 'nothing'}"


def preview_archiving(arguments: argparse.Namespace) -> int:
    """Say what archiving some sessions would come to; 1 if something speaks against one."""
    merge, overwrite = arguments.merge, arguments.overwrite
    with running_engine(arguments) as engine:
        previews = {
            number: engine.sessions.preview_archive(number, merge=merge, overwrite=overwrite)
            for number in arguments.session
        }
    if arguments.json:
        records = [{"id": number, **asdict(p)} for number, p in previews.items()]
        terminal.print_json({"sessions": records})
    else:
        rows = [
            (number, p.into.id if p.into else "", p.added, p.replaced, "; ".join(p.conflicts))
            for number, p in previews.items()
        ]
        terminal.print_table(("ID", "INTO", "ADDED", "REPLACED", "CONFLICTS"), rows)
    return _CONFLICT if any(preview.conflicts for preview in previews.values()) else 0


def wait_until_settled(
    arguments: argparse.Namespace, numbers: Iterable[int], seconds: float
) -> bool:
    """Wait until nothing waits or works on sessions; return whether that is so in time."""
    until = time.monotonic() + seconds
    with running_engine(arguments) as engine:
        for number in numbers:
            settled = False
            while not settled:
                left = max(0.0, until - time.monotonic())
                look = min(left, _LONGEST_LOOK_SECONDS)
                settled = engine.sessions.settled(number, wait_seconds=look).settled
                if not settled and not left:
                    return False
    return True
