"""A dry run of one object: where it would go and what processors would make of it, in steps."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.dicom.part10 import FileMeta
from engine.errors import IntakeError
from engine.identification.identifiers import explain
from engine.intake.label_processing import identify_processed, known_of
from engine.model.identity import Attribute, Identification, Source, Step, Trace
from engine.model.processor import Location
from engine.processing.context import ProcessorRun
from engine.processing.contract import Facts, Known
from engine.storage.placement import ObjectFiltered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.dicom.header import HeaderView
    from engine.identification.caches import RecentHeader
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.model.identity import Identity
    from engine.model.processing import ProcessorStep
    from engine.processing.chain import Processing, ProcessorChain
    from engine.storage.incoming import IncomingArea


@dataclass(frozen=True, slots=True)
class DryRun:
    """The identity, header and steps that an object would get."""

    identification: Identification
    header: HeaderView
    """As it would be before anonymization."""
    steps: tuple[ProcessorStep, ...] = ()
    """What each processor did."""
    rejected: str = ""
    """The processor that rejects it, and why; empty if none does."""


def try_object(
    processing: Processing | None,
    receiver_policy: ReceiverPolicy,
    chain: ProcessorChain | None,
    path: Path,
    header: HeaderView,
    facts: Facts,
) -> DryRun:
    """Run an object through identifier and processors; nothing is stored or counted."""
    if chain is None or processing is None:
        return DryRun(explain(receiver_policy.identifier, header, receiver_policy.routing), header)
    seen: list[Identification] = []

    def ask(header: HeaderView) -> Identity:
        seen.append(explain(receiver_policy.identifier, header, receiver_policy.routing))
        if seen[-1].identity is None:
            raise IntakeError(seen[-1].failure)
        return seen[-1].identity

    with ProcessorRun(
        path, header, facts, Known(), receiver_policy.last_tag, is_trial=True
    ) as processor_run:
        try:
            identity = identify_processed(processing, chain, processor_run, receiver_policy, ask)
            processor_run.known = known_of(identity)
            processing.run(chain, Location.AFTER_SESSION_CREATED, processor_run)
        except ObjectFiltered as dropped:
            found = Identification(None, dropped.reason, _trace(seen))
            return DryRun(found, processor_run.header, tuple(processor_run.steps), dropped.reason)
        except IntakeError as error:
            found = Identification(None, error.detail, _trace(seen))
            return DryRun(found, processor_run.header, tuple(processor_run.steps))
        assigned = tuple(_assignments(processor_run, identity))
        # What a processor assigned replaces the steps that the rules took for that attribute.
        replaced = {step.attribute for step in assigned}
        asked = (step for step in _trace(seen).steps if step.attribute not in replaced)
        found = Identification(identity, "", Trace((*assigned, *asked)))
        return DryRun(found, processor_run.header, tuple(processor_run.steps))


def try_recent(
    processing: Processing,
    receiver_policy: ReceiverPolicy,
    chain: ProcessorChain,
    recent: RecentHeader,
) -> DryRun:
    """Try a recent object; processors see a file with its header only."""
    facts = Facts(recent.receiver, recent.calling_ae_title)
    with _header_file(processing.area, recent.header, facts) as path:
        return try_object(processing, receiver_policy, chain, path, recent.header, facts)


@contextmanager
def _header_file(area: IncomingArea, header: HeaderView, facts: Facts) -> Iterator[Path]:
    """Write a header to a part, and remove it at the end of the context."""
    # ``AE:port``; an AE title may contain a colon itself.
    receiver, _, _ = facts.receiver.rpartition(":")
    meta = FileMeta(
        header.sop_class_uid or "", header.transfer_syntax_uid, facts.calling_ae_title, receiver
    )
    with area.create_held_part() as part:
        part.writev((meta.preamble(header.sop_instance_uid or ""), header.data))
        yield part.path


def _trace(seen: list[Identification]) -> Trace:
    return seen[-1].trace if seen else Trace()


def _assignments(processor_run: ProcessorRun, identity: Identity) -> Iterator[Step]:
    """Yield a step for each attribute that a processor assigned."""
    said = processor_run.assigned
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
