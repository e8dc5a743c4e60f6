"""Which rules are in force for which object: from a header to an identity, for all receivers.

The pipeline asks for an object's `Ruling` before it reads the header, for that says how far to
read, and then for the identity. What decides is put together once per configuration.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.events import RuleFailed
from engine.intake.clauses import Routing
from engine.intake.filters import SeriesFilters
from engine.intake.header import DEFAULT_LAST_TAG
from engine.intake.identifiers import Missing, explain
from engine.intake.inquiry import Inquiry
from engine.intake.remembered import (
    RecentHeader,
    RecentHeaders,
    RememberedIdentities,
    Series,
    SeriesMemory,
)
from engine.intake.slow_rules import SlowRules
from engine.intake.telling import identifying_values
from engine.intake.trial import Tried, try_recent
from engine.model.identity import UNASSIGNED, Identification, RoutingPreview
from engine.model.processing import ProcessorTrial
from engine.model.session_settings import SessionSettings
from engine.model.trace import Trace
from engine.sessions.studies import NO_STUDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.clock import Clock
    from engine.intake.header import HeaderView
    from engine.intake.identifiers import Identifier
    from engine.intake.incoming import Source
    from engine.intake.inquiry import Failure
    from engine.intake.processing import Chain, Processing
    from engine.journal import Journal
    from engine.model.anonymization import Anonymization
    from engine.model.configuration import Configuration
    from engine.model.file_namer import FileNamers
    from engine.model.identity import Identity
    from engine.model.processor import Processor
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.sessions.studies import Studies

PREVIEW_SECONDS = 5.0
"""After so long, the processors see no further object of a preview."""


class Ruling:
    """What decides about the objects of one receiver under one configuration."""

    __slots__ = (
        "chain",
        "duplicates",
        "filters",
        "has_default_template",
        "identifier",
        "is_quick",
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
        chain: Chain | None = None,
        file_namers: FileNamers = MappingProxyType({}),
    ) -> None:
        tags = routing.tags | identifier.tags
        self.receiver = receiver
        self.identifier = identifier
        self.routing = routing
        self.duplicates = receiver.duplicates or sessions.duplicates
        named = file_namers.get(receiver.file_namer) if receiver.file_namer else None
        self.template = named or sessions.template
        self.has_default_template = named is None and sessions.has_default_template
        self.filters = SeriesFilters(sessions, routing.projects)
        self.chain = chain
        """The processors that see its objects; None if there are none."""
        processed = chain.last_tag if chain else 0
        read = (self.template.last_tag, self.filters.last_tag, processed)
        self.last_tag = max(DEFAULT_LAST_TAG, *read, *tags)
        """The greatest tag that must be read (XNAT 5.7)."""
        self.site_step = anonymization if receiver.anonymization else None
        """What must be done to each object before it is stored."""
        self.project_steps = routing.projects.anonymizations if receiver.anonymization else {}
        """What projects, by id, do to objects before they are in the archive."""
        self.slow_rules = SlowRules()
        self.remembered = RememberedIdentities(tags) if identifier.is_settled_by_header else None
        waits = self.site_step or self.project_steps or chain
        self.is_quick = not waits and self.remembered is not None
        """Whether no script, processor or plug-in is waited for."""

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
        processing: Processing | None = None,
        file_namers: FileNamers = MappingProxyType({}),
    ) -> None:
        self._processing = processing
        self._file_namers = file_namers
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
        self.note(header, ruling, source)
        if source.ruling is not ruling:
            source.ruling, source.series = ruling, ruling.series_memory()
        known = source.series.recall(header) if source.series else None
        return known or self._new_series(header, ruling, source)

    def note(self, header: HeaderView, ruling: Ruling, source: Source) -> None:
        """Keep a header as it arrived, for previews."""
        origin = (ruling.receiver.id, ruling.routing.receiver, source.calling_ae_title)
        self._recent.keep(RecentHeader(self._clock.now(), *origin, header))

    def ask(self, header: HeaderView, ruling: Ruling, source: Source) -> tuple[Identity, bool]:
        """Return where an object belongs that was noted already, and whether that is settled.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        known = ruling.remembered.recall(header) if ruling.remembered else None
        return (known, True) if known is not None else self._ask(header, ruling, source)

    def _new_series(self, header: HeaderView, ruling: Ruling, source: Source) -> Series:
        identity, is_settled = self.ask(header, ruling, source)
        series = Series.of(header, identity, ruling.template)
        if source.series is not None and is_settled:
            source.series.keep(header, series)
        return series

    def archive_folder(self, project: str) -> str:
        """Return where a project's sessions are archived just now."""
        return self._configuration().projects.archive_folder(project)

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
        self, receiver: Receiver, site: SiteSettings | None = None, *, shown: bool = False
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects anew, as saved and by a receiver and site that are not.

        The objects are those of the receiver, newest first; of all receivers if it is new. Values
        that tell who a patient is are masked unless they are to be shown.
        """
        configuration = self._configuration()
        draft = self._ruled(receiver, configuration, site or configuration.site)
        in_force = {r.id: self.ruling(r) for r in configuration.receivers}
        until = self._clock.monotonic() + PREVIEW_SECONDS
        previews = []
        for recent in self._recent.of(receiver.id):
            saved = self._tried(in_force.get(recent.receiver_id, draft), recent, until)
            preview = _preview(recent, saved, self._tried(draft, recent, until))
            previews.append(preview if shown else preview.masked(identifying_values(recent.header)))
        return tuple(previews)

    def try_processor(
        self, processor: Processor, receiver: str, *, shown: bool = False
    ) -> ProcessorTrial:
        """Try one processor on the newest object of a receiver, or of any if none is named.

        Values that tell who a patient is are masked unless they are to be shown.
        """
        configuration, processing = self._configuration(), self._processing
        ids = [r.id for r in configuration.receivers if r.label == receiver]
        recent = next(iter(self._recent.of(ids[0] if ids else 0)), None)
        if recent is None or processing is None:
            return ProcessorTrial(None, receiver, "", "", ())
        ruling = self.ruling(configuration.receiver(recent.receiver_id))
        with processing.preparing(processor, configuration) as chain:
            tried = try_recent(processing, ruling, chain, recent)
        uid = recent.header.sop_instance_uid or ""
        origin = (recent.at, recent.receiver, recent.calling_ae_title)
        trial = ProcessorTrial(*origin, uid, tried.steps)
        return trial if shown else trial.masked(identifying_values(recent.header))

    def _tried(self, ruling: Ruling, recent: RecentHeader, until: float) -> Tried:
        if self._processing is None or ruling.chain is None:
            return Tried(_explained(ruling, recent.header), recent.header)
        if self._clock.monotonic() > until:
            late = Identification(None, "not tried: the processors take too long", Trace())
            return Tried(late, recent.header)
        return try_recent(self._processing, ruling, ruling.chain, recent)

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
        chain = self._processing.chain(receiver, configuration) if self._processing else None
        namers = self._file_namers
        return Ruling(receiver, found, routing, site.sessions, site.anonymization, chain, namers)

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


def _preview(recent: RecentHeader, saved: Tried, draft: Tried) -> RoutingPreview:
    return RoutingPreview(
        recent.at,
        recent.receiver,
        recent.calling_ae_title,
        saved.identification,
        draft.identification,
        saved.steps,
        draft.steps,
        recent.header.sop_instance_uid or "",
    )


def _explained(ruling: Ruling, header: HeaderView) -> Identification:
    return explain(ruling.identifier, header, ruling.routing)
