"""Where processors stand in an object's way: between header, project, labels and anonymization.

Used by the pipeline for what arrives, and by dry runs, so that both go the same way (XNAT 8.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.identification.caches import SeriesDestination
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.identifiers import explain
from engine.model.processor import Location
from engine.processing.context import ProcessorRun
from engine.processing.contract import Facts, Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dicom.header import HeaderView
    from engine.intake.object import AssociationContext, IncomingObject
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.model.identity import Decision, Identity
    from engine.processing.chain import Processing, ProcessorChain

    Ask = Callable[[HeaderView], Identity]


class Identifying(Protocol):
    """The part of `engine.intake.rules.ObjectRouter` that is needed here."""

    def note(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> None:
        """Remember an object for previews."""

    def ask(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> tuple[Identity, bool]:
        """Return where an object belongs, and whether equal headers get the same answer."""
        ...


class CustomProcessing:
    """Takes arriving objects through the processors of their receiver; for all threads."""

    def __init__(self, processing: Processing, router: Identifying) -> None:
        self._processing = processing
        self._router = router

    def identified(
        self,
        incoming: IncomingObject,
        header: HeaderView,
        receiver_policy: ReceiverPolicy,
        chain: ProcessorChain,
    ) -> tuple[HeaderView, SeriesDestination]:
        """Return the header as it is then, and where the object belongs.

        Raises:
            Dropped: if a processor rejects the object.
            IntakeError: if a processor or a rule fails.
        """
        source = incoming.arrival.source
        self._router.note(header, receiver_policy, source)

        def ask(header: HeaderView) -> Identity:
            return self._router.ask(header, receiver_policy, source)[0]

        with self._processor_run(incoming, header, receiver_policy, Known()) as processor_run:
            identity = identify_processed(
                self._processing, chain, processor_run, receiver_policy, ask
            )
            _take(incoming, processor_run)
        return processor_run.header, SeriesDestination.of(
            processor_run.header, identity, receiver_policy.template
        )

    def apply_label_processors(
        self,
        incoming: IncomingObject,
        header: HeaderView,
        receiver_policy: ReceiverPolicy,
        chain: ProcessorChain,
        series: SeriesDestination,
    ) -> tuple[HeaderView, SeriesDestination]:
        """Return the same after the last processors before anonymization; raises as above."""
        if Location.AFTER_SESSION_CREATED not in chain.stages:
            return header, series
        with self._processor_run(
            incoming, header, receiver_policy, known_of(series.identity)
        ) as processor_run:
            self._processing.run(chain, Location.AFTER_SESSION_CREATED, processor_run)
            _take(incoming, processor_run)
        return processor_run.header, SeriesDestination.of(
            processor_run.header, series.identity, receiver_policy.template
        )

    def _processor_run(
        self,
        incoming: IncomingObject,
        header: HeaderView,
        receiver_policy: ReceiverPolicy,
        known: Known,
    ) -> ProcessorRun:
        source = incoming.arrival.source
        facts = Facts(
            source.receiver_label, source.calling_ae_title, source.address, source.association
        )
        return ProcessorRun(incoming.part.path, header, facts, known, receiver_policy.last_tag)


def identify_processed(
    processing: Processing,
    chain: ProcessorChain,
    processor_run: ProcessorRun,
    receiver_policy: ReceiverPolicy,
    ask: Ask,
) -> Identity:
    """Identify an object whose processors have their say before and between.

    The project is found before the processors that act after it, and they may assign another;
    what they write decides about subject and session (XNAT 8.2).

    Raises:
        Dropped: if a processor rejects the object.
        IntakeError: if a processor or a rule fails.
    """
    processing.run(chain, Location.AFTER_DICOM_READ, processor_run)
    project = None
    if Location.AFTER_PROJECT_SET in chain.stages:
        project = _project(processor_run.header, receiver_policy)
        if processor_run.assigned.project is None:
            processor_run.known = replace(processor_run.known, project=project.value)
        processing.run(chain, Location.AFTER_PROJECT_SET, processor_run)
    found = ask(processor_run.header)
    if project is not None:
        found = replace(found, project=project)
    identity = processor_run.identity(found, chain.projects)
    processor_run.known = known_of(identity)
    return identity


def known_of(identity: Identity) -> Known:
    """Return an identity as processors see it."""
    return Known(identity.project.value, identity.subject.value or "", identity.session_label)


def _project(header: HeaderView, receiver_policy: ReceiverPolicy) -> Decision:
    """Return an object's project, even if its labels can't be derived yet."""
    identity = explain(receiver_policy.identifier, header, receiver_policy.routing).identity
    if identity is not None:
        return identity.project
    return RoutingEvaluation(header, receiver_policy.routing, recording=True).project()


def _take(incoming: IncomingObject, processor_run: ProcessorRun) -> None:
    edited = processor_run.take()
    if edited is not None:
        incoming.replace_file(edited)
