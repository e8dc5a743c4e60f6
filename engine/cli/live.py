"""Commands that need a running engine: associations and ports."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from engine.api import PortState
from engine.cli.context import actor, attached, receiver_named, settings_of, store_of
from engine.cli.options import add_verb, add_verbs, add_yes, set_run, whole_number
from engine.errors import NotFound, PeerError
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.peer import AETitle

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from engine.api import AssociationStatus, EngineSnapshot, EngineView, ReceiverStatus
    from engine.cli.options import Commands


_NOT_FREE = 1


def add_associations(command: argparse.ArgumentParser) -> None:
    """Add the commands that show and abort associations."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list, "list live associations and those that ended lately")
    listed.add_argument("--live", action="store_true", help="live ones only")
    show = add_verb(verbs, "show", _show, "show one, and the contexts that were accepted")
    abort = add_verb(verbs, "abort", _abort, "abort a live one; what it stored stays")
    add_yes(abort)
    for parser in (show, abort):
        parser.add_argument("association", metavar="ID", help="such as A-0412")


def add_port_verbs(verbs: Commands) -> None:
    """Add the verbs of `receivers` that concern ports."""
    called = add_verb(verbs, "echo", _echo, "send a receiver a C-ECHO, as a peer would")
    called.add_argument("receiver", metavar="RECEIVER", help="AE:PORT, id or AE title")
    retry = add_verb(verbs, "retry", _retry, "retry at once a receiver that failed to listen")
    retry.add_argument("receiver", metavar="RECEIVER", help="AE:PORT, id or AE title")
    port = add_verb(
        verbs, "test-port", _test_port, "check whether a receiver could listen on a port"
    )
    port.add_argument("port", type=whole_number, metavar="PORT")


@contextmanager
def running_engine(arguments: argparse.Namespace) -> Iterator[EngineView]:
    """Yield the engine that runs on the data directory.

    Raises:
        NotFound: if none does.
    """
    settings = settings_of(arguments)
    with attached(settings) as engine:
        if engine is None:
            raise NotFound(f"no engine runs on {settings.data_dir}", "start one: dicomdock engine")
        yield engine


def _list(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        snapshot = engine.snapshot()
    ended = () if arguments.live else snapshot.ended_associations
    if arguments.json:
        records = [asdict(association) for association in (*snapshot.associations, *ended)]
        return terminal.print_json({"associations": records})
    heads = ("ID", "RECEIVER", "CALLER", "ADDRESS", "SINCE", "OBJECTS", "FAILED", "STATE", "WHY")
    return terminal.print_table(heads, map(_row, (*snapshot.associations, *ended)))


def _row(association: AssociationStatus) -> tuple[object, ...]:
    return (
        association.id,
        association.receiver,
        association.calling_ae_title,
        association.address,
        association.since,
        association.objects,
        association.failed,
        str(association.end) if association.end else "open",
        association.why,
    )


def _show(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        association = _named(engine.snapshot(), arguments.association)
        contexts = engine.associations.contexts(association.id)
    if arguments.json:
        accepted = [asdict(context) for context in contexts]
        return terminal.print_json(asdict(association) | {"contexts_accepted": accepted})
    terminal.print_table(("ASSOCIATION", association.id), list(asdict(association).items())[1:-1])
    rows = [(c.sop_class, c.transfer_syntax) for c in contexts]
    refused = [(c.sop_class, f"refused: {c.reason}") for c in association.contexts_refused]
    return terminal.print_table(("CONTEXT", "TRANSFER SYNTAX"), [*rows, *refused])


def _abort(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        association = _named(engine.snapshot(), arguments.association)
        whom = f"{association.id} of {association.calling_ae_title}"
        terminal.confirm(f"Abort {whom}?", already=arguments.yes)
        engine.associations.abort(association.id, actor())
    if arguments.json:
        return terminal.print_json({"aborted": association.id})
    return terminal.say(f"{whom} is aborted")


def _named(snapshot: EngineSnapshot, name: str) -> AssociationStatus:
    for association in (*snapshot.associations, *snapshot.ended_associations):
        if association.id == name:
            return association
    raise NotFound(f"there is no association {name[:40]!r}", "list them with: associations list")


def _retry(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        found = _receiver(engine.snapshot(), arguments.receiver)
        engine.retry_receiver(found.receiver.id, actor())
        after = _receiver(engine.snapshot(), found.receiver.label)
    why = after.failure.reason if after.failure else ""
    record = {"receiver": after.receiver.label, "state": str(after.state), "why": why}
    _print(arguments, record)


def _echo(arguments: argparse.Namespace) -> int:
    with running_engine(arguments) as engine:
        found = _receiver(engine.snapshot(), arguments.receiver).receiver
        result = engine.echo(found.id, actor())
    _print(arguments, {"receiver": found.label, **asdict(result)})
    return 0 if result.ok else PeerError.exit_code


def _print(arguments: argparse.Namespace, record: Mapping[str, object]) -> None:
    if arguments.json:
        terminal.print_json(record)
    else:
        terminal.print_table(tuple(map(str.upper, record)), [tuple(record.values())])


def _receiver(snapshot: EngineSnapshot, name: str) -> ReceiverStatus:
    named = receiver_named([status.receiver for status in snapshot.receivers], name)
    return next(status for status in snapshot.receivers if status.receiver.id == named.id)


def _test_port(arguments: argparse.Namespace) -> int:
    with running_engine(arguments) as engine:
        status = engine.port_status(arguments.port)
    state = {"port": arguments.port, "state": str(status.state), "detail": status.detail}
    _print(arguments, state)
    return 0 if status.state in (PortState.FREE, PortState.OURS) else _NOT_FREE


def add_selftest(parser: argparse.ArgumentParser) -> None:
    """Add the command that sends a marked object to a receiver and removes it again."""
    set_run(parser, _selftest)
    parser.add_argument("receiver", metavar="RECEIVER", help="AE:PORT, id or AE title")
    parser.add_argument("--calling", required=True, metavar="AE",
                        help="the AE title to call with, as a scanner would")  # fmt: skip


def _selftest(arguments: argparse.Namespace) -> int:
    # pydicom, which no other command of this module needs.
    from engine.app.selftest.run import SelfTest
    from engine.remote.channel import get_resource

    calling = AETitle.parse(arguments.calling, "calling")
    configuration = store_of(arguments).load()
    receiver = receiver_named(configuration.receivers, arguments.receiver)
    settings = settings_of(arguments)
    with ExitStack() as resources:
        has_socket = settings.control_file.exists()
        engine = resources.enter_context(attached(settings)) if has_socket else None
        get = partial(get_resource, settings.control_file)
        test = SelfTest(settings, configuration, receiver, calling, SystemClock(), engine, get)
        found = list(test.run())
    bad = [step for step in found if not step.is_good]
    if arguments.json:
        steps = [asdict(step) for step in found]
        terminal.print_json({"receiver": receiver.label, "ok": not bad, "steps": steps})
    else:
        rows = [(f.step, "ok" if f.is_good else "FAILED", f.detail) for f in found]
        terminal.print_table(("STEP", "RESULT", "WHAT"), rows)
        for step in bad:
            if step.remedy:
                terminal.say(f"{step.step}: {step.remedy}")
    return max((step.exit_code for step in bad), default=0)


_HOURS_OF_A_DAY = 24


def add_senders(command: argparse.ArgumentParser) -> None:
    """Add the commands that show senders."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list_senders, "list senders, the most recent first")
    listed.add_argument("text", metavar="TEXT", nargs="?", default="",
                        help="part of the AE title, address or implementation")  # fmt: skip
    listed.add_argument("--limit", type=whole_number, default=100, metavar="N",
                        help="how many at most (default: 100)")  # fmt: skip
    show = add_verb(verbs, "show", _show_sender, "show a sender, and what came from it by hour")
    show.add_argument("ae_title", metavar="AE", help="its AE title")
    show.add_argument("address", metavar="ADDRESS", help="its address, without the port")
    show.add_argument("--week", action="store_true", help="of seven days, not of one")


def _list_senders(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        page = engine.senders.list(text=arguments.text, limit=arguments.limit)
    if arguments.json:
        records = [asdict(sender) for sender in page.senders]
        return terminal.print_json({"senders": records, "total": page.total})
    heads = ("CALLER", "ADDRESS", "LAST SEEN", "OBJECTS", "FAILED", "REJECTED", "LAST ERROR")
    rows = [
        (s.calling_ae_title, s.address, s.last_seen, s.objects, s.failed, s.rejected,
         s.last_error or s.last_rejection)
        for s in page.senders
    ]  # fmt: skip
    return terminal.print_table(heads, rows)


def _show_sender(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        detail = engine.senders.detail(arguments.ae_title, arguments.address)
    sender = detail.sender
    hours = detail.hours if arguments.week else detail.hours[-_HOURS_OF_A_DAY:]
    if arguments.json:
        record = asdict(sender) | {"state": str(sender.state), "receivers": detail.receivers}
        return terminal.print_json(record | {"hours": [asdict(hour) for hour in hours]})
    told = [(n, v) for n, v in asdict(sender).items() if n not in {"day", "refused_contexts"}]
    told += [("refused context", one) for one in sender.refused_contexts]
    told += [("called", one) for one in detail.receivers]
    terminal.print_table(("SENDER", f"{sender.calling_ae_title}@{sender.address}"), told)
    rows = [(h.begins_at, h.objects, h.failed, f"{h.bytes / 1e6:.1f}") for h in hours if h.objects]
    return terminal.print_table(("HOUR", "OBJECTS", "FAILED", "MB"), rows)
