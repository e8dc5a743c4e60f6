"""Jobs of the inspection process: list a header, make a thumbnail, or try a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.api.scripts import TrialOutcome

if TYPE_CHECKING:
    from engine.api.objects import ElementRow, Thumbnail, Window
    from engine.api.scripts import EditedRow
    from engine.model.anonymization import Anonymization
    from engine.model.identity import IdentifyingValue


@dataclass(frozen=True, slots=True)
class HeaderJob:
    """Read a file, or a data set that is in memory."""

    path: str = ""
    data: bytes = b""
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True)
class HeaderResult:
    """The elements, none of them masked."""

    elements: tuple[ElementRow, ...] = ()
    complete: bool = True
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    frames: int = 1
    has_pixels: bool = False
    anonymized_by: tuple[str, ...] = ()
    problem: str = ""
    """Why there are no elements."""


@dataclass(frozen=True, slots=True)
class ThumbnailJob:
    """Make one frame of a file small."""

    path: str
    frame: int
    width: int
    height: int
    window: Window | None


@dataclass(frozen=True, slots=True)
class TrialJob:
    """Try scripts on a file, or on a header that is in memory."""

    path: str = ""
    data: bytes = b""
    transfer_syntax_uid: str = ""
    labels: tuple[str, str, str] = ("", "", "")
    """Project, subject and session."""
    before: tuple[Anonymization, ...] = ()
    """Steps that were applied already to the object with which the result is compared."""
    steps: tuple[Anonymization, ...] = ()
    equal: bool = False
    """Whether unchanged elements have rows too."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a trial; no row is masked."""

    outcome: TrialOutcome = TrialOutcome.FAILED
    rows: tuple[EditedRow, ...] = ()
    why: str = ""
    remedy: str = ""
    line: int = 0
    complete: bool = True
    problem: str = ""
    """Why the object can't be read."""
    telling: tuple[IdentifyingValue, ...] = ()
    """The identifying values of the object, as it was before the scripts."""


Job = HeaderJob | ThumbnailJob | TrialJob
Result: TypeAlias = "HeaderResult | Thumbnail | TrialResult"
