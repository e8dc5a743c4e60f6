"""Runs processors on an arriving object: between header, project, labels and anonymization.

Used by the pipeline and by dry runs, so that both take the same steps (XNAT 8.2).
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
        """Return an object's identity, and whether equal headers get the same one."""
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
        """Run the first processors; return the header after them, and where the object belongs.

        Raises:
            ObjectFiltered: if a processor rejects the object.
            IntakeError: if a processor or a rule fails.
        """
        source = incoming.arrival.source
        # As it arrived, before any processor changes it: a preview runs the processors again.
        self._router.note(header, receiver_policy, source)

        def ask(header: HeaderView) -> Identity:
            return self._router.ask(header, receiver_policy, source)[0]

        with self._processor_run(incoming, header, receiver_policy, Known()) as processor_run:
            identity = identify_processed(
                self._processing, chain, processor_run, receiver_policy, ask
            )
            _take(incoming, processor_run)
        # Not from the cache of series: the processors may have decided otherwise for this object
        # than for the last one.
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
        """Run the last processors before anonymization; returns and raises as `identified` does."""
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
    """Identify an object; processors run before that and between its steps.

    The project is found first, then the processors of that location run, which may assign another
    one. Subject and session are derived from what they leave in the header (XNAT 8.2).

    Raises:
        ObjectFiltered: if a processor rejects the object.
        IntakeError: if a processor or a rule fails.
    """
    processing.run(chain, Location.AFTER_DICOM_READ, processor_run)
    project = None
    if Location.AFTER_PROJECT_SET in chain.stages:
        project = _project(processor_run.header, receiver_policy)
        # A project that an earlier processor assigned wins over what the rules say.
        if processor_run.assigned.project is None:
            processor_run.known = replace(processor_run.known, project=project.value)
        processing.run(chain, Location.AFTER_PROJECT_SET, processor_run)
    found = ask(processor_run.header)
    if project is not None:
        # XNAT 8.2: the project is decided at step 3. What processors of step 4 write into the
        # header no longer changes it.
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
    # The processors that run now may add the elements that the labels need, so a failing label rule
    # must not end the object here.
    return RoutingEvaluation(header, receiver_policy.routing, recording=True).project()


def _take(incoming: IncomingObject, processor_run: ProcessorRun) -> None:
    edited = processor_run.take()
    if edited is not None:
        incoming.replace_file(edited)
