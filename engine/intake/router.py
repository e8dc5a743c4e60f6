"""Which rules are in force for which object: from a header to an identity, for all receivers.

The pipeline asks for an object's `Ruling` before it reads the header, for that says how far to
read, and then for the identity. What decides is put together once per configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.events import RuleFailed
from engine.intake.clauses import Routing
from engine.intake.filters import SeriesFilters
from engine.intake.header import DEFAULT_LAST_TAG
from engine.intake.identifiers import Missing, explain
from engine.intake.inquiry import Inquiry
from engine.intake.recent import RecentHeader, RecentHeaders
from engine.intake.remembered import RememberedIdentities
from engine.intake.series import Series, SeriesMemory
from engine.intake.slow_rules import SlowRules
from engine.model.identity import UNASSIGNED, RoutingPreview
from engine.model.session_settings import SessionSettings
from engine.sessions.studies import NO_STUDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.clock import Clock
    from engine.intake.header import HeaderView
    from engine.intake.identifiers import Identifier
    from engine.intake.incoming import Source
    from engine.intake.inquiry import Failure
    from engine.journal import Journal
    from engine.model.anonymization import Anonymization
    from engine.model.configuration import Configuration
    from engine.model.identity import Identification, Identity
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.sessions.studies import Studies


class Ruling:
    """What decides about the objects of one receiver under one configuration."""

    __slots__ = (
        "duplicates",
        "filters",
        "has_default_template",
        "identifier",
        "last_tag",
        "project_steps",
        "receiver",
        "remembered",
        "routing",
        "site_step",
        "slow_rules",
        "template",
    )

    def __init__(
        self,
        receiver: Receiver,
        identifier: Identifier,
        routing: Routing,
        sessions: SessionSettings = SessionSettings(),
        anonymization: Anonymization | None = None,
    ) -> None:
        tags = routing.tags | identifier.tags
        self.receiver = receiver
        self.identifier = identifier
        self.routing = routing
        self.duplicates = receiver.duplicates or sessions.duplicates
        self.template = sessions.template
        self.has_default_template = sessions.has_default_template
        self.filters = SeriesFilters(sessions, routing.projects)
        read = (self.template.last_tag, self.filters.last_tag)
        self.last_tag = max(DEFAULT_LAST_TAG, *read, *tags)
        """The greatest tag that must be read (XNAT 5.7)."""
        self.site_step = anonymization if receiver.anonymization else None
        """What must be done to each object before it is stored."""
        self.project_steps = routing.projects.anonymizations if receiver.anonymization else {}
        """What projects, by id, do to objects before they are in the archive."""
        self.slow_rules = SlowRules()
        self.remembered = RememberedIdentities(tags) if identifier.is_settled_by_header else None

    def steps(self, project: str | None, *, directly: bool) -> tuple[Anonymization, ...]:
        """Return what must be done to an object before it is stored.

        Args:
            project: where it belongs.
            directly: whether it may go into the archive at once, without its session's archiving.
        """
        due = self.project_steps.get(project) if directly and project is not None else None
        return tuple(step for step in (self.site_step, due) if step is not None)

    def series_memory(self) -> SeriesMemory | None:
        """Return a memory for the series of one association; None if each object may differ."""
        return SeriesMemory(self.remembered.tags) if self.remembered else None


class _Era:
    """One configuration, and what was put together for it."""

    __slots__ = ("configuration", "rulings")

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.rulings: dict[int, Ruling] = {}
        """By the identity of the receiver's value, which each ruling keeps alive."""


class Router:
    """Identifies objects by the configuration in force; for all threads."""

    def __init__(
        self,
        identifiers: Mapping[str, Identifier],
        configuration: Callable[[], Configuration],
        journal: Journal,
        clock: Clock,
        studies: Studies = NO_STUDIES,
    ) -> None:
        self._identifiers = identifiers
        self._configuration = configuration
        self._journal = journal
        self._clock = clock
        self._studies = studies
        self._era = _Era(configuration())
        self._recent = RecentHeaders()

    def ruling(self, receiver: Receiver) -> Ruling:
        """Return what decides about an object of a receiver as it is configured."""
        era = self._era
        if era.configuration is not self._configuration():
            era = self._begin_anew()
        ruling = era.rulings.get(id(receiver))
        if ruling is None:
            ruling = self._ruled(receiver, era.configuration, era.configuration.site)
            ruling = era.rulings.setdefault(id(receiver), ruling)
        return ruling

    def identify(self, header: HeaderView, ruling: Ruling, source: Source) -> Identity:
        """Return where an object belongs.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        return self.series(header, ruling, source).identity

    def series(self, header: HeaderView, ruling: Ruling, source: Source) -> Series:
        """Return where an object belongs, and what else it has in common with its series.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        origin = (ruling.receiver.id, ruling.routing.receiver, source.calling_ae_title)
        self._recent.keep(RecentHeader(self._clock.now(), *origin, header))
        if source.ruling is not ruling:
            source.ruling, source.series = ruling, ruling.series_memory()
        known = source.series.recall(header) if source.series else None
        return known or self._new_series(header, ruling, source)

    def _new_series(self, header: HeaderView, ruling: Ruling, source: Source) -> Series:
        identity = ruling.remembered.recall(header) if ruling.remembered else None
        is_settled = identity is not None
        if identity is None:
            identity, is_settled = self._ask(header, ruling, source)
        series = Series.of(header, identity, ruling.template)
        if source.series is not None and is_settled:
            source.series.keep(header, series)
        return series

    def recent(self) -> tuple[RecentHeader, ...]:
        """Return all headers that are in memory, the newest first."""
        return self._recent.everything()

    def labels_of(self, recent: RecentHeader) -> tuple[str, str, str]:
        """Return project, subject and session of an object that arrived not long ago."""
        receivers = self._configuration().receivers
        receiver = next((r for r in receivers if r.id == recent.receiver_id), None)
        found = _explained(self.ruling(receiver), recent.header) if receiver else None
        identity = found.identity if found else None
        return identity.labels if identity else (UNASSIGNED, "", "")

    def preview(
        self, receiver: Receiver, site: SiteSettings | None = None
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects anew, as saved and by a receiver and site that are not.

        The objects are those of the receiver, newest first; of all receivers if it is new.
        """
        configuration = self._configuration()
        draft = self._ruled(receiver, configuration, site or configuration.site)
        in_force = {r.id: self.ruling(r) for r in configuration.receivers}
        return tuple(
            RoutingPreview(
                recent.at,
                recent.receiver,
                recent.calling_ae_title,
                _explained(in_force.get(recent.receiver_id, draft), recent.header),
                _explained(draft, recent.header),
            )
            for recent in self._recent.of(receiver.id)
        )

    def _ask(self, header: HeaderView, ruling: Ruling, source: Source) -> tuple[Identity, bool]:
        """Return an identity, and whether objects with equal elements have the same."""
        inquiry = Inquiry(header, ruling.routing, ruling.slow_rules.suspended)
        try:
            identity = ruling.identifier.identify(inquiry)
        finally:
            for failure in inquiry.failures:
                self._tell(failure, ruling, source)
        if ruling.remembered and not inquiry.failures:
            ruling.remembered.keep(header, identity)
        return identity, not inquiry.failures

    def _begin_anew(self) -> _Era:
        """Forget what was put together for another configuration, and with it all failures."""
        configuration = self._configuration()
        self._era = era = _Era(configuration)
        self._recent.forget_all_but(r.id for r in configuration.receivers)
        return era

    def _ruled(
        self, receiver: Receiver, configuration: Configuration, site: SiteSettings
    ) -> Ruling:
        routing = Routing.of(receiver, site.routing, configuration.projects, self._studies)
        identifier = self._identifiers.get(receiver.identifier)
        found = identifier or Missing(receiver.identifier)
        return Ruling(receiver, found, routing, site.sessions, site.anonymization)

    def _tell(self, failure: Failure, ruling: Ruling, source: Source) -> None:
        times = ruling.slow_rules.note(failure)
        if times:
            self._journal.record(
                RuleFailed(
                    receiver=source.receiver_label,
                    calling_ae_title=source.calling_ae_title,
                    association=source.association,
                    attribute=failure.attribute,
                    rule=failure.clause.name,
                    reason=failure.error.detail,
                    times=times,
                    suspended=failure.clause in ruling.slow_rules.suspended,
                )
            )


def _explained(ruling: Ruling, header: HeaderView) -> Identification:
    return explain(ruling.identifier, header, ruling.routing)
