"""`sessions edit`, `sessions scans` and `sessions undo`: review before archiving, and its undo."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.context import actor, settings_of, store_of
from engine.cli.live import running_engine
from engine.cli.options import add_verb, add_verbs, add_yes, whole_number
from engine.cli.session_requests import add_wait, ask_each
from engine.errors import NotFound
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.identity import UNASSIGNED

if TYPE_CHECKING:
    import argparse

    from engine.api.sessions import PastAction
    from engine.cli.options import Commands
    from engine.sessions.ledger import SessionRepository

_SHOWN = 10


def add_edits(verbs: Commands) -> None:
    """Add the verbs."""
    edit = add_verb(verbs, "edit", _edit, "change labels or project of sessions before archiving")
    edit.add_argument("session", metavar="ID", type=whole_number, nargs=1,
                      help="a session's number")  # fmt: skip
    edit.add_argument("--project", metavar="ID", default="", help="the project it goes to")
    edit.add_argument("--subject", metavar="LABEL", default="", help="its new subject")
    edit.add_argument("--label", metavar="LABEL", default="", help="its new label")
    dry = "show the result, other sessions of these names and the scripts, and change nothing"
    edit.add_argument("--dry-run", action="store_true", help=dry)
    scans = verbs.add_parser("scans", help="remove scans of a session before archiving")
    words = "move scans to the trash; restore puts them back"
    remove = add_verb(add_verbs(scans), "remove", _remove, words)
    remove.add_argument("session", metavar="ID", type=whole_number, nargs=1,
                        help="a session's number")  # fmt: skip
    remove.add_argument("scans", metavar="SCAN", nargs="+", help="a scan's id")
    add_yes(remove)
    undo = add_verb(verbs, "undo", _undo, "undo an action, or list the last ones of everybody")
    undo.add_argument("action", metavar="ACTION", type=whole_number, nargs="?",
                      help="its number in the list; the list if there is none")  # fmt: skip
    many = f"how many to list at most (default: {_SHOWN})"
    undo.add_argument("--limit", type=whole_number, default=_SHOWN, metavar="N", help=many)
    for parser in (edit, remove, undo):
        add_wait(parser)


def require_project(arguments: argparse.Namespace) -> None:
    """Check that ``--project`` names a project.

    Raises:
        NotFound: if it does not.
    """
    known = {project.id for project in store_of(arguments).load().projects.projects}
    if arguments.project not in known:
        detail = f"there is no project {arguments.project[:80]!r}"
        raise NotFound(detail, "add it with: projects add")


def _edit(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    names = {name: getattr(arguments, name) for name in ("project", "subject", "label")}
    if names["project"]:
        require_project(arguments)
    if arguments.dry_run:
        return _preview(arguments, names)
    request = Request(OperationKind.MOVE, actor(), **names)
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _preview(arguments: argparse.Namespace, names: dict[str, str]) -> int:
    (number,) = arguments.session
    with running_engine(arguments) as engine:
        preview = engine.sessions.preview_edit(number, **names)
    if arguments.json:
        terminal.print_json({"id": number, **asdict(preview)})
        return 0
    rows = [
        ("project", preview.project or UNASSIGNED),
        ("subject", preview.subject or ""),
        ("session", preview.label),
        *(("clash", words) for words in preview.clashes),
        *(("then", words) for words in preview.consequences),
    ]
    terminal.print_table(("SESSION", str(number)), rows)
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from engine.index.operations import OperationKind, Request

    counted = terminal.counted(len(arguments.scans), "scan")
    terminal.confirm(f"Move {counted} to the trash?", already=arguments.yes)
    request = Request(OperationKind.REMOVE_SCANS, actor(), scans=tuple(arguments.scans))
    return ask_each(arguments, lambda ledger, number: ledger.ask(number, request))


def _undo(arguments: argparse.Namespace) -> int:
    # SQLite and the index: the help must not wait for them.
    from engine.index.reader import IndexFile
    from engine.sessions.ledger import SessionRepository

    with IndexFile(settings_of(arguments).index_file) as index:
        ledger = SessionRepository(index, SystemClock())
        if arguments.action is None:
            return _print_actions(arguments, ledger.newest_actions(arguments.limit))
        session, request = ledger.request_of_undo(arguments.action, actor())

    def ask(ledger: SessionRepository, number: int) -> None:
        ledger.ask(number, request)

    arguments.session = [session]
    return ask_each(arguments, ask)


def _print_actions(arguments: argparse.Namespace, actions: tuple[PastAction, ...]) -> int:
    if arguments.json:
        terminal.print_json({"actions": [asdict(action) for action in actions]})
        return 0
    rows = [
        (
            *(one.number, one.at, one.by, one.what, one.session),
            *(one.project or UNASSIGNED, one.label, one.why_not or "yes"),
        )
        for one in actions
    ]
    heads = ("ACTION", "AT", "BY", "WHAT", "SESSION", "PROJECT", "LABEL", "CAN BE UNDONE")
    terminal.print_table(heads, rows)
    return 0
