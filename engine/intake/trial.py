"""A dry run of one object: where it would go and what processors would make of it, in steps."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import IntakeError
from engine.intake.custom_processing import identify_processed, known_of
from engine.intake.dropped import Dropped
from engine.intake.file_meta import FileMeta
from engine.intake.identifiers import explain
from engine.intake.passing import Passing
from engine.intake.processors import Facts, Known
from engine.model.identity import Identification
from engine.model.processor_class import Location
from engine.model.trace import Attribute, Source, Step, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.intake.header import HeaderView
    from engine.intake.processing import Chain, Processing
    from engine.intake.remembered import RecentHeader
    from engine.intake.router import Ruling
    from engine.intake.write import IncomingArea
    from engine.model.identity import Identity
    from engine.model.processing import ProcessorStep


@dataclass(frozen=True, slots=True)
class Tried:
    """What would become of an object."""

    identification: Identification
    header: HeaderView
    """As it would be before anonymization."""
    steps: tuple[ProcessorStep, ...] = ()
    """What the processors said."""
    rejected: str = ""
    """Which processor rejects it and why, if one does; it is not stored then."""


def try_object(
    processing: Processing | None,
    ruling: Ruling,
    chain: Chain | None,
    path: Path,
    header: HeaderView,
    facts: Facts,
) -> Tried:
    """Take an object the way that it would go, without storing it and without counting it."""
    if chain is None or processing is None:
        return Tried(explain(ruling.identifier, header, ruling.routing), header)
    seen: list[Identification] = []

    def ask(header: HeaderView) -> Identity:
        seen.append(explain(ruling.identifier, header, ruling.routing))
        if seen[-1].identity is None:
            raise IntakeError(seen[-1].failure)
        return seen[-1].identity

    with Passing(path, header, facts, Known(), ruling.last_tag, is_trial=True) as passing:
        try:
            identity = identify_processed(processing, chain, passing, ruling, ask)
            passing.known = known_of(identity)
            processing.run(chain, Location.AFTER_SESSION_CREATED, passing)
        except Dropped as dropped:
            found = Identification(None, dropped.reason, _trace(seen))
            return Tried(found, passing.header, tuple(passing.steps), dropped.reason)
        except IntakeError as error:
            found = Identification(None, error.detail, _trace(seen))
            return Tried(found, passing.header, tuple(passing.steps))
        assigned = tuple(_assignments(passing, identity))
        told = {step.attribute for step in assigned}
        asked = (step for step in _trace(seen).steps if step.attribute not in told)
        found = Identification(identity, "", Trace((*assigned, *asked)))
        return Tried(found, passing.header, tuple(passing.steps))


def try_recent(processing: Processing, ruling: Ruling, chain: Chain, recent: RecentHeader) -> Tried:
    """Try an object that arrived not long ago, as far as its header is still in memory."""
    facts = Facts(recent.receiver, recent.calling_ae_title)
    with _header_file(processing.area, recent.header, facts) as path:
        return try_object(processing, ruling, chain, path, recent.header, facts)


@contextmanager
def _header_file(area: IncomingArea, header: HeaderView, facts: Facts) -> Iterator[Path]:
    """Write a header that is kept in memory to a file that goes away again."""
    receiver, _, _ = facts.receiver.rpartition(":")
    meta = FileMeta(
        header.sop_class_uid or "", header.transfer_syntax_uid, facts.calling_ae_title, receiver
    )
    with area.create_part() as part:
        part.writev((meta.preamble(header.sop_instance_uid or ""), header.data))
        yield area.path_of(part)


def _trace(seen: list[Identification]) -> Trace:
    return seen[-1].trace if seen else Trace()


def _assignments(passing: Passing, identity: Identity) -> Iterator[Step]:
    """Yield what processors decided, in the place of what else was asked."""
    said = passing.assigned
    for attribute, value, decision in (
        (Attribute.PROJECT, said.project, identity.project),
        (Attribute.SUBJECT, said.subject, identity.subject),
        (Attribute.SESSION, said.session, identity.session),
    ):
        if value is not None:
            step = Step(attribute, Source.PROCESSOR, None, decision.source, None, "", None, False,
                        None, value, decision.value, "")  # fmt: skip
            unknown = "names no project" if value and decision.value is None else ""
            yield replace(step, why_not=unknown)
