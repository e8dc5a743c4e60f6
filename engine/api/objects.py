"""What a console asks of single objects: their headers, a small image, and where they went.

Values that tell who a patient is are masked, unless somebody asks to be shown them; then the
journal keeps that they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.session import Session


@dataclass(frozen=True, slots=True)
class ObjectReference:
    """Names a stored object by session and file, or a recent one by its SOP instance alone."""

    session: int = 0
    file: str = ""
    """Relative to the session's folder."""
    sop_instance_uid: str = ""
    """As it arrived."""


@dataclass(frozen=True, slots=True)
class RecentObject:
    """An object that arrived not long ago, and what became of it."""

    reference: ObjectReference
    at: datetime
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    sop_class: str
    """Its name, or the UID where it has none."""
    modality: str
    project: str
    """``Unassigned`` if it has none; empty if it is in no session."""
    label: str
    """Its session's label; empty if it is in no session."""
    bytes: int
    state: str
    status: int
    """The C-STORE status that was answered."""
    reason: str
    as_received: bool
    """Whether its header as received is still in memory."""


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One element of a header; nested ones follow their sequence."""

    depth: int
    """0 for the data set itself, 1 for an item of a sequence in it, and so on."""
    item: int
    """Which item of its sequence it is in, from 1; 0 outside sequences."""
    path: str
    """Unique in the header, such as ``(0008,1115)[1].(0020,000E)``."""
    tag: int
    vr: str
    keyword: str
    """Empty if the data dictionary has none."""
    value: str
    """Text with backslashes between values, the first bytes in hexadecimal, ``2 items`` …

    A UID is followed by its name, if it has one.
    """
    length: int
    """Of the encoded value in bytes; -1 if undefined."""
    identifying: bool
    private: bool
    masked: bool = False
    """Whether `value` hides what the element says."""
    cut: bool = False
    """Whether `value` is only the beginning."""
    first_bytes: bytes = b""
    """The first 32 of the value as it is encoded; none of a sequence or of what is masked."""


@dataclass(frozen=True, slots=True)
class ObjectHeader:
    """The elements of an object."""

    reference: ObjectReference
    elements: tuple[ElementRow, ...]
    complete: bool
    """Whether these are all elements, down to all depths."""
    transfer_syntax: str
    """By name."""
    sop_class: str
    bytes: int
    """Of the file, or of what is kept of the header."""
    frames: int
    has_pixels: bool
    anonymized_by: tuple[str, ...]
    """Numbers of the scripts that the object says have run on it."""


class RowChange(StrEnum):
    """What became of an element between reception and storage."""

    EQUAL = "equal"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One element as received and as stored."""

    change: RowChange
    received: ElementRow | None
    stored: ElementRow | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A header as received beside the one that is stored."""

    rows: tuple[ComparedRow, ...]
    last_tag: int
    """The greatest tag that is kept of what was received; later elements are not compared."""
    complete: bool


@dataclass(frozen=True, slots=True)
class TrailStep:
    """One time that a SOP instance arrived, and what became of it."""

    at: datetime
    receiver: str
    calling_ae_title: str
    state: str
    status: int
    reason: str
    session: int | None
    file: str


@dataclass(frozen=True, slots=True)
class ObjectTrail:
    """Where an object went."""

    steps: tuple[TrailStep, ...]
    """Oldest first, at most 1,000."""
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown from black to white (PS3.3 C.11.2)."""

    center: float
    width: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One frame, made small; or in words why there is none."""

    width: int = 0
    height: int = 0
    samples: int = 1
    """1 for grey, 3 for red, green and blue."""
    pixels: bytes = b""
    """Row by row, one byte a sample."""
    frame: int = 1
    frames: int = 1
    columns: int = 0
    """Of the image itself."""
    rows: int = 0
    window: Window | None = None
    """What was used; None for colours."""
    problem: str = ""
    """Why there is no image; empty if there is one."""
    remedy: str = ""


class ObjectsView(Protocol):
    """Single objects; every method reads files and belongs in a worker."""

    def recent(
        self, *, receiver: str = "", calling_ae_title: str = "", limit: int = 50
    ) -> tuple[RecentObject, ...]:
        """Return at most 500 of the objects that arrived last, newest first.

        Args:
            receiver: ``AE:port``; empty for all.
            calling_ae_title: of the sender; empty for all.
            limit: how many to return.
        """
        ...

    def header(self, reference: ObjectReference, *, as_received: bool = False) -> ObjectHeader:
        """Return the elements of an object, with identifying values masked.

        Args:
            reference: the object.
            as_received: the header as it arrived, as far as it is still in memory.

        Raises:
            NotFound: if there is no such object.
            UnreadableObject: if its file can't be read.
        """
        ...

    def compare(self, reference: ObjectReference) -> Comparison:
        """Return a stored object's header beside the one that arrived; raises as `header` does."""
        ...

    def shown(
        self, reference: ObjectReference, actor: str, *, as_received: bool = False
    ) -> ObjectHeader:
        """Return what `header` does with nothing masked; the journal keeps that `actor` saw it."""
        ...

    def shown_comparison(self, reference: ObjectReference, actor: str) -> Comparison:
        """Return what `compare` does with nothing masked; the journal keeps that `actor` saw it."""
        ...

    def trail(self, reference: ObjectReference) -> ObjectTrail:
        """Return where an object went.

        Raises:
            NotFound: if there is no such object.
        """
        ...

    def thumbnail(
        self,
        reference: ObjectReference,
        *,
        frame: int = 1,
        width: int = 256,
        height: int = 256,
        window: Window | None = None,
    ) -> Thumbnail:
        """Return one frame of a stored object, not larger than asked for and than 512×512.

        Args:
            reference: the object.
            frame: which one, from 1.
            width: at most so many columns; the ratio of the sides is kept.
            height: at most so many rows.
            window: None for the object's own, or else all values.

        Raises:
            NotFound: if there is no such object.
        """
        ...
