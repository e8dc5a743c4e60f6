"""Where processors stand in an object's way: between header, project, labels and anonymization.

Used by the pipeline for what arrives, and by dry runs, so that both go the same way (XNAT 8.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.intake.identifiers import explain
from engine.intake.inquiry import Inquiry
from engine.intake.passing import Passing
from engine.intake.processors import Facts, Known
from engine.intake.remembered import Series
from engine.model.processor_class import Location

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.intake.header import HeaderView
    from engine.intake.incoming import IncomingObject
    from engine.intake.processing import Chain, Processing
    from engine.intake.router import Router, Ruling
    from engine.intake.write import IncomingArea
    from engine.model.identity import Decision, Identity

    Ask = Callable[[HeaderView], Identity]


class CustomProcessing:
    """Takes arriving objects through the processors of their receiver; for all threads."""

    def __init__(self, processing: Processing, router: Router, area: IncomingArea) -> None:
        self._processing = processing
        self._router = router
        self._area = area

    def identified(
        self, incoming: IncomingObject, header: HeaderView, ruling: Ruling, chain: Chain
    ) -> tuple[HeaderView, Series]:
        """Return the header as it is then, and where the object belongs.

        Raises:
            Dropped: if a processor rejects the object.
            IntakeError: if a processor or a rule fails.
        """
        source = incoming.arrival.source
        self._router.note(header, ruling, source)

        def ask(header: HeaderView) -> Identity:
            return self._router.ask(header, ruling, source)[0]

        with self._passing(incoming, header, ruling, Known()) as passing:
            identity = identify_processed(self._processing, chain, passing, ruling, ask)
            _take(incoming, passing)
        return passing.header, Series.of(passing.header, identity, ruling.template)

    def settled(
        self,
        incoming: IncomingObject,
        header: HeaderView,
        ruling: Ruling,
        chain: Chain,
        series: Series,
    ) -> tuple[HeaderView, Series]:
        """Return the same after the last processors before anonymization; raises as above."""
        if Location.AFTER_SESSION_CREATED not in chain.stages:
            return header, series
        with self._passing(incoming, header, ruling, known_of(series.identity)) as passing:
            self._processing.run(chain, Location.AFTER_SESSION_CREATED, passing)
            _take(incoming, passing)
        return passing.header, Series.of(passing.header, series.identity, ruling.template)

    def _passing(
        self, incoming: IncomingObject, header: HeaderView, ruling: Ruling, known: Known
    ) -> Passing:
        source = incoming.arrival.source
        facts = Facts(
            source.receiver_label, source.calling_ae_title, source.address, source.association
        )
        return Passing(self._area.path_of(incoming.part), header, facts, known, ruling.last_tag)


def identify_processed(
    processing: Processing, chain: Chain, passing: Passing, ruling: Ruling, ask: Ask
) -> Identity:
    """Identify an object whose processors have their say before and between.

    The project is found before the processors that act after it, and they may assign another;
    what they write decides about subject and session (XNAT 8.2).

    Raises:
        Dropped: if a processor rejects the object.
        IntakeError: if a processor or a rule fails.
    """
    processing.run(chain, Location.AFTER_DICOM_READ, passing)
    project = None
    if Location.AFTER_PROJECT_SET in chain.stages:
        project = _project(passing.header, ruling)
        if passing.assigned.project is None:
            passing.known = replace(passing.known, project=project.value)
        processing.run(chain, Location.AFTER_PROJECT_SET, passing)
    found = ask(passing.header)
    if project is not None:
        found = replace(found, project=project)
    identity = passing.identity(found, chain.projects)
    passing.known = known_of(identity)
    return identity


def known_of(identity: Identity) -> Known:
    """Return an identity as processors see it."""
    return Known(identity.project.value, identity.subject.value or "", identity.session_label)


def _project(header: HeaderView, ruling: Ruling) -> Decision:
    """Return an object's project, even if its labels can't be derived yet."""
    identity = explain(ruling.identifier, header, ruling.routing).identity
    if identity is not None:
        return identity.project
    return Inquiry(header, ruling.routing, recording=True).project()


def _take(incoming: IncomingObject, passing: Passing) -> None:
    edited = passing.take()
    if edited is not None:
        incoming.become(edited)
