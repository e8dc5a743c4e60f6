"""The results of processors on one object, step by step, as values for console and commands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.model.identity import NO_VALUES, UNASSIGNED, Identification, masked

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.identity import IdentifyingValues
    from engine.model.processor import Location, Processor


class Verdict(StrEnum):
    """What a processor decided about an object."""

    NOT_SEEN = "not seen"
    """Its projects don't include the object's."""
    SKIPPED = "skipped"
    """Its class did not accept the object."""
    CONTINUED = "continued"
    REJECTED = "rejected"
    """The object is not stored, and its sender gets the status success."""
    FAILED = "failed"
    """The object is refused with 0x0110."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The labels that a processor assigns; None leaves a label to the identifier."""

    project: str | None = None
    """An id or alias; empty means Unassigned."""
    subject: str | None = None
    session: str | None = None

    @property
    def assigns_nothing(self) -> bool:
        """Whether no label is assigned."""
        return self == Assignment()

    def over(self, earlier: Assignment) -> Assignment:
        """Return this assignment, completed by an earlier one."""
        return Assignment(
            earlier.project if self.project is None else self.project,
            earlier.subject if self.subject is None else self.subject,
            earlier.session if self.session is None else self.session,
        )

    def words(self) -> str:
        """Return in words what is assigned, such as ``project=A, session=S_1``."""
        said = (("project", self.project), ("subject", self.subject), ("session", self.session))
        return ", ".join(
            f"{name}={value or UNASSIGNED}" for name, value in said if value is not None
        )

    def masked(self, known: IdentifyingValues) -> Assignment:
        """Return the same without subject, session, and a project that is no project's name."""
        project = None if self.project is None else known.hide(self.project)
        subject, session = masked(self.subject), masked(self.session)
        return Assignment(project, subject, session)


@dataclass(frozen=True, slots=True)
class ElementChange:
    """One element that a processor changed."""

    path: str
    """As a DicomEdit script writes it, such as ``(0010,0010)``."""
    keyword: str
    """Empty for elements that the data dictionary doesn't know."""
    change: str
    """``added``, ``changed`` or ``removed``."""
    before: str | None
    after: str | None

    def words(self) -> str:
        """Return the change in one line."""
        return f"{self.path} {self.keyword}: {_shown(self.before)} → {_shown(self.after)}"

    def masked(self, known: IdentifyingValues) -> ElementChange:
        """Return the same with nothing of the values but their length."""
        before, after = masked(self.before), masked(self.after)
        return replace(self, path=known.hide_in_path(self.path), before=before, after=after)


@dataclass(frozen=True, slots=True)
class ProcessorStep:
    """One processor's look at one object."""

    processor: str
    """The instance's label."""
    processor_class: str
    location: Location
    verdict: Verdict
    why: str = ""
    """Why the object was rejected or what failed; a clause."""
    assigned: Assignment = Assignment()
    changes: tuple[ElementChange, ...] = ()
    seconds: float = 0.0

    def masked(self, known: IdentifyingValues = NO_VALUES) -> ProcessorStep:
        """Return the same without values of the object.

        Args:
            known: what the object says of its patient; a reason in words may repeat that.
        """
        changes = tuple(change.masked(known) for change in self.changes)
        assigned, why = self.assigned.masked(known), known.hide(self.why)
        return replace(self, assigned=assigned, changes=changes, why=why)

    def to_record(self) -> dict[str, object]:
        """Return the step for programs."""
        return asdict(self)


class ProcessorState(StrEnum):
    """Whether an instance acts."""

    ENABLED = "enabled"
    UNUSED = "unused"
    """Enabled, but no receiver shows it objects."""
    BROKEN = "broken"
    """Enabled, but it can't work as it should."""
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class ProcessorStatus:
    """An instance and what became of the objects that it saw since the engine started."""

    processor: Processor
    receivers: tuple[str, ...] = ()
    """The receivers whose objects it sees: custom processing on, allowed and not denied."""
    problem: str = ""
    """Why it can't work as it should, such as a table that can't be read; empty if it can."""
    runs: int = 0
    """Objects that it saw, whatever the verdict."""
    rejects: int = 0
    errors: int = 0
    last_error: str = ""
    last_error_at: datetime | None = None
    mean_seconds: float = 0.0
    """Of one run."""

    @property
    def state(self) -> ProcessorState:
        """Whether it acts."""
        if not self.processor.enabled:
            return ProcessorState.DISABLED
        if self.problem:
            return ProcessorState.BROKEN
        return ProcessorState.ENABLED if self.receivers else ProcessorState.UNUSED


@dataclass(frozen=True, slots=True)
class ProcessorTrial:
    """The result of one instance on one object; nothing is stored."""

    at: datetime | None
    """When the object arrived; None for a file."""
    receiver: str
    calling_ae_title: str
    sop_instance_uid: str
    steps: tuple[ProcessorStep, ...]
    """Empty if there is no object to try it on."""

    def masked(self, known: IdentifyingValues = NO_VALUES) -> ProcessorTrial:
        """Return the same without values of the object; `known` is what it says of its patient."""
        return replace(self, steps=tuple(step.masked(known) for step in self.steps))


def _shown(value: str | None) -> str:
    return "nothing" if value is None else repr(value)


TEST_ROOT = "2.25.235022223827495242976505035687323014033.9."
"""Below the implementation class UID, of which no other object has one."""


def is_test_object(sop_instance_uid: str) -> bool:
    """Tell whether an object was made for a self-test."""
    return sop_instance_uid.startswith(TEST_ROOT)


@dataclass(frozen=True, slots=True)
class RoutingPreview:
    """One object that arrived not long ago, as it would be identified."""

    at: datetime
    """When it arrived."""
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    saved: Identification
    """With the settings in force."""
    draft: Identification
    """With the settings that are only being considered."""
    saved_processing: tuple[ProcessorStep, ...] = ()
    """The steps of the receiver's processors."""
    draft_processing: tuple[ProcessorStep, ...] = ()
    sop_instance_uid: str = ""
    """As it arrived."""
    differs: bool | None = None
    """Whether the draft would file it elsewhere, where masked labels can't tell."""
    as_stored: bool = False
    """Whether it was read from the stored file, which scripts and processors may have changed."""
    is_file: bool = False
    """Whether it is a file that somebody chose, which did not arrive; `at` is now."""

    @property
    def changes(self) -> bool:
        """Tell whether the draft would file the object elsewhere."""
        return self.saved.outcome != self.draft.outcome if self.differs is None else self.differs

    def masked(self, known: IdentifyingValues = NO_VALUES) -> RoutingPreview:
        """Return the same without values of the object; `known` is what it says of its patient."""
        return replace(
            self,
            # `differs` is decided before: with masks, two labels of one length look the same.
            saved=self.saved.masked(known),
            draft=self.draft.masked(known),
            saved_processing=tuple(step.masked(known) for step in self.saved_processing),
            draft_processing=tuple(step.masked(known) for step in self.draft_processing),
            differs=self.changes,
        )
