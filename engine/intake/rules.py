"""Compiles the rules of all receivers and derives an identity from a header.

The pipeline asks for an object's `ReceiverPolicy` before it reads the header, because the policy
says how far to read, and then for the identity. Policies are compiled once per configuration.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.dicom.header import STUDY_INSTANCE_UID, identifying_values_of
from engine.dicom.part10 import read_file, read_sample
from engine.errors import UnreadableObject
from engine.events import RuleFailed
from engine.identification.caches import (
    HEADERS_PER_RECEIVER,
    RecentHeader,
    RecentHeaders,
    SeriesDestination,
    StoredFile,
)
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.identifiers import MissingIdentifier, explain
from engine.identification.sources import Routing
from engine.intake.receiver_policy import ReceiverPolicy
from engine.intake.rule_failures import SlowRules
from engine.intake.trial import DryRun, try_recent
from engine.model.identity import UNASSIGNED, Identification, Trace
from engine.model.processing import ProcessorTrial, RoutingPreview
from engine.routing import RuleSuspended, RuleTimeout
from engine.state.studies import NO_STUDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.dicom.header import HeaderView
    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.identification.evaluation import RoutingFailure
    from engine.identification.identifiers import Identifier
    from engine.intake.object import AssociationContext
    from engine.intake.rule_failures import RuleFailures
    from engine.model.configuration import Configuration
    from engine.model.file_sample import FileSample
    from engine.model.identity import Identity
    from engine.model.plugins import FileNamers
    from engine.model.processor import Processor
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.processing.chain import Processing
    from engine.state.studies import Studies


PREVIEW_SECONDS = 5.0
"""After this time, a preview runs processors on no further object."""


class _CompiledConfiguration:
    """One configuration, and the policies compiled for it."""

    __slots__ = ("configuration", "rulings")

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.rulings: dict[int, ReceiverPolicy] = {}
        """By `id()` of the receiver. The policy keeps it alive, so no other gets its id."""


class ObjectRouter:
    """Identifies objects by the configuration in force; for all threads, without a lock."""

    def __init__(
        self,
        identifiers: Mapping[str, Identifier],
        configuration: Callable[[], Configuration],
        journal: Journal,
        clock: Clock,
        studies: Studies = NO_STUDIES,
        processing: Processing | None = None,
        file_namers: FileNamers = MappingProxyType({}),
        recent: RecentHeaders | None = None,
        rule_failures: RuleFailures | None = None,
    ) -> None:
        self._processing = processing
        self._file_namers = file_namers
        self._identifiers = identifiers
        self._configuration = configuration
        self._clock = clock
        self._studies = studies
        self._compiled = _CompiledConfiguration(configuration())
        self._recent = recent or RecentHeaders()
        self._rule_failures: RuleFailures = rule_failures or SlowRules(journal.record)

    def receiver_policy(self, receiver: Receiver) -> ReceiverPolicy:
        """Return the compiled policy of a receiver, under the configuration in force."""
        compiled = self._compiled
        # Configurations are values: another one is another object. Two threads may both compile;
        # the last one stays, and both are right.
        if compiled.configuration is not self._configuration():
            compiled = self._recompile()
        receiver_policy = compiled.rulings.get(id(receiver))
        if receiver_policy is None:
            receiver_policy = self._ruled(
                receiver, compiled.configuration, compiled.configuration.site
            )
            # Of two threads that compile the same receiver, both get the first one's policy, so
            # that there is one cache.
            receiver_policy = compiled.rulings.setdefault(id(receiver), receiver_policy)
        return receiver_policy

    def identify(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> Identity:
        """Return where an object belongs.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        return self.series(header, receiver_policy, source).identity

    def series(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> SeriesDestination:
        """Return where an object belongs, and what it shares with its series.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        self.note(header, receiver_policy, source)
        # The configuration has changed since the last object: what was cached came from other
        # rules.
        if source.receiver_policy is not receiver_policy:
            source.receiver_policy, source.series = receiver_policy, receiver_policy.series_memory()
        known = source.series.find(header) if source.series else None
        return known or self._new_series(header, receiver_policy, source)

    def note(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> None:
        """Keep a header as it arrived, for previews; in memory only."""
        origin = (
            receiver_policy.receiver.id,
            receiver_policy.routing.receiver,
            source.calling_ae_title,
        )
        self._recent.put(RecentHeader(self._clock.now(), *origin, header))

    def ask(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> tuple[Identity, bool]:
        """Return an object's identity, and whether equal headers get the same one.

        Unlike `series`, this keeps no header for previews.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        known = receiver_policy.remembered.find(header) if receiver_policy.remembered else None
        return (known, True) if known is not None else self._ask(header, receiver_policy, source)

    def _new_series(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> SeriesDestination:
        identity, is_settled = self.ask(header, receiver_policy, source)
        series = SeriesDestination.of(header, identity, receiver_policy.template)
        if source.series is not None and is_settled:
            source.series.put(header, series)
        return series

    def archive_folder(self, project: str) -> str:
        """Return the current archive folder of a project, such as ``arc001``."""
        return self._configuration().projects.archive_folder(project)

    def recent(self) -> tuple[RecentHeader, ...]:
        """Return all headers that are in memory, the newest first."""
        return self._recent.everything()

    def labels_at(self, receiver_id: int, header: HeaderView) -> tuple[str, str, str]:
        """Return project, subject and session that an object gets at a receiver now."""
        receivers = self._configuration().receivers
        receiver = next((r for r in receivers if r.id == receiver_id), None)
        found = _explained(self.receiver_policy(receiver), header) if receiver else None
        identity = found.identity if found else None
        return identity.labels if identity else (UNASSIGNED, "", "")

    def receiver_named(self, label: str) -> Receiver | None:
        """Return the receiver that is called ``AE:port`` now; None if there is none."""
        receivers = self._configuration().receivers
        return next((receiver for receiver in receivers if receiver.label == label), None)

    def explain_recent(self, receiver: Receiver, recent: RecentHeader) -> DryRun:
        """Identify a recent object again by the saved rules, with all steps."""
        until = self._clock.monotonic() + PREVIEW_SECONDS
        return self._tried(self.receiver_policy(receiver), recent, until)

    def explain_stored(self, receiver: Receiver, path: Path) -> DryRun:
        """Identify a stored object again by the saved rules, without processors.

        Raises:
            UnreadableObject: if the file can't be read.
        """
        receiver_policy = self.receiver_policy(receiver)
        header = read_file(path, last_tag=receiver_policy.last_tag)
        return DryRun(_explained(receiver_policy, header), header)

    def preview(
        self,
        receiver: Receiver,
        site: SiteSettings | None = None,
        *,
        stored: Sequence[StoredFile] = (),
        shown: bool = False,
    ) -> tuple[RoutingPreview, ...]:
        """Identify the last objects again: by the saved rules, and by a drafted receiver and site.

        The objects are those of the receiver, newest first; of all receivers if it is new. If
        fewer than 20 headers are in memory, stored objects of other studies follow, without
        processors. Identifying values are masked unless `shown`.
        """
        configuration = self._configuration()
        draft = self._ruled(receiver, configuration, site or configuration.site)
        in_force = {r.id: self.receiver_policy(r) for r in configuration.receivers}
        until = self._clock.monotonic() + PREVIEW_SECONDS
        previews = []
        studies = set()
        for recent in self._recent.of(receiver.id):
            saved = self._tried(in_force.get(recent.receiver_id, draft), recent, until)
            preview = _preview(recent, saved, self._tried(draft, recent, until))
            previews.append((preview, recent.header))
            studies.add(recent.header.text(STUDY_INSTANCE_UID))
        for recent in self._stored(stored, [draft, *in_force.values()]):
            if len(previews) < HEADERS_PER_RECEIVER and until > self._clock.monotonic():
                if recent.header.text(STUDY_INSTANCE_UID) in studies:
                    continue
                policy = in_force.get(recent.receiver_id, draft)
                saved = DryRun(_explained(policy, recent.header), recent.header)
                tried = DryRun(_explained(draft, recent.header), recent.header)
                preview = replace(_preview(recent, saved, tried), as_stored=True)
                previews.append((preview, recent.header))
        return tuple(
            preview if shown else preview.masked(identifying_values_of(header))
            for preview, header in previews
        )

    def preview_file(
        self,
        receiver: Receiver,
        site: SiteSettings | None,
        sample: FileSample,
        *,
        shown: bool = False,
    ) -> RoutingPreview:
        """Identify a file as `preview` does an object that arrived at the receiver.

        Raises:
            UnreadableObject: if it is no DICOM file, or its header is too long.
        """
        configuration = self._configuration()
        draft = self._ruled(receiver, configuration, site or configuration.site)
        known = next((r for r in configuration.receivers if r.id == receiver.id), None)
        saved = self.receiver_policy(known) if known is not None else draft
        header = read_sample(sample, last_tag=max(draft.last_tag, saved.last_tag))
        file = RecentHeader(self._clock.now(), receiver.id, receiver.label, "", header)
        until = self._clock.monotonic() + PREVIEW_SECONDS
        tried = self._tried(saved, file, until), self._tried(draft, file, until)
        preview = replace(_preview(file, *tried), is_file=True)
        return preview if shown else preview.masked(identifying_values_of(header))

    def _stored(
        self, stored: Iterable[StoredFile], policies: Sequence[ReceiverPolicy]
    ) -> Iterator[RecentHeader]:
        """Yield headers of stored objects as far as rules need them; skip what can't be read."""
        last_tag = max(policy.last_tag for policy in policies)
        for one in stored:
            receiver = self.receiver_named(one.receiver)
            with suppress(UnreadableObject, OSError):
                header = read_file(one.path, last_tag=last_tag)
                number = receiver.id if receiver is not None else 0
                yield RecentHeader(one.at, number, one.receiver, one.calling_ae_title, header)

    def try_processor(
        self, processor: Processor, receiver: str, *, shown: bool = False
    ) -> ProcessorTrial:
        """Try one processor on the newest object of a receiver, or of any if none is named.

        Identifying values are masked unless `shown`.
        """
        configuration, processing = self._configuration(), self._processing
        ids = [r.id for r in configuration.receivers if r.label == receiver]
        recent = next(iter(self._recent.of(ids[0] if ids else 0)), None)
        if recent is None or processing is None:
            return ProcessorTrial(None, receiver, "", "", ())
        receiver_policy = self.receiver_policy(configuration.receiver(recent.receiver_id))
        with processing.preparing(processor, configuration) as chain:
            tried = try_recent(processing, receiver_policy, chain, recent)
        uid = recent.header.sop_instance_uid or ""
        origin = (recent.at, recent.receiver, recent.calling_ae_title)
        trial = ProcessorTrial(*origin, uid, tried.steps)
        return trial if shown else trial.masked(identifying_values_of(recent.header))

    def _tried(self, receiver_policy: ReceiverPolicy, recent: RecentHeader, until: float) -> DryRun:
        if self._processing is None or receiver_policy.chain is None:
            return DryRun(_explained(receiver_policy, recent.header), recent.header)
        if self._clock.monotonic() > until:
            late = Identification(None, "not tried: the processors take too long", Trace())
            return DryRun(late, recent.header)
        return try_recent(self._processing, receiver_policy, receiver_policy.chain, recent)

    def _ask(
        self, header: HeaderView, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> tuple[Identity, bool]:
        """Ask the identifier; return the identity, and whether equal elements mean the same one."""
        suspended = receiver_policy.suspended(self._rule_failures.suspended)
        evaluation = RoutingEvaluation(header, receiver_policy.routing, suspended)
        try:
            identity = receiver_policy.identifier.identify(evaluation)
        finally:
            # Also if the identifier raises: a rule's failure is reported in either case.
            for failure in evaluation.failures:
                self._report(failure, receiver_policy, source)
        # A time-out may not happen again: what it led to must not decide about the next objects.
        if receiver_policy.remembered and not evaluation.failures:
            receiver_policy.remembered.put(header, identity)
        return identity, not evaluation.failures

    def _recompile(self) -> _CompiledConfiguration:
        """Start anew for a changed configuration: no compiled policies."""
        configuration = self._configuration()
        self._compiled = compiled = _CompiledConfiguration(configuration)
        # Headers are patient data: those of a deleted receiver go with it.
        self._recent.forget_all_but(r.id for r in configuration.receivers)
        return compiled

    def _ruled(
        self, receiver: Receiver, configuration: Configuration, site: SiteSettings
    ) -> ReceiverPolicy:
        routing = Routing.of(receiver, site.routing, configuration.projects, self._studies)
        identifier = self._identifiers.get(receiver.identifier)
        # A plug-in that was removed must not put objects under labels of another identifier.
        found = identifier or MissingIdentifier(receiver.identifier)
        chain = self._processing.chain(receiver, configuration) if self._processing else None
        return ReceiverPolicy(
            *(receiver, found, routing, site.sessions, site.anonymization, chain),
            *(self._file_namers, configuration.revision),
        )

    def _report(
        self, failure: RoutingFailure, receiver_policy: ReceiverPolicy, source: AssociationContext
    ) -> None:
        # That a suspended rule was skipped is not a new failure.
        if isinstance(failure.error, RuleSuspended):
            return
        make = partial(
            RuleFailed,
            receiver=source.receiver_label,
            calling_ae_title=source.calling_ae_title,
            association=source.association,
            attribute=failure.attribute,
            rule=failure.clause.name,
            reason=failure.error.detail,
        )
        timed_out = isinstance(failure.error, RuleTimeout)
        self._rule_failures.note(receiver_policy.rule_of(failure.clause), make, timed_out=timed_out)


def _preview(recent: RecentHeader, saved: DryRun, draft: DryRun) -> RoutingPreview:
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


def _explained(receiver_policy: ReceiverPolicy, header: HeaderView) -> Identification:
    return explain(receiver_policy.identifier, header, receiver_policy.routing)
