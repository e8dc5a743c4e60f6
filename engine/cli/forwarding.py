"""`forwarding`: destinations, waiting copies and failed ones; with or without an engine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.context import actor, attached, journal_of, settings_of, store_of
from engine.cli.options import add_verb, add_verbs, add_yes, whole_number
from engine.errors import NotFound
from engine.host import terminal
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from engine.api.forwarding import DestinationStatus, ForwardingView, NotForwarded
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.settings import EngineSettings

_HEADS = ("ID", "DESTINATION", "PEER", "STATE", "QUEUED", "FAILED", "SENT", "LAST ERROR", "NEXT")


def add_forwarding(command: argparse.ArgumentParser) -> None:
    """Add the commands for forward copies."""
    verbs = add_verbs(command)
    add_verb(verbs, "list", _list, "list the destinations with their states")
    failed = add_verb(
        verbs, "failed", _failed, "list objects that could not be forwarded, newest first"
    )
    failed.add_argument("destination", nargs="?", metavar="DESTINATION", help="an id or label")
    failed.add_argument("--limit", type=whole_number, default=100, metavar="N",
                        help="how many at most (default: 100)")  # fmt: skip
    retry = add_verb(verbs, "retry", _retry, "retry a destination at once, with its failed objects")
    drop = add_verb(
        verbs, "drop", _drop, "drop failed objects from the queue; the stored objects stay"
    )
    for parser in (retry, drop):
        parser.add_argument("destination", metavar="DESTINATION", help="an id or label")
        parser.add_argument("--item", dest="items", type=whole_number, action="append", default=[],
                            metavar="ID", help="only this one; repeat for more")  # fmt: skip
    drop.add_argument("--waiting", action="store_true",
                      help="drop waiting objects instead of failed ones")  # fmt: skip
    add_yes(drop)


@contextmanager
def _forwarding_control(
    arguments: argparse.Namespace,
) -> Iterator[tuple[ForwardingView, Configuration, bool]]:
    """Yield the forward copies of the data directory, and whether an engine sends them.

    Raises:
        NotFound: if there is no destination.
    """
    from engine.processing.forward.service import forward_copies

    settings = settings_of(arguments)
    configuration = store_of(arguments).load()
    if not forward_copies(configuration):
        remedy = "add one with: processors add --class forwardCopy"
        raise NotFound("there is no destination", remedy)
    with attached(settings) as engine:
        if engine is not None:
            yield engine.forwarding, configuration, True
            return
    with _queue(settings, configuration) as desk:
        yield desk, configuration, False


@contextmanager
def _queue(settings: EngineSettings, configuration: Configuration) -> Iterator[ForwardingView]:
    """Open the queue without an engine."""
    from engine.processing.forward.queue import ForwardingQueue
    from engine.processing.forward.service import ForwardingControl

    with ForwardingQueue(settings.state_file) as queue, journal_of(settings) as journal:
        yield ForwardingControl(queue, lambda: configuration, SystemClock(), journal.record)


def _named(configuration: Configuration, name: str) -> Processor:
    from engine.processing.forward.service import forward_copies, named

    return named(forward_copies(configuration), name)


def _has_destinations(arguments: argparse.Namespace) -> bool:
    from engine.processing.forward.service import forward_copies

    return bool(forward_copies(store_of(arguments).load()))


def _list(arguments: argparse.Namespace) -> None:
    found: tuple[DestinationStatus, ...] = ()
    runs = False
    if _has_destinations(arguments):
        with _forwarding_control(arguments) as (desk, _, runs):
            found = desk.destinations()
    if arguments.json:
        records = [asdict(destination) for destination in found]
        return terminal.print_json({"engine_runs": runs, "destinations": records})
    return terminal.print_table(_HEADS, [_row(destination) for destination in found])


def _row(found: DestinationStatus) -> tuple[object, ...]:
    peer = f"{found.peer} (TLS)" if found.tls else found.peer
    counts = (found.queued, found.failed, found.sent)
    last = (found.last_error, found.next_attempt_at)
    return (found.id, found.label, peer, found.state, *counts, *last)


def _failed(arguments: argparse.Namespace) -> None:
    found: tuple[NotForwarded, ...] = ()
    chosen = arguments.destination
    if chosen or _has_destinations(arguments):
        with _forwarding_control(arguments) as (desk, configuration, _):
            number = _named(configuration, chosen).id if chosen else None
            found = desk.failed(number, arguments.limit)
    if arguments.json:
        return terminal.print_json({"failed": [asdict(item) for item in found]})
    heads = ("ITEM", "DESTINATION", "QUEUED AT", "ATTEMPTS", "SOP INSTANCE UID", "REASON")
    rows = [(f.id, f.label, f.queued_at, f.attempts, f.sop_instance_uid, f.reason) for f in found]
    return terminal.print_table(heads, rows)


def _retry(arguments: argparse.Namespace) -> None:
    with _forwarding_control(arguments) as (desk, configuration, runs):
        number = _named(configuration, arguments.destination).id
        count = desk.retry(number, actor(), tuple(arguments.items))
    if arguments.json:
        return terminal.print_json({"queued_again": count, "engine_runs": runs})
    when = "now" if runs else "when an engine runs"
    return terminal.say(f"{terminal.counted(count, 'object')} queued again; it is tried {when}")


def _drop(arguments: argparse.Namespace) -> None:
    with _forwarding_control(arguments) as (desk, configuration, _):
        destination = _named(configuration, arguments.destination)
        what = "waits" if arguments.waiting else "was given up"
        question = f"Forget what {what} for {destination.label}?"
        terminal.confirm(question, already=arguments.yes)
        items = tuple(arguments.items)
        count = desk.drop(destination.id, actor(), items, waiting=arguments.waiting)
    if arguments.json:
        return terminal.print_json({"dropped": count})
    return terminal.say(f"{terminal.counted(count, 'object')} dropped")
