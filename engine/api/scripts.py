"""What a console asks of anonymization: whether a text is a script, and what it would do.

Values that tell who a patient is are masked, unless somebody asks to be shown them; then the
journal keeps that they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.api.objects import ObjectReference, RowChange
    from engine.model.anonymization import ProfileSettings, ScriptScope


class FindingKind(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The text is no script and can't be saved."""
    TRAP = "trap"
    """It is one, and probably does something else than meant."""


@dataclass(frozen=True, slots=True)
class ScriptFinding:
    """One place of a text that deserves a look."""

    kind: FindingKind
    line: int
    """1-based."""
    column: int
    """1-based; of a trap always 1."""
    message: str
    remedy: str
    trap: str = ""
    """Which trap it is, such as ``nested-copies``."""


@dataclass(frozen=True, slots=True)
class LeftText:
    """A text that may say who the patient is, and that a script leaves as it is."""

    path: str
    """As a script writes it."""
    name: str


@dataclass(frozen=True, slots=True)
class ScriptTrial:
    """What is to be tried: what is saved, or in its place what is not yet."""

    scope: ScriptScope
    project: str = ""
    """The project's id, if its script is tried."""
    text: str | None = None
    """None for the saved script, whether it is switched on or not."""
    profile: ProfileSettings | None = None
    """None for what is saved."""
    labels: tuple[str, str, str] | None = None
    """Project, subject and session; None for those of the object."""


class TrialOutcome(StrEnum):
    """What would become of the object."""

    EDITED = "edited"
    REJECTED = "rejected"
    FAILED = "failed"
    """It would be refused on receipt, or its session not be archived."""
    INVALID = "invalid"
    """The text is no script."""


@dataclass(frozen=True, slots=True)
class EditedRow:
    """One element before and after."""

    path: str
    """As a script writes it: ``(0008,1140)[0]/(0008,1155)``, private ones by their creator."""
    keyword: str
    """Empty if the data dictionary has none."""
    vr: str
    change: RowChange
    before: str | None
    """Text, or how many bytes; None if there was none."""
    after: str | None
    identifying: bool
    """Whether its value may lead to the patient or another person."""
    masked: bool = False
    """Whether `before` and `after` hide what they are."""


@dataclass(frozen=True, slots=True)
class ScriptPreview:
    """What a trial did to an object; nothing of it is kept anywhere."""

    outcome: TrialOutcome
    rows: tuple[EditedRow, ...] = ()
    """In the order of the elements; empty unless it is edited."""
    why: str = ""
    """What failed or rejected, with the line; empty if neither."""
    remedy: str = ""
    line: int = 0
    """1-based, of the script that failed; 0 if none is at fault."""
    labels: tuple[str, str, str] = ("", "", "")
    """Project, subject and session that the script was given."""
    complete: bool = True
    """Whether the whole object was tried; of one that is in memory only the header is."""


class ScriptsView(Protocol):
    """Anonymization scripts; every method belongs in a worker."""

    def check(self, text: str) -> tuple[ScriptFinding, ...]:
        """Return what is wrong with a text, or odd about it, in the order of its lines."""
        ...

    def left(self, text: str) -> tuple[LeftText, ...]:
        """Return which texts neither a script nor the basic profile removes; none if invalid."""
        ...

    def default_script(self) -> str:
        """Return XNAT's script for a site, which only relabels."""
        ...

    def preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        *,
        as_received: bool = False,
        equal: bool = False,
    ) -> ScriptPreview:
        """Apply a trial to a copy of an object, with identifying values masked.

        The project's part of a trial is tried on what the site makes of an object as received.

        Args:
            trial: what to try.
            reference: a stored object, or by its SOP instance alone one that arrived lately.
            as_received: the header as it arrived, as far as it is still in memory.
            equal: whether elements that stay as they are have rows too.

        Raises:
            NotFound: if there is no such object or project.
            UnreadableObject: if the object can't be read.
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
    ) -> ScriptPreview:
        """Return what `preview` does with nothing masked; the journal keeps that `actor` saw it."""
        ...
