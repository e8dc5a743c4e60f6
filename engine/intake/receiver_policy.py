"""Rules, filters and anonymization of one receiver, compiled once per configuration."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.dicom.header import DEFAULT_LAST_TAG
from engine.errors import ProcessingFailed
from engine.identification.caches import (
    IdentityCache,
    SeriesCache,
)
from engine.identification.evaluation import NOT_SUSPENDED
from engine.intake.rule_failures import RuleKey
from engine.model.identity import Source
from engine.model.series_filter import parse_series_filter
from engine.model.site import SessionSettings
from engine.routing import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.dicom.header import HeaderView
    from engine.identification.identifiers import Identifier
    from engine.identification.sources import Routing, ValueSource
    from engine.model.anonymization import Anonymization
    from engine.model.plugins import FileNamers
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver
    from engine.processing.chain import ProcessorChain


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

    Never changed after it is made, except for its caches; for all threads.
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
        "revision",
        "routing",
        "rules",
        "site_step",
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
        revision: int = 0,
    ) -> None:
        tags = routing.tags | identifier.tags
        self.receiver = receiver
        self.identifier = identifier
        self.routing = routing
        self.revision = revision
        """Of the configuration."""
        self.rules: Mapping[RuleKey, ValueSource] = {
            RuleKey(revision, receiver.id, attribute, place, clause.words): clause
            for attribute, sources in routing.chains.items()
            for place, clause in enumerate(sources)
            if clause.source is not Source.DEFAULT  # no other source can fail
        }
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
        # An identity is cached only if equal elements always mean an equal identity.
        self.remembered = IdentityCache(tags) if identifier.is_settled_by_header else None
        at_once = bool(self.project_steps) and receiver.direct_archive
        self.holds = bool(self.site_step or chain or at_once)
        """Whether an object is held in memory: it may be changed before it is first stored."""
        self.needs_whole = _why_whole(chain, (self.site_step, *self.project_steps.values()))
        """Why objects can't be edited without their pixel data; empty if they can."""
        waits = self.anonymizes or chain
        self.never_blocks = not waits and self.remembered is not None
        """Whether storing waits for no script, processor or plug-in."""
        others = self.project_steps or chain
        self.only_site_script = not others and self.remembered is not None
        """Whether the site's script is all that storing may wait for."""

    def suspended(self, rules: frozenset[RuleKey]) -> frozenset[ValueSource]:
        """Return the sources that are not evaluated, because their rules are suspended."""
        if not rules:
            return NOT_SUSPENDED
        return frozenset(self.rules[rule] for rule in rules & self.rules.keys())

    def rule_of(self, clause: ValueSource) -> RuleKey:
        """Return the key of a rule that has failed."""
        return next(rule for rule, known in self.rules.items() if known is clause)

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
