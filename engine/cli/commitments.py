"""`commitments`: requests for storage commitment, and their results; with or without an engine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.context import actor, attached, journal_of, settings_of
from engine.cli.options import add_verb, add_verbs, whole_number
from engine.host import terminal
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from engine.api.commitments import CommitmentStatus, CommitmentsView

_HEADS = (
    *("ID", "ASKED AT", "BY", "RECEIVER", "OBJECTS", "FAILED", "STATE", "ATTEMPTS", "NEXT"),
    "REASON",
)


def add_commitments(command: argparse.ArgumentParser) -> None:
    """Add the commands for storage commitments."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list, "list the requests, newest first")
    show = add_verb(verbs, "show", _show, "show the objects of a request, those that failed first")
    retry = add_verb(verbs, "retry", _retry, "look the objects up again, and tell the peer at once")
    for parser, most in ((listed, 100), (show, 1000)):
        parser.add_argument("--limit", type=whole_number, default=most, metavar="N",
                            help=f"how many at most (default: {most})")  # fmt: skip
    for parser in (show, retry):
        parser.add_argument("number", type=whole_number, metavar="ID", help="as in the list")


@contextmanager
def _commitments(arguments: argparse.Namespace) -> Iterator[tuple[CommitmentsView, bool]]:
    """Yield the requests of the data directory, and whether an engine answers them."""
    settings = settings_of(arguments)
    with attached(settings) as engine:
        if engine is not None:
            yield engine.commitments, True
            return
    from engine.queries.commitments import CommitmentQueries

    with journal_of(settings) as journal:
        yield CommitmentQueries(settings.state_file, SystemClock(), journal.record), False


def _list(arguments: argparse.Namespace) -> None:
    with _commitments(arguments) as (view, runs):
        found = view.list(arguments.limit)
    if arguments.json:
        records = [asdict(one) for one in found]
        return terminal.print_json({"engine_runs": runs, "commitments": records})
    return terminal.print_table(_HEADS, [_row(one) for one in found])


def _row(one: CommitmentStatus) -> tuple[object, ...]:
    about = (one.id, one.asked_at, one.calling_ae_title, one.receiver, one.objects, one.failed)
    return (*about, one.state, one.attempts, one.next_attempt_at, one.reason)


def _show(arguments: argparse.Namespace) -> None:
    with _commitments(arguments) as (view, _):
        found = view.show(arguments.number, arguments.limit)
    if arguments.json:
        return terminal.print_json(asdict(found))
    terminal.print_table(_HEADS, [_row(found.status)])
    words = {True: "yes", False: "no", None: "not known yet"}
    rows = [(o.sop_instance_uid, words[o.committed], o.reason) for o in found.objects]
    terminal.print_table(("SOP INSTANCE UID", "COMMITTED", "REASON"), rows)
    left = found.status.objects - len(found.objects)
    return terminal.say(f"{left:,} more; see --limit") if left else None


def _retry(arguments: argparse.Namespace) -> None:
    with _commitments(arguments) as (view, runs):
        status = view.retry(arguments.number, actor())
    if arguments.json:
        return terminal.print_json({"engine_runs": runs, "commitment": asdict(status)})
    when = "now" if runs else "when an engine runs"
    return terminal.say(f"request {status.id} is answered again {when}")
