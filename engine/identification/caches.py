"""In-memory caches: identities, series and recent headers.

A series of objects that have the same elements where it counts is looked at once.
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

    from engine.dicom.header import Excerpt, HeaderView
    from engine.model.file_name_template import FileNameTemplate
    from engine.model.identity import Identity

PATIENT_GROUP = 0x0010
MOST_IDENTITIES = 8
"""About as many studies as arrive at one receiver at the same time."""
SHARED_TAGS = (SERIES_INSTANCE_UID, SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_NUMBER, *TRACED)
"""What says where an object goes, once it is known whose it is."""
MOST_SERIES = 4
"""As many series as an association may mix before they are looked at anew each time."""
HEADERS_PER_RECEIVER = 20
MAX_HEADER_BYTES = 64 * 1024
"""Larger headers are not kept, so that a receiver's take at most 1.25 MiB."""


class IdentityCache:
    """A few identities with the elements that decided them, newest first; for all threads.

    A thread that comes between another's look and change costs a memory, never an answer.
    """

    def __init__(self, tags: Iterable[int]) -> None:
        self.tags = sorted({*tags, SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION}, key=_selectivity)
        """All that decides: what is read, and what says how to read it."""
        self._memories: tuple[tuple[str, Excerpt, Identity], ...] = ()

    def find(self, header: HeaderView) -> Identity | None:
        """Return the identity of an object with equal elements, None if none is remembered."""
        for transfer_syntax_uid, excerpt, identity in self._memories:
            if transfer_syntax_uid == header.transfer_syntax_uid and header.has(excerpt):
                return identity
        return None

    def put(self, header: HeaderView, identity: Identity) -> None:
        """Remember an identity in place of the oldest one."""
        excerpt = header.excerpt(self.tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, identity)
            self._memories = (memory, *self._memories[: MOST_IDENTITIES - 1])


def _selectivity(tag: int) -> tuple[bool, int]:
    """Put the patient's group first, where studies differ most."""
    return tag >> 16 != PATIENT_GROUP, tag


class SeriesDestination(NamedTuple):
    """Where the objects of a series go."""

    identity: Identity
    key: SessionKey
    scan: str
    """The name of the scan's folder."""
    template: FileNameTemplate
    """Of their file names, with what they share filled in."""
    traced: tuple[tuple[int, str | None], ...]
    """By what their session can be found."""

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
        """Remember series by some elements, among them all that decide about the identity."""
        self._tags = tuple(dict.fromkeys((*SHARED_TAGS, *tags)))
        self._memories: tuple[tuple[str, Excerpt, SeriesDestination], ...] = ()

    def find(self, header: HeaderView) -> SeriesDestination | None:
        """Return the series of an object, None if it is not remembered."""
        for transfer_syntax_uid, excerpt, series in self._memories:
            if header.has(excerpt) and transfer_syntax_uid == header.transfer_syntax_uid:
                return series
        return None

    def put(self, header: HeaderView, series: SeriesDestination) -> None:
        """Remember a series in place of the oldest one."""
        excerpt = header.excerpt(self._tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, series)
            self._memories = (memory, *self._memories[: MOST_SERIES - 1])


class RecentHeader(NamedTuple):
    """One object's header, and whence it came."""

    at: datetime
    receiver_id: int
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    header: HeaderView


class RecentHeaders:
    """In memory only, for it is patient data; appending is one step, so threads need no lock."""

    def __init__(self) -> None:
        self._by_receiver: dict[int, deque[RecentHeader]] = {}

    def put(self, recent: RecentHeader) -> None:
        """Keep a header, and let go of the receiver's oldest one if there are enough."""
        receiver_id = recent.receiver_id
        if recent.header.size_bytes > MAX_HEADER_BYTES:
            return
        kept = self._by_receiver.get(receiver_id)
        if kept is None:
            kept = self._by_receiver.setdefault(receiver_id, deque(maxlen=HEADERS_PER_RECEIVER))
        kept.append(recent)

    def forget_all_but(self, receiver_ids: Iterable[int]) -> None:
        """Let go of the headers of receivers that are gone."""
        for gone in set(self._by_receiver).difference(receiver_ids):
            self._by_receiver.pop(gone, None)

    def of(self, receiver_id: int) -> tuple[RecentHeader, ...]:
        """Return the last headers of a receiver, newest first; id 0 stands for all receivers."""
        if not receiver_id:
            return self.everything()[:HEADERS_PER_RECEIVER]
        return _newest_first(self._by_receiver.get(receiver_id, ()))

    def everything(self) -> tuple[RecentHeader, ...]:
        """Return the last headers of all receivers, newest first."""
        return _newest_first(r for one in list(self._by_receiver.values()) for r in list(one))


def _newest_first(headers: Iterable[RecentHeader]) -> tuple[RecentHeader, ...]:
    return tuple(sorted(headers, key=lambda recent: recent.at, reverse=True))
