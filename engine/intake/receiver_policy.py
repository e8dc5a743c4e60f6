"""Rules, filters and anonymization of one receiver, compiled once per configuration."""

from __future__ import annotations

import threading
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.dicom.header import DEFAULT_LAST_TAG
from engine.errors import ProcessingFailed
from engine.events.journal import should_report_repeat
from engine.identification.caches import (
    IdentityCache,
    SeriesCache,
)
from engine.model.series_filter import parse_series_filter
from engine.model.site import SessionSettings
from engine.routing import RuleError, RuleSuspended, RuleTimeout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.dicom.header import HeaderView
    from engine.identification.evaluation import RoutingFailure
    from engine.identification.identifiers import Identifier
    from engine.identification.sources import Routing, ValueSource
    from engine.model.anonymization import Anonymization
    from engine.model.plugins import FileNamers
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from engine.processing.chain import ProcessorChain


# A rule that needs its whole time limit again and again slows down every object.
TIMEOUTS_TO_SUSPENSION = 5


class SlowRules:
    """The failures of one receiver's rules under one configuration; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: Counter[ValueSource] = Counter()
        self._timeouts: Counter[ValueSource] = Counter()
        self.suspended: frozenset[ValueSource] = frozenset()
        """The rules that are no longer evaluated; an object that needs one fails at once."""

    def note(self, failure: RoutingFailure) -> int:
        """Count a failure; return the count if it must be reported, else 0.

        The first `TIMEOUTS_TO_SUSPENSION` failures of a rule are reported, then the 10th, 100th,
        1000th …. That a suspended rule was skipped is not a new failure.
        """
        clause, error = failure.clause, failure.error
        if isinstance(error, RuleSuspended):
            return 0
        with self._lock:
            self._failures[clause] += 1
            self._timeouts[clause] += isinstance(error, RuleTimeout)
            times = self._failures[clause]
            if self._timeouts[clause] >= TIMEOUTS_TO_SUSPENSION:
                # A new frozen set each time: readers take it without the lock.
                self.suspended |= {clause}
        return times if times <= TIMEOUTS_TO_SUSPENSION or should_report_repeat(times) else 0


class SeriesFilters:
    """The series import filters of the site and of all projects, parsed once."""

    def __init__(self, settings: SessionSettings, projects: ProjectRegistry) -> None:
        texts: dict[str | None, str] = {None: settings.series_filter}
        texts.update(projects.series_filters.items())
        self._filters = {whose: parse_series_filter(text) for whose, text in texts.items() if text}
        """By project; None is the site."""
        self.are_any = bool(self._filters)
        self.last_tag = max((f.last_tag for f in self._filters.values()), default=0)
        """The greatest tag that any of them reads; the project is not known yet at that time."""

    def excluded_by(self, header: HeaderView, project: str | None) -> str:
        """Return the filter and the line that exclude an object; empty if none does.

        Raises:
            ProcessingFailed: if a pattern takes too long, so that the answer is not known.
        """
        try:
            # XNAT 8.2: the site's filter first, then the project's; both must accept.
            for whose in (None,) if project is None else (None, project):
                series_filter = self._filters.get(whose)
                why = series_filter.excludes(header.joined) if series_filter else ""
                if why:
                    owner = "site" if whose is None else f"project {whose}"
                    return f"filtered by the {owner}'s series import filter, {why}"
        except RuleError as error:
            raise ProcessingFailed(f"a series import filter failed: {error.detail}") from error
        return ""


class ReceiverPolicy:
    """Everything that decides about the objects of one receiver, under one configuration.

    Never changed after it is made, except for its caches and counts; for all threads.
    """

    __slots__ = (
        "anonymizes",
        "chain",
        "duplicates",
        "filters",
        "has_default_template",
        "holds",
        "identifier",
        "keeps_unreadable",
        "last_tag",
        "needs_whole",
        "never_blocks",
        "only_site_script",
        "project_steps",
        "receiver",
        "remembered",
        "reported_on_disk",
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
        chain: ProcessorChain | None = None,
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
        """The site's anonymization, done to each object before it is stored."""
        self.keeps_unreadable = self.site_step is None
        """Whether a refused object is quarantined; what can't be read can't be anonymized."""
        self.project_steps = routing.projects.anonymizations if receiver.anonymization else {}
        """The anonymization of each project, by id, done before an object is in the archive."""
        self.anonymizes = bool(self.site_step or self.project_steps)
        """Whether the site or any project anonymizes."""
        self.slow_rules = SlowRules()
        # An identity is cached only if equal elements always mean an equal identity.
        self.remembered = IdentityCache(tags) if identifier.is_settled_by_header else None
        at_once = bool(self.project_steps) and receiver.direct_archive
        self.holds = bool(self.site_step or chain or at_once)
        """Whether an object is held in memory: it may be changed before it is first stored."""
        self.needs_whole = _why_whole(chain, (self.site_step, *self.project_steps.values()))
        """Why objects can't be edited without their pixel data; empty if they can."""
        self.reported_on_disk: frozenset[str] = frozenset()
        """Why objects were on the disk before they were edited, each reason said once."""
        waits = self.anonymizes or chain
        self.never_blocks = not waits and self.remembered is not None
        """Whether storing waits for no script, processor or plug-in."""
        others = self.project_steps or chain
        self.only_site_script = not others and self.remembered is not None
        """Whether the site's script is all that storing may wait for."""

    def steps(self, project: str | None, *, directly: bool) -> tuple[Anonymization, ...]:
        """Return the anonymizations to run before an object is stored, in their order.

        Args:
            project: the project that the object belongs to.
            directly: whether the object goes into the archive now. Otherwise the project's one runs
                when its session is archived.
        """
        due = self.project_steps.get(project) if directly and project is not None else None
        return tuple(step for step in (self.site_step, due) if step is not None)

    def series_memory(self) -> SeriesCache | None:
        """Return a cache for the series of one association; None if each object may differ."""
        return SeriesCache(self.remembered.tags) if self.remembered else None


def _why_whole(chain: ProcessorChain | None, steps: Iterable[Anonymization | None]) -> str:
    if chain is not None and chain.needs_process:
        return "a processor reads whole objects"
    touching = next((step for step in steps if step is not None and step.names_pixels), None)
    return f"{touching.script_name} names pixel data" if touching else ""
