"""Which session an object joins, and in which tree: prearchive, or archive if it goes directly."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import OutOfResources
from engine.intake.placement import session_folder
from engine.model.safe_names import timestamp
from engine.model.session import SessionArea
from engine.sessions.areas import archive_folder

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.receiver import Receiver
    from engine.sessions.index import SessionIndex, SessionKey, SessionOrigin, SessionPlace

_TIMESTAMP_TRIES = 10_000


class _Taken(Exception):
    """The archive has something where a direct session would go (XNAT 9.7)."""


class Filed(NamedTuple):
    """The session that an object joins, and the tree that its place is in."""

    place: SessionPlace
    area: SessionArea


class Filing:
    """Finds sessions for objects; used by the thread of each association."""

    def __init__(self, index: SessionIndex, prearchive_fd: int, archive_fd: int) -> None:
        self._index = index
        self._prearchive_fd = prearchive_fd
        self._archive_fd = archive_fd

    def goes_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive, where nothing is in its way now."""
        if not receiver.direct_archive or key.project is None:
            return False
        joins = self._index.is_open(key._replace(area=SessionArea.ARCHIVE))
        return joins or not self._exists(archive_folder(key.project, key.label))

    def known(self, key: SessionKey, *, directly: bool) -> Filed | None:
        """Hold the session of an object that is not its first one; None if it may be."""
        if directly and key.project is not None:
            key = key._replace(area=SessionArea.ARCHIVE)
        place = self._index.place_of(key)
        return None if place is None else Filed(place, key.area)

    def file(
        self, receiver: Receiver, key: SessionKey, origin: SessionOrigin, *, directly: bool
    ) -> Filed:
        """Find or make the session of an object and hold it.

        Args:
            receiver: decides what becomes of a session that could not go directly.
            key: what makes the session one.
            origin: what a new session is filled with.
            directly: whether it may go into the archive at once; without a project, or with
                something in the way there, it goes to the prearchive all the same.

        Raises:
            OutOfResources: if the session can't be noted, or no folder can be named.
        """
        if directly and key.project is not None:
            with suppress(_Taken):
                return self._directly(key, origin)
        appends = receiver.direct_archive and receiver.direct_archive_append
        if appends and key.project is not None and origin.auto_archive is None:
            origin = replace(origin, auto_archive=True)
        place = self._index.session_for(
            key, origin, lambda at: self._new_folder(key.project, key.label, at)
        )
        return Filed(place, key.area)

    def _directly(self, key: SessionKey, origin: SessionOrigin) -> Filed:
        assert key.project is not None
        folder = archive_folder(key.project, key.label)
        names = iter((folder,))  # there is no other name to try

        def only_folder(_at: datetime) -> tuple[str, ...]:
            name = next(names, None)
            if name is None or self._exists(name):
                raise _Taken
            return name

        key = key._replace(area=SessionArea.ARCHIVE)
        return Filed(self._index.session_for(key, origin, only_folder), key.area)

    def _exists(self, folder: tuple[str, ...]) -> bool:
        with suppress(FileNotFoundError):
            os.stat("/".join(folder), dir_fd=self._archive_fd, follow_symlinks=False)
            return True
        return False

    def _new_folder(self, project: str | None, label: str, at: datetime) -> tuple[str, ...]:
        """Name a session folder under a time stamp of its own (XNAT 9.1)."""
        for milliseconds in range(_TIMESTAMP_TRIES):
            stamp = timestamp(at + timedelta(milliseconds=milliseconds))
            folder = session_folder(project, stamp, label)
            with suppress(FileNotFoundError):
                os.stat("/".join(folder[:-1]), dir_fd=self._prearchive_fd)
                continue
            return folder
        raise OutOfResources("no free session folder name")
