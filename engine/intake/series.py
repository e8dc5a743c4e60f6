"""What the objects of a series have in common, found out at the first, kept for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.intake.header import (
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    SOP_CLASS_UID,
    STUDY_INSTANCE_UID,
)
from engine.intake.placement import scan_folder
from engine.sessions.index import SessionKey
from engine.sessions.traces import TRACED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.intake.header import Excerpt, HeaderView
    from engine.model.file_name_template import FileNameTemplate
    from engine.model.identity import Identity

SHARED_TAGS = (SERIES_INSTANCE_UID, SOP_CLASS_UID, STUDY_INSTANCE_UID, SERIES_NUMBER, *TRACED)
"""What says where an object goes, once it is known whose it is."""
MOST_REMEMBERED = 4
"""As many series as an association may mix before they are looked at anew each time."""


class Series(NamedTuple):
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
    def of(cls, header: HeaderView, identity: Identity, template: FileNameTemplate) -> Series:
        """Return what an object shares with those that have the same `SHARED_TAGS` and identity."""
        study = header.study_instance_uid or ""
        return cls(
            identity,
            SessionKey(identity.project.value, study, identity.session_label),
            scan_folder(header),
            template.filled(header.text, SHARED_TAGS),
            tuple((tag, header.text(tag)) for tag in TRACED),
        )


class SeriesMemory:
    """The last series of one association, newest first; used by its reading thread."""

    def __init__(self, tags: Iterable[int]) -> None:
        """Remember series by some elements, among them all that decide about the identity."""
        self._tags = tuple(dict.fromkeys((*SHARED_TAGS, *tags)))
        self._memories: tuple[tuple[str, Excerpt, Series], ...] = ()

    def recall(self, header: HeaderView) -> Series | None:
        """Return the series of an object, None if it is not remembered."""
        for transfer_syntax_uid, excerpt, series in self._memories:
            if header.has(excerpt) and transfer_syntax_uid == header.transfer_syntax_uid:
                return series
        return None

    def keep(self, header: HeaderView, series: Series) -> None:
        """Remember a series in place of the oldest one."""
        excerpt = header.excerpt(self._tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, series)
            self._memories = (memory, *self._memories[: MOST_REMEMBERED - 1])
