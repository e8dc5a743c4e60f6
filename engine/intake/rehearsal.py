"""Dry runs of files: where each would go by saved or drafted rules; nothing is stored."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.dicom.header import identifying_values_of
from engine.dicom.part10 import read_file
from engine.errors import ProcessingFailed, UnreadableObject
from engine.host.clock import SystemClock
from engine.intake.trial import try_object
from engine.model.identity import NO_VALUES
from engine.processing.builtin.label_tables import LabelTables
from engine.processing.chain import Processing, ProcessorStates
from engine.processing.contract import Facts
from engine.processing.workers import ProcessorWorkers
from engine.storage.areas import archive_folder
from engine.storage.incoming import IncomingArea
from engine.storage.placement import file_name, scan_folder, session_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.dicom.header import HeaderView
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.intake.trial import DryRun
    from engine.model.identity import Attribute, Identification, IdentifyingValues, Identity, Step
    from engine.model.processing import ProcessorStep
    from engine.plugins.loading import Plugin
    from engine.processing.contract import ProcessorType


MASK = "•"
TIMESTAMP = "TIMESTAMP"
"""Placeholder for the time stamp folder, which the session's first object would name."""


@dataclass(frozen=True, slots=True)
class RoutingDryRunResult:
    """Where one file would go, by the saved and by the drafted rules."""

    file: str
    draft: Identification
    """By the drafted rules, or by the saved ones if there is no draft."""
    saved: Identification
    place: tuple[str, ...]
    """Folders and file below prearchive or archive; empty if the object would be refused."""
    processing: tuple[ProcessorStep, ...] = ()
    """What each of the receiver's processors did."""
    rejected: str = ""
    """The processor that rejects it, if one does."""
    filtered: str = ""
    """The line of the series import filter that excludes it, if one does."""
    directly: bool = False
    """Whether it goes directly into the archive; `place` is relative to the archive then."""
    differs: bool | None = None
    """The answer of `changes` before masking; None if nothing is masked."""
    known: IdentifyingValues = NO_VALUES
    """The object's identifying values, used to mask them in texts."""

    @property
    def changes(self) -> bool:
        """Tell whether the drafted rules would file the object elsewhere."""
        return self.draft.outcome != self.saved.outcome if self.differs is None else self.differs

    def deciding(self, attribute: Attribute) -> Step | None:
        """Return the step that decides an attribute, or the step that failed."""
        steps = self.draft.trace.of(attribute)
        failed = steps[-1] if steps and steps[-1].failed else None
        return self.draft.trace.deciding(attribute) or failed

    def masked(self, file: str) -> RoutingDryRunResult:
        """Return a copy with another file name and without values of the object."""
        place = self.place
        if place:
            # Label, SCANS, scan, DICOM and file are replaced. Before them stand the project, if
            # there is one, and the time stamp.
            shown = len(place) - 5
            hidden = (MASK, "SCANS", MASK, "DICOM", f"{MASK}.dcm")
            place = (*place[:shown], *hidden)
        known = self.known
        return replace(
            self,
            file=file,
            draft=self.draft.masked(known),
            saved=self.saved.masked(known),
            place=place,
            processing=tuple(step.masked(known) for step in self.processing),
            rejected=known.hide(self.rejected),
            # Compared here, while the labels can still be told apart: masked ones look alike.
            differs=self.changes,
        )


class RoutingDryRun:
    """Runs files through the rules of one receiver; stores nothing."""

    def __init__(
        self,
        saved: ReceiverPolicy,
        draft: ReceiverPolicy | None = None,
        *,
        processing: Processing | None = None,
        calling_ae_title: str = "",
    ) -> None:
        """Use saved and drafted rules; `processing` runs processors, if they are to be run."""
        self._saved = saved
        self._draft = draft
        self._processing = processing
        self._facts = Facts(saved.routing.receiver, calling_ae_title)

    def of(self, path: Path) -> RoutingDryRunResult:
        """Return where a file would go.

        Raises:
            UnreadableObject: if the engine would refuse it for its content.
        """
        policies = (self._saved, self._draft or self._saved)
        # Read once, as far as either of the two needs.
        header = read_file(
            path, last_tag=max(receiver_policy.last_tag for receiver_policy in policies)
        )
        if not header.sop_class_uid or not header.sop_instance_uid:
            raise UnreadableObject("the data set has no SOP class or instance UID")
        saved = self._tried(self._saved, path, header)
        draft = saved if self._draft is None else self._tried(self._draft, path, header)
        found = draft.identification
        identity = found.identity
        directly = _archives_directly(policies[1], identity)
        place = _place(identity, draft.header, policies[1], directly=directly) if identity else ()
        return RoutingDryRunResult(
            *(str(path), found, saved.identification, place, draft.steps, draft.rejected),
            filtered=_filtered(policies[1], draft.header, identity),
            directly=directly,
            known=identifying_values_of(header),
        )

    def _tried(self, receiver_policy: ReceiverPolicy, path: Path, header: HeaderView) -> DryRun:
        return try_object(
            self._processing, receiver_policy, receiver_policy.chain, path, header, self._facts
        )


def _filtered(
    receiver_policy: ReceiverPolicy, header: HeaderView, identity: Identity | None
) -> str:
    if identity is None:
        return ""
    try:
        return receiver_policy.filters.excluded_by(header, identity.project.value)
    except ProcessingFailed as error:
        return error.detail


def _archives_directly(receiver_policy: ReceiverPolicy, identity: Identity | None) -> bool:
    known = identity is not None and identity.project.value is not None
    return known and receiver_policy.receiver.direct_archive


def _place(
    identity: Identity, header: HeaderView, receiver_policy: ReceiverPolicy, *, directly: bool
) -> tuple[str, ...]:
    project, label = identity.project.value, identity.session_label
    folder = session_folder(project, TIMESTAMP, label)
    if directly and project is not None:
        folder = archive_folder(
            project, label, receiver_policy.routing.projects.archive_folder(project)
        )
    return (
        *folder,
        "SCANS",
        scan_folder(header),
        "DICOM",
        file_name(header, receiver_policy.template),
    )


@contextmanager
def processing_without_engine(plugins: Sequence[Plugin[ProcessorType]]) -> Iterator[Processing]:
    """Make a `Processing` of the installed classes; its files and processes go at the end."""
    with TemporaryDirectory(prefix="dicomdock-") as folder:
        area = IncomingArea(Path(folder), "trial")
        processing = Processing(
            plugins,
            area,
            Path(folder, "state.sqlite"),
            LabelTables(),
            ProcessorWorkers(),
            ProcessorStates(SystemClock(), lambda _: None),
        )
        try:
            yield processing
        finally:
            processing.close()
            area.close()
