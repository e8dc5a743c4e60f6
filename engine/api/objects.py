"""Single objects for the console: headers, thumbnails, and their way through the engine.

Identifying values are masked. The methods that show them record in the journal who saw them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.model.identity import Identification
    from engine.model.processing import ProcessorStep
    from engine.model.session import Session, SessionPlace


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
    """A recent object and its outcome."""

    reference: ObjectReference
    at: datetime
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    sop_class: str
    """Name of the SOP class, or its UID if it has no name."""
    modality: str
    project: str
    """``Unassigned`` if it has no project; empty if it is in no session."""
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
    """The number of its item in the sequence, from 1; 0 outside sequences."""
    path: str
    """Unique in the header, such as ``(0008,1115)[1].(0020,000E)``."""
    tag: int
    vr: str
    keyword: str
    """Empty if the data dictionary has none."""
    value: str
    """Text with backslashes between values, the first bytes in hexadecimal, or ``2 items``.

    A UID is followed by its name, if it has one.
    """
    length: int
    """Bytes of the encoded value; -1 if undefined (PS3.5 7.1)."""
    identifying: bool
    private: bool
    masked: bool = False
    """Whether `value` is a mask instead of the element's value."""
    cut: bool = False
    """Whether `value` is only the beginning."""
    first_bytes: bytes = b""
    """The first 32 bytes of the encoded value; empty for sequences and masked values."""


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
    """Size of the file, or of the part of the header that is kept."""
    frames: int
    has_pixels: bool
    anonymized_by: tuple[str, ...]
    """Numbers of the scripts that ran on it, as the object itself records."""


class RowChange(StrEnum):
    """How an element changed between reception and storage."""

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
    """The header as received and the stored one, element by element."""

    rows: tuple[ComparedRow, ...]
    last_tag: int
    """The greatest tag that was kept of the header as received; later ones are not compared."""
    complete: bool


class Filed(StrEnum):
    """Whether a session has what arrived; merges and moves are followed."""

    IN_SESSION = "in session"
    REPLACED = "replaced"
    """Other content of the same SOP instance, or of the same place in the archive, is there now."""
    DROPPED = "dropped"
    """It was filed in a session, and a script or a merge did not keep it."""
    REMOVED = "removed"
    """Its session was removed for good; what session that was is not known any more."""
    NOT_KEPT = "not kept"
    """It came into no session; the state and the reason say why."""


@dataclass(frozen=True, slots=True)
class TrailStep:
    """One arrival of a SOP instance and its outcome."""

    at: datetime
    receiver: str
    calling_ae_title: str
    state: str
    status: int
    reason: str
    session: int | None
    """The session that it went to, after merges; None if there is none (any more)."""
    file: str
    filed: Filed
    place: SessionPlace | None
    """Of the session."""

    @property
    def went_to(self) -> str:
        """Where it went, in words without the reason."""
        if self.place is None:
            return _NO_SESSION.get(self.filed) or f"none: {self.state}"
        session = f"session {self.session}: {self.place.words}"
        return f"{_NOT_THERE.get(self.filed, '')}{session}"


_NO_SESSION = {
    Filed.REMOVED: "deleted: its session was removed for good",
    Filed.REPLACED: "none: replaced by other content in the archive",
}
_NOT_THERE = {Filed.REPLACED: "replaced by a later arrival in ", Filed.DROPPED: "dropped from "}


def arrivals_in(session: int, steps: Sequence[TrailStep]) -> tuple[int, ...]:
    """Return the numbers of the arrivals that went to a session; the oldest arrival is 1."""
    return tuple(n for n, step in enumerate(steps, start=1) if step.session == session)


_NUMBERS_SHOWN = 8


def arrival_words(session: int, steps: Sequence[TrailStep]) -> str:
    """Return these numbers in words; empty if no arrival went to the session."""
    numbers = arrivals_in(session, steps)
    shown = ", ".join(map(str, numbers[:_NUMBERS_SHOWN]))
    more = len(numbers) - _NUMBERS_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True, slots=True)
class ObjectTrail:
    """All arrivals of a SOP instance, and the sessions that it went to."""

    steps: tuple[TrailStep, ...]
    """Oldest first, at most 1,000."""
    sessions: tuple[Session, ...]


class HeaderBasis(StrEnum):
    """Which header an explanation is about; the value says it in words."""

    RECEIVED = "the header as received"
    STORED = "the file as stored"


@dataclass(frozen=True, slots=True)
class ObjectWhy:
    """Why an object is filed where it is: a dry run of the rules that are in force now."""

    arrival: TrailStep
    """The arrival that it is about."""
    basis: HeaderBasis
    receiver_id: int
    """0 if the receiver does not exist any more."""
    found: Identification | None
    """What the rules decide, with every step; None without the receiver."""
    processing: tuple[ProcessorStep, ...]
    """What processors do to the object; empty for a stored file, which they changed already."""
    session: Session | None
    """The session that it is filed in."""
    agrees: bool
    """Whether the rules file it where it is: in the session's project, subject and label."""
    unknown_project: str = ""
    """The first name that names no project, if the object would be Unassigned.

    Empty also if it is no valid project id, or identifies a person.
    """


@dataclass(frozen=True, slots=True)
class Window:
    """The range of values that is shown from black to white (PS3.3 C.11.2)."""

    center: float
    width: float


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One frame of an image, scaled down; or the reason why there is none."""

    width: int = 0
    height: int = 0
    samples: int = 1
    """1 for grey, 3 for red, green and blue."""
    pixels: bytes = b""
    """Row by row, one byte a sample."""
    frame: int = 1
    frames: int = 1
    columns: int = 0
    """Columns of the image itself."""
    rows: int = 0
    window: Window | None = None
    """The window that was used; None for colours."""
    problem: str = ""
    """Why there is no image; empty if there is one."""
    remedy: str = ""


class ObjectsView(Protocol):
    """Single objects; every method reads files, so call it in a worker."""

    def recent(
        self, *, receiver: str = "", calling_ae_title: str = "", limit: int = 50
    ) -> tuple[RecentObject, ...]:
        """Return the last objects that arrived, newest first; 500 at most.

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
        """Compare a stored object's header with the one received; raises as `header` does."""
        ...

    def shown(
        self, reference: ObjectReference, actor: str, *, as_received: bool = False
    ) -> ObjectHeader:
        """Return what `header` does, unmasked; the journal records that `actor` saw it."""
        ...

    def shown_comparison(self, reference: ObjectReference, actor: str) -> Comparison:
        """Return what `compare` does, unmasked; the journal records that `actor` saw it."""
        ...

    def trail(self, reference: ObjectReference) -> ObjectTrail:
        """Return all arrivals of an object, and its sessions.

        Raises:
            NotFound: if there is no such object.
        """
        ...

    def why(self, reference: ObjectReference) -> ObjectWhy:
        """Explain why an object is filed where it is, or why it was rejected.

        The rules in force now are run on the header as received, while it is in memory, else on
        the stored file; nothing is stored. Values of the object are masked, names of projects
        are not.

        Raises:
            NotFound: if there is no such object, or it is neither stored nor in memory.
            UnreadableObject: if its file can't be read.
        """
        ...

    def shown_why(self, reference: ObjectReference, actor: str) -> ObjectWhy:
        """Return what `why` does, unmasked; the journal records that `actor` saw it."""
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
        """Return one frame of a stored object, within `width` and `height`, and within 512×512.

        Args:
            reference: the object.
            frame: number of the frame, from 1.
            width: the most columns; the ratio of the sides is kept.
            height: the most rows.
            window: None for the object's own window; without one, all values are shown.

        Raises:
            NotFound: if there is no such object.
        """
        ...
