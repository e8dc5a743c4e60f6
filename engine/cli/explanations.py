"""`objects why` and `sessions why`: which rules put an object where it is, masked by default."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.api.objects import HeaderBasis
from engine.cli.context import actor
from engine.cli.identifications import (
    identity_record,
    print_processing,
    print_steps,
    step_record,
)
from engine.cli.live import running_engine
from engine.cli.object_names import HELP, MASKED, add_show_values, object_name
from engine.cli.options import add_verb, whole_number
from engine.errors import NotFound
from engine.host import terminal
from engine.model.identity import UNASSIGNED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from engine.api import EngineView
    from engine.api.objects import ObjectReference, ObjectWhy
    from engine.cli.options import Commands


_EXPLAINS = "show which rules put {} where it is, and what each saw"


def add_object_why(verbs: Commands) -> None:
    """Add the verb that explains one object."""
    parser = add_verb(verbs, "why", _why_object, _EXPLAINS.format("an object"))
    parser.add_argument("object", metavar="OBJECT", type=object_name, help=HELP)
    add_show_values(parser)


def add_session_why(verbs: Commands) -> None:
    """Add the verb that explains a session by the first object of each of its scans."""
    parser = add_verb(verbs, "why", _why_session, _EXPLAINS.format("a session"))
    parser.add_argument("session", metavar="ID", type=whole_number, help="a session's number")
    add_show_values(parser)


def _why_object(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        found = [_explained(engine, arguments.object, shown=arguments.show_values)]
    _print(arguments, found)


def _why_session(arguments: argparse.Namespace) -> None:
    number = arguments.session
    with running_engine(arguments) as engine:
        objects = engine.sessions.detail(number).first_objects
        found = [_explained(engine, one, shown=arguments.show_values) for one in objects]
    if not found:
        raise NotFound("no object of the session is left", f"see: sessions show {number}")
    _print(arguments, found)


def _explained(engine: EngineView, reference: ObjectReference, *, shown: bool) -> ObjectWhy:
    objects = engine.objects
    return objects.shown_why(reference, actor()) if shown else objects.why(reference)


def _print(arguments: argparse.Namespace, found: Sequence[ObjectWhy]) -> None:
    if arguments.json:
        return terminal.print_json({"objects": [_record(why) for why in found]})
    for number, why in enumerate(found):
        terminal.print_text("\n" if number else "")
        terminal.print_table(("OBJECT", why.arrival.file or "not stored"), _rows(why))
        print_processing(why.processing)
        if why.found is not None:
            print_steps(why.found.trace.steps)
    return None if arguments.show_values else terminal.say(MASKED)


def _rows(why: ObjectWhy) -> Iterator[tuple[str, object]]:
    arrival, session, found = why.arrival, why.session, why.found
    yield "arrived", arrival.at
    yield "from", f"{arrival.calling_ae_title} at {arrival.receiver}"
    yield "state", "; ".join(filter(None, (arrival.state, arrival.reason)))
    if session is not None:
        where = f"{session.project or UNASSIGNED} / {session.label}, {session.area}"
        yield "is in", f"{where} (session {session.id})"
    if found is None:
        yield "rules", f"not known: receiver {arrival.receiver} does not exist any more"
        return
    yield "dry run of", why.basis
    if found.identity is not None:
        yield "rules say", " / ".join(label or "–" for label in found.identity.labels)
    else:
        yield "rules say", f"rejected: {found.failure}"
    if not why.agrees:
        yield "differs", "rules, projects or labels were changed since it arrived"
    if why.unknown_project:
        yield "missing", f"project {why.unknown_project}"


def _record(why: ObjectWhy) -> dict[str, object]:
    return {
        "arrival": asdict(why.arrival),
        "session": asdict(why.session) if why.session is not None else None,
        "as_received": why.basis is HeaderBasis.RECEIVED,
        "receiver_id": why.receiver_id,
        "agrees": why.agrees,
        "unknown_project": why.unknown_project,
        "decides": identity_record(why.found) if why.found is not None else None,
        "processing": [step.to_record() for step in why.processing],
        "steps": [step_record(step) for step in why.found.trace.steps] if why.found else [],
    }
