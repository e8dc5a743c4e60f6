"""In-memory caches: identities, series and recent headers.

Objects with the same values in the elements that decide are identified once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.header import (
    PIXEL_REPRESENTATION,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    SOP_CLASS_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from engine.index.store import SessionKey
from engine.index.traces import TRACED
from engine.storage.placement import scan_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from engine.dicom.header import Excerpt, HeaderView
    from engine.model.file_name_template import FileNameTemplate
    from engine.model.identity import Identity

PATIENT_GROUP = 0x0010
MOST_IDENTITIES = 8
"""About as many studies as arrive at one receiver at the same time.

They are searched one after the other, so more would cost each new series more.
"""
SHARED_TAGS = (SERIES_INSTANCE_UID, SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_NUMBER, *TRACED)
"""The elements that decide about folder, file name and traces, once the identity is known."""
MOST_SERIES = 4
"""An association that mixes more series than this identifies each object anew."""
HEADERS_PER_RECEIVER = 20
MAX_HEADER_BYTES = 64 * 1024
"""Larger headers are not kept, so the headers of one receiver take at most 1.25 MiB."""


class IdentityCache:
    """A few identities with the elements that decided them, newest first; for all threads.

    Not locked: a race may lose a cache entry but never returns a wrong identity.
    """

    def __init__(self, tags: Iterable[int]) -> None:
        # The character set decides how a text is read, Pixel Representation whether a number of VR
        # "US or SS" is signed.
        self.tags = sorted({*tags, SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION}, key=_selectivity)
        """All elements that decide: those that are read, and those that say how to read them."""
        # A tuple that is replaced as a whole: a thread that reads sees the old or the new one.
        self._memories: tuple[tuple[str, Excerpt, Identity], ...] = ()

    def find(self, header: HeaderView) -> Identity | None:
        """Return the identity of an object with equal elements, None if none is remembered."""
        for transfer_syntax_uid, excerpt, identity in self._memories:
            # Excerpts are encoded elements, which can be compared only within one transfer syntax.
            if transfer_syntax_uid == header.transfer_syntax_uid and header.has(excerpt):
                return identity
        return None

    def put(self, header: HeaderView, identity: Identity) -> None:
        """Remember an identity, and forget the oldest one if there are enough."""
        excerpt = header.excerpt(self.tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, identity)
            self._memories = (memory, *self._memories[: MOST_IDENTITIES - 1])


def _selectivity(tag: int) -> tuple[bool, int]:
    """Sort the patient's group first: studies differ most there, so a search ends early."""
    return tag >> 16 != PATIENT_GROUP, tag


class SeriesDestination(NamedTuple):
    """Where the objects of a series go."""

    identity: Identity
    key: SessionKey
    scan: str
    """The name of the scan's folder."""
    template: FileNameTemplate
    """The template of their file names, with the shared elements filled in."""
    traced: tuple[tuple[int, str | None], ...]
    """The identifying values by which their session can be found, by tag."""

    @classmethod
    def of(
        cls, header: HeaderView, identity: Identity, template: FileNameTemplate
    ) -> SeriesDestination:
        """Return what an object shares with those that have the same `SHARED_TAGS` and identity."""
        study = header.study_instance_uid or ""
        return cls(
            identity,
            SessionKey(identity.project.value, study, identity.session_label),
            scan_folder(header),
            template.filled(header.text, SHARED_TAGS),
            tuple((tag, header.text(tag)) for tag in TRACED),
        )


class SeriesCache:
    """The last series of one association, newest first; used by one thread at a time."""

    def __init__(self, tags: Iterable[int]) -> None:
        """Remember series by `SHARED_TAGS` and by `tags`, all elements that decide identities."""
        # In this order: the series UID, which differs most often, is compared first.
        self._tags = tuple(dict.fromkeys((*SHARED_TAGS, *tags)))
        self._memories: tuple[tuple[str, Excerpt, SeriesDestination], ...] = ()

    def find(self, header: HeaderView) -> SeriesDestination | None:
        """Return the series of an object, None if it is not remembered."""
        for transfer_syntax_uid, excerpt, series in self._memories:
            # The elements first: they differ with each series, the transfer syntax hardly ever
            # does.
            if header.has(excerpt) and transfer_syntax_uid == header.transfer_syntax_uid:
                return series
        return None

    def put(self, header: HeaderView, series: SeriesDestination) -> None:
        """Remember a series, and forget the oldest one if there are enough."""
        excerpt = header.excerpt(self._tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, series)
            self._memories = (memory, *self._memories[: MOST_SERIES - 1])


class RecentHeader(NamedTuple):
    """One object's header and where it came from."""

    at: datetime
    receiver_id: int
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    header: HeaderView


class StoredFile(NamedTuple):
    """A stored object that rules are to be tried on."""

    at: datetime
    """When it arrived."""
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    path: Path


class RecentHeaders:
    """The last headers of each receiver, in memory only: they are patient data.

    For all threads, without a lock: appending to a deque is one step.
    """

    def __init__(self) -> None:
        self._by_receiver: dict[int, deque[RecentHeader]] = {}

    def put(self, recent: RecentHeader) -> None:
        """Keep a header, and forget the receiver's oldest one if there are enough."""
        receiver_id = recent.receiver_id
        if recent.header.size_bytes > MAX_HEADER_BYTES:
            return
        kept = self._by_receiver.get(receiver_id)
        if kept is None:
            # Of two threads that make one, both use the first.
            kept = self._by_receiver.setdefault(receiver_id, deque(maxlen=HEADERS_PER_RECEIVER))
        kept.append(recent)

    def forget_all_but(self, receiver_ids: Iterable[int]) -> None:
        """Forget the headers of deleted receivers."""
        for gone in set(self._by_receiver).difference(receiver_ids):
            self._by_receiver.pop(gone, None)

    def of(self, receiver_id: int) -> tuple[RecentHeader, ...]:
        """Return the last headers of a receiver, newest first; id 0 stands for all receivers."""
        if not receiver_id:
            return self.everything()[:HEADERS_PER_RECEIVER]
        return _newest_first(self._by_receiver.get(receiver_id, ()))

    def everything(self) -> tuple[RecentHeader, ...]:
        """Return the last headers of all receivers, newest first."""
        # Copies: other threads add headers and receivers meanwhile.
        return _newest_first(r for one in list(self._by_receiver.values()) for r in list(one))


def _newest_first(headers: Iterable[RecentHeader]) -> tuple[RecentHeader, ...]:
    return tuple(sorted(headers, key=lambda recent: recent.at, reverse=True))
