"""Anonymization scripts for the console: checks of a text, and trials on objects.

Identifying values are masked. The method that shows them records in the journal who saw them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.api.objects import ObjectReference, RowChange
    from engine.model.anonymization import ProfileSettings, ScriptScope
    from engine.model.file_sample import FileSample


class FindingKind(StrEnum):
    """Whether a finding is an error or a warning."""

    ERROR = "error"
    """The text is not a script and can't be saved."""
    TRAP = "trap"
    """The text is a script, but this place probably does not do what was meant."""


@dataclass(frozen=True, slots=True)
class ScriptFinding:
    """One error or warning in a text."""

    kind: FindingKind
    line: int
    """1-based."""
    column: int
    """1-based; always 1 for a trap."""
    message: str
    remedy: str
    trap: str = ""
    """The name of the trap, such as ``nested-copies``."""


@dataclass(frozen=True, slots=True)
class LeftText:
    """A text element that a script keeps although it may identify the patient."""

    path: str
    """As a script writes it."""
    name: str


@dataclass(frozen=True, slots=True)
class ScriptTrial:
    """What to try: the saved script and profile, or drafts in their place."""

    scope: ScriptScope
    project: str = ""
    """The project's id, if its script is tried."""
    text: str | None = None
    """The draft; None for the saved script, even if it is disabled."""
    profile: ProfileSettings | None = None
    """The draft; None for the saved profile."""
    labels: tuple[str, str, str] | None = None
    """Project, subject and session for the script; None for those of the object."""


class TrialOutcome(StrEnum):
    """How the object would end."""

    EDITED = "edited"
    REJECTED = "rejected"
    FAILED = "failed"
    """It would be refused when it arrives, or its session would not be archived."""
    INVALID = "invalid"
    """The text is not a script."""


@dataclass(frozen=True, slots=True)
class EditedRow:
    """One element before and after the script."""

    path: str
    """As a script writes it: ``(0008,1140)[0]/(0008,1155)``, private ones by their creator."""
    keyword: str
    """Empty if the data dictionary has none."""
    vr: str
    change: RowChange
    before: str | None
    """The text, or the number of bytes; None if the element was not there."""
    after: str | None
    identifying: bool
    """Whether its value may identify the patient or another person."""
    masked: bool = False
    """Whether `before` and `after` are masked."""


@dataclass(frozen=True, slots=True)
class ScriptPreview:
    """The result of a trial on one object; nothing is stored."""

    outcome: TrialOutcome
    rows: tuple[EditedRow, ...] = ()
    """In the order of the elements; empty unless the outcome is EDITED."""
    why: str = ""
    """Why the object failed or was rejected, with the line; empty otherwise."""
    remedy: str = ""
    line: int = 0
    """1-based line of the script that failed; 0 if no line is at fault."""
    labels: tuple[str, str, str] = ("", "", "")
    """Project, subject and session that the script was given."""
    complete: bool = True
    """Whether the whole object was tried; False if only its header is in memory."""


class ScriptsView(Protocol):
    """Anonymization scripts; every method may block, so call it in a worker."""

    def check(self, text: str) -> tuple[ScriptFinding, ...]:
        """Return the errors of a text, or the traps in it, in the order of its lines."""
        ...

    def left(self, text: str) -> tuple[LeftText, ...]:
        """Return which texts neither a script nor the basic profile removes; none if invalid."""
        ...

    def default_script(self) -> str:
        """Return XNAT's default site script, which only sets labels."""
        ...

    def preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        """Apply a trial to a copy of an object, with identifying values masked.

        A project's script is tried on the result of the site's anonymization of the object.

        Args:
            trial: what to try.
            reference: a stored object, or a recent one by its SOP instance alone.
            as_received: use the header as it arrived, if it is still in memory.
            equal: whether unchanged elements have rows too.
            file: what is tried instead of the object, with its header only, and with the labels
                that it would get at the first receiver.

        Raises:
            NotFound: if there is no such object or project.
            UnreadableObject: if the object or file can't be read.
        """
        ...

    def shown_preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        actor: str,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        """Return what `preview` does, unmasked; the journal records that `actor` saw it."""
        ...
