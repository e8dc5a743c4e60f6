"""Asks for work on sessions: of a running engine, or of this command if none runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.cli.context import settings_of
from engine.cli.live import running_engine
from engine.cli.options import seconds
from engine.errors import NotFound, SessionError
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from engine.sessions.ledger import SessionRepository

    Ask = Callable[[SessionRepository, int], None]


_LONGEST_LOOK_SECONDS = 60.0
"""The longest single wait that is asked of the engine."""


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add the option that waits for the engine."""
    waits = "wait for the engine to finish, at most N seconds"
    parser.add_argument("--wait", type=seconds, metavar="N", help=waits)


def ask_each(arguments: argparse.Namespace, request: Ask) -> int:
    """Queue a request for each of ``arguments.session``; without an engine, carry it out at once.

    Returns:
        The exit code.
    """
    from engine.host.wakeup import notify
    from engine.index.reader import IndexFile
    from engine.sessions.ledger import SessionRepository

    settings, clock = settings_of(arguments), SystemClock()
    with IndexFile(settings.index_file) as index:
        # A running engine does the work; the command only asks for it.
        if EngineLock.holder(settings.lock_file):
            ledger = SessionRepository(index, clock)
            refused = _ask_each(arguments.session, ledger, request)
            # Once all rows are there: a single look of the engine finds them.
            notify(settings.wakeup_file)
            late = not _waited(arguments, refused)
            return _print_outcome(arguments, ledger, refused) or int(late)
    from engine.sessions.service import sessions_without_engine

    with sessions_without_engine(settings, clock) as session_service:
        refused = _ask_each(arguments.session, session_service.ledger, request)
        session_service.run_requests()
        return _print_outcome(arguments, session_service.ledger, refused)


def _waited(arguments: argparse.Namespace, refused: Iterable[int]) -> bool:
    """Wait for the requests, if ``--wait`` is given; return whether all are done."""
    wait = getattr(arguments, "wait", None)
    if wait is None:
        return True
    asked = [number for number in arguments.session if number not in set(refused)]
    if _wait_until_settled(arguments, asked, wait):
        return True
    terminal.say(f"not all is done after {wait:g} s; see: sessions list")
    return False


def _ask_each(
    numbers: list[int], ledger: SessionRepository, request: Ask
) -> dict[int, SessionError | NotFound]:
    """Queue the requests; return the sessions for which that is not possible."""
    refused: dict[int, SessionError | NotFound] = {}
    for number in numbers:
        try:
            request(ledger, number)
        except (SessionError, NotFound) as error:
            refused[number] = error
    return refused


def _print_outcome(
    arguments: argparse.Namespace,
    ledger: SessionRepository,
    refused: dict[int, SessionError | NotFound],
) -> int:
    """Print the sessions and the requests that were rejected; return the exit code."""
    rows = [(number, *_state(ledger, number)) for number in arguments.session]
    if arguments.json:
        keys = ("id", "status", "reason")
        terminal.print_json({"sessions": [dict(zip(keys, r, strict=True)) for r in rows]})
    else:
        terminal.print_table(("ID", "STATUS", "REASON"), rows)
    for number, error in refused.items():
        terminal.say(f"session {number}: {error.detail}; {error.remedy}")
    return max((error.exit_code for error in refused.values()), default=0)


def _state(ledger: SessionRepository, number: int) -> tuple[str, str]:
    """Return a session's status and reason; a merged one has no row any more."""
    try:
        session = ledger.session(number)
    except NotFound:
        return "GONE", "merged into another session, or removed"
    return str(session.status), session.reason


def _wait_until_settled(
    arguments: argparse.Namespace, numbers: Iterable[int], seconds: float
) -> bool:
    """Wait until no request for the sessions is open; return False if time runs out."""
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
