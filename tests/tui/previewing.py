"""Dry runs of routing rules as the engine makes them, on a few made-up objects."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from engine.events.journal import Journal
from engine.identification.builtin import DefaultIdentifier
from engine.intake.object import AssociationContext
from engine.intake.rules import ObjectRouter
from engine.model.configuration import Configuration
from engine.model.project import Project, ProjectRegistry
from tests.engine.identification.identifying import header_of
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dicom.header import HeaderView
    from engine.model.processing import RoutingPreview
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings

PROJECTS = ProjectRegistry((Project("NEURO-01"), Project("CARDIO")))
HEAD, HEART = "NEURO-01^BRAIN", "CARDIO^4CH"


def objects() -> list[HeaderView]:
    """Return two heads and a heart, the oldest first; none has a Study ID."""
    return [
        header_of(StudyDescription=study, PatientID=patient, StudyID=None)
        for study, patient in ((HEAD, "S0042_T1"), (HEAD, "S0043_T1"), (HEART, "S0044_T1"))
    ]


def preview_of(
    receiver: Receiver, headers: Sequence[HeaderView] | None = None
) -> Callable[..., tuple[RoutingPreview, ...]]:
    """Let objects arrive at a receiver and return what tries other rules on them.

    The values are shown unless that is told otherwise.
    """
    clock = FixedClock()
    configuration = Configuration(projects=PROJECTS, receivers=(receiver,))
    identifier = DefaultIdentifier()
    router = ObjectRouter(
        {identifier.info.id: identifier}, lambda: configuration, Journal(clock), clock
    )
    source = AssociationContext(receiver, "MR_PRISMA", "10.4.7.33:41880", "A-1", {})
    for header in objects() if headers is None else headers:
        router.identify(header, router.receiver_policy(receiver), source)
        clock._now += timedelta(seconds=1)

    def preview(
        receiver: Receiver, shown: bool = True, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        return router.preview(receiver, site, shown=shown)

    return preview
