"""`sessions` and `trace`: sessions and the operations on them, and the trail of objects.

A request for a running engine is a row in its index and a byte in its FIFO. Without an engine, the
command does the work itself.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.api.objects import arrival_words, arrivals_in
from engine.cli.context import actor, attached, record, settings_of
from engine.cli.explanations import add_session_why
from engine.cli.live import running_engine
from engine.cli.objects import print_arrivals
from engine.cli.options import add_verb, add_verbs, add_yes, set_run, whole_number
from engine.cli.session_edits import add_edits, require_project
from engine.cli.session_requests import add_wait, ask_each
from engine.errors import NotFound
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.identity import UNASSIGNED
from engine.model.queries import SESSION_FIELDS, parse_query

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from engine.api.sessions import SessionDetail
    from engine.cli.options import Commands
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository
    from engine.settings import EngineSettings


_CONFLICT = 1


def add_objects_verb(verbs: Commands) -> None:
    """Add the verb that lists the objects of a scan."""
    parser = add_verb(
        verbs, "objects", _objects, "list the objects of a scan in the order of arrival"
    )
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
    """Print the details of a session that only a running engine has."""
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
    yield from detail.patients
    for warning in detail.warnings:
        yield f"{warning.reason} ({terminal.counted(warning.objects, 'object')})"
    if detail.request is not None:
        begun = "begun" if detail.request.begun else "waits"
        yield f"{detail.request.action} was asked for by {detail.request.by}, {begun}"
    if detail.ready_at is not None:
        at = terminal.cell_text(detail.ready_at)
        yield f"ready after {at} if no further object comes; sessions rebuild builds it now"
    if detail.purged_at is not None:
        yield f"removed for good after {terminal.cell_text(detail.purged_at)}"
    yield f"may be asked for now: {', '.join(detail.actions) or 'nothing'}"


def preview_archiving(arguments: argparse.Namespace) -> int:
    """Print the result of archiving sessions without doing it; return 1 for conflicts."""
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
            (
                *(number, p.into.id if p.into else "", p.added, p.replaced, p.skipped),
                "; ".join(p.conflicts),
            )
            for number, p in previews.items()
        ]
        heads = ("ID", "INTO", "ADDED", "REPLACED", "SKIPPED", "CONFLICTS")
        terminal.print_table(heads, rows)
    return _CONFLICT if any(preview.conflicts for preview in previews.values()) else 0


HEADS = ("ID", "PROJECT", "SUBJECT", "SESSION", "STATUS", "MODALITY", "OBJECTS", "MB", "LAST")
_SHOWN = 1000


def add_sessions(command: argparse.ArgumentParser) -> None:
    """Add the commands that show and change sessions."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list, "list sessions, the most recently changed first")
    words = (
        f"such as status:READY,CONFLICT or since:2h; {', '.join(f'{f}:' for f in SESSION_FIELDS)}"
    )
    listed.add_argument("filters", metavar="FILTER", nargs="*", help=words)
    many = f"how many at most (default: {_SHOWN})"
    listed.add_argument("--limit", type=whole_number, metavar="N", default=_SHOWN, help=many)
    _add_one(add_verb(verbs, "show", _show, "show a session and the states of its objects"))
    add_objects_verb(verbs)
    add_session_why(verbs)
    archive = add_verb(verbs, "archive", _archive, "move sessions into the archive")
    merge = "add to a session of that label that is archived already"
    archive.add_argument("--merge", action="store_true", help=merge)
    overwrite = "merge, and replace objects that are there already; the old go to the trash"
    archive.add_argument("--overwrite", action="store_true", help=overwrite)
    dry = "list conflicts and the result, and change nothing"
    archive.add_argument("--dry-run", action="store_true", help=dry)
    move = add_verb(verbs, "move", _move, "move sessions to another project")
    move.add_argument("--project", metavar="ID", required=True, help="where to")
    delete = add_verb(verbs, "delete", _delete, "move sessions to the trash")
    add_yes(delete)
    restore = add_verb(verbs, "restore", _restore, "move sessions from the trash to the prearchive")
    rebuild = add_verb(
        verbs, "rebuild", _rebuild, "sort objects into scans and write catalogs anew"
    )
    cancel = add_verb(verbs, "cancel", _cancel, "cancel waiting requests, archiving or separating")
    for parser in (archive, move, delete, restore, rebuild, cancel):
        _add_one(parser, "+")
    for parser in (archive, move, delete, restore, rebuild):
        add_wait(parser)
    add_edits(verbs)


def _add_one(parser: argparse.ArgumentParser, count: str | None = None) -> None:
    parser.add_argument(
        "session", metavar="ID", type=whole_number, nargs=count, help="a session's number"
    )


def _list(arguments: argparse.Namespace) -> None:
    # SQLite and the index, here and below: the help must not wait for them.
    from engine.index.listing import find_sessions
    from engine.index.reader import IndexFile

    query = parse_query(arguments.filters, SystemClock().now())
    with IndexFile(settings_of(arguments).index_file) as index:
        sessions = find_sessions(index, query, arguments.limit)
    if arguments.json:
        return terminal.print_json({"sessions": [asdict(session) for session in sessions]})
    return terminal.print_table(HEADS, map(row_of, sessions))


def row_of(session: Session) -> tuple[object, ...]:
    """Return a session's line in a table with `HEADS`."""
    return (
        *(session.id, session.project or UNASSIGNED, session.subject, session.label),
        *(session.status, session.modality, session.objects),
        *(f"{session.bytes / 1e6:.1f}", session.last_object_at),
    )


def _show(arguments: argparse.Namespace) -> None:
    from engine.index.listing import state_counts
    from engine.index.reader import IndexFile
    from engine.sessions.ledger import SessionRepository
    from engine.sessions.service import areas_of

    settings = settings_of(arguments)
    with IndexFile(settings.index_file) as index:
        session = SessionRepository(index, SystemClock()).session(arguments.session)
        counts = state_counts(index, session.id)
    folder = areas_of(settings).folder(session)
    record = asdict(session) | {"path": str(folder), "states": [c._asdict() for c in counts]}
    detail = _detail(arguments, settings)
    if arguments.json:
        more = asdict(detail) if detail is not None else {}
        return terminal.print_json({**more, **record})
    told = [(name, value) for name, value in record.items() if name != "states"]
    told += [(f"objects {c.state}", c.objects) for c in counts]
    terminal.print_table(("SESSION", str(arguments.session)), told)
    return None if detail is None else print_detail(detail)


def _detail(arguments: argparse.Namespace, settings: EngineSettings) -> SessionDetail | None:
    """Return the details of a session from a running engine; None without one."""
    with attached(settings) as engine:
        return engine.sessions.detail(arguments.session) if engine is not None else None


def _archive(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    if arguments.dry_run:
        return preview_archiving(arguments)
    request = Request(
        OperationKind.ARCHIVE, actor(), merge=arguments.merge, overwrite=arguments.overwrite
    )
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _move(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    require_project(arguments)
    request = Request(OperationKind.MOVE, actor(), project=arguments.project)
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _delete(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    counted = terminal.counted(len(arguments.session), "session")
    terminal.confirm(f"Move {counted} to the trash?", already=arguments.yes)
    request = Request(OperationKind.DELETE, actor())
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _restore(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    request = Request(OperationKind.RESTORE, actor())
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _rebuild(arguments: argparse.Namespace) -> int:
    from engine.events.sessions import SessionRebuildAsked
    from engine.sessions.context import project_of

    def rebuild(ledger: SessionRepository, number: int) -> None:
        ledger.request_build(number, actor())
        project = project_of(ledger.session(number))
        event = SessionRebuildAsked(session=number, project=project, by=actor())
        record(settings_of(arguments), event)

    return ask_each(arguments, rebuild)


def _cancel(arguments: argparse.Namespace) -> int:
    from engine.events.sessions import SessionCancelled
    from engine.sessions.context import project_of

    def cancel(ledger: SessionRepository, number: int) -> None:
        ledger.cancel(number)
        project = project_of(ledger.session(number))
        event = SessionCancelled(session=number, project=project, by=actor())
        record(settings_of(arguments), event)

    return ask_each(arguments, cancel)


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the command `trace`."""
    set_run(parser, _trace)
    what = (
        "a SOP or Study Instance UID, an accession number, a patient ID, a calling AE title,"
        " or a part of a session's label or subject"
    )
    parser.add_argument("value", metavar="VALUE", help=what)


def _trace(arguments: argparse.Namespace) -> None:
    from engine.index.finding import find
    from engine.index.reader import IndexFile
    from engine.index.traces import TraceKey

    settings = settings_of(arguments)
    path = settings.trace_key_file
    # `TraceKey` would make a key; without one nothing was hashed.
    key = TraceKey(path) if path.exists() else None
    with IndexFile(settings.index_file) as index, index.reading() as connection:
        found = find(connection, key, arguments.value)
    if not found.sessions and not found.arrivals:
        raise NotFound("nothing of that was received", "check the value; letter case is ignored")
    if arguments.json:
        sessions = [
            asdict(one) | {"arrivals": arrivals_in(one.session.id, found.arrivals)}
            for one in found.sessions
        ]
        return terminal.print_json(asdict(found) | {"sessions": sessions})
    heads: tuple[str, ...] = (*HEADS, "FOUND BY")
    rows = [(*row_of(one.session), one.by) for one in found.sessions]
    if found.arrivals:
        print_arrivals(found.arrivals)
        heads = (*heads, "ARRIVALS")
        rows = [
            (*row, arrival_words(one.session.id, found.arrivals))
            for row, one in zip(rows, found.sessions, strict=True)
        ]
    terminal.print_table(heads, rows)
    removed = "the row of the object was removed; an engine reads it again: objects trail UID"
    return terminal.say(removed) if found.lacks_arrivals else None
