"""Which session an object joins, and in which tree: prearchive, or archive if it goes directly."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.part10 import body_offset
from engine.errors import OutOfResources, ProcessingFailed
from engine.model.identity import safe_part, timestamp
from engine.model.project import FIRST_ARCHIVE_FOLDER
from engine.model.session import ProjectScript, SessionArea
from engine.storage.areas import archive_folder
from engine.storage.incoming import is_stored, out_of_resources
from engine.storage.placement import ObjectFiltered, session_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from engine.index.store import Copy, SessionIndex, SessionKey, SessionOrigin, SessionPlace
    from engine.intake.object import AssociationContext, IncomingObject
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.model.identity import Identity
    from engine.model.receiver import Receiver
    from engine.settings import Durability
    from engine.storage.incoming import PartFile
    from engine.workers.scripts import Anonymizer


_TIMESTAMP_TRIES = 10_000
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _NameTaken(Exception):
    """The archive has something where a direct session would go (XNAT 9.7)."""


class FiledPlace(NamedTuple):
    """The session that an object joins, and the tree that its place is in."""

    place: SessionPlace
    area: SessionArea


class Filing:
    """Finds sessions for objects; for all threads."""

    def __init__(
        self,
        index: SessionIndex,
        prearchive_fd: int,
        archive_fd: int,
        current: Callable[[str], str] = lambda _: FIRST_ARCHIVE_FOLDER,
    ) -> None:
        """Take the index, the trees, and what a project's archive folder is just now."""
        self._index = index
        self._current = current
        self._prearchive_fd = prearchive_fd
        self._archive_fd = archive_fd

    def archives_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive, where nothing is in its way now.

        Raises:
            OutOfResources: if the archive can't be read.
        """
        if not receiver.direct_archive or key.project is None:
            return False
        joins = self._index.is_open(key._replace(area=SessionArea.ARCHIVE))
        return joins or not self._is_archived(key.project, key.label)

    def file(
        self, receiver: Receiver, key: SessionKey, origin: SessionOrigin, *, directly: bool
    ) -> FiledPlace:
        """Find or make the session of an object and hold it.

        Args:
            receiver: decides what becomes of a session that could not go directly.
            key: what makes the session one.
            origin: what a new session is filled with.
            directly: whether it may go into the archive at once; without a project, or with
                something in the way there, it goes to the prearchive all the same.

        Raises:
            OutOfResources: if the session can't be noted, the trees can't be read, or no folder
                can be named.
        """
        if directly and key.project is not None:
            with suppress(_NameTaken):
                return self._directly(key, origin)
        appends = receiver.direct_archive and receiver.direct_archive_append
        if appends and key.project is not None and origin.auto_archive is None:
            origin = replace(origin, auto_archive=True)
        place = self._index.session_for(
            key, origin, lambda at: self._new_folder(key.project, key.label, at)
        )
        return FiledPlace(place, key.area)

    def _directly(self, key: SessionKey, origin: SessionOrigin) -> FiledPlace:
        assert key.project is not None
        project, label = key.project, key.label
        names = iter((archive_folder(project, label, self._current(project)),))  # the only one

        def only_folder(_at: datetime) -> tuple[str, ...]:
            name = next(names, None)
            if name is None or self._is_archived(project, label):
                raise _NameTaken
            return name

        key = key._replace(area=SessionArea.ARCHIVE)
        return FiledPlace(self._index.session_for(key, origin, only_folder), key.area)

    def _is_archived(self, project: str, label: str) -> bool:
        """Tell whether any archive folder of a project has something of a session's name."""
        try:
            descriptor = os.open(safe_part(project), _FOLDER_FLAGS, dir_fd=self._archive_fd)
            try:
                with os.scandir(descriptor) as entries:
                    names = [entry.name for entry in entries if entry.name.startswith("arc")]
                return any(_is_there(f"{name}/{safe_part(label)}", descriptor) for name in names)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise out_of_resources(error) from error

    def _new_folder(self, project: str | None, label: str, at: datetime) -> tuple[str, ...]:
        """Name a session folder under a time stamp of its own (XNAT 9.1)."""
        for milliseconds in range(_TIMESTAMP_TRIES):
            stamp = timestamp(at + timedelta(milliseconds=milliseconds))
            folder = session_folder(project, stamp, label)
            try:
                os.stat("/".join(folder[:-1]), dir_fd=self._prearchive_fd)
            except FileNotFoundError:
                return folder
            except OSError as error:
                raise out_of_resources(error) from error
        raise OutOfResources("no free session folder name")


def _is_there(name: str, folder_fd: int) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        return True
    return False


class DuplicateFinder:
    """Looks for objects that the engine has already; for all threads."""

    def __init__(self, anonymizer: Anonymizer, durability: Durability) -> None:
        self._anonymizer = anonymizer
        self._durability = durability

    def same(
        self,
        incoming: IncomingObject,
        identity: Identity,
        receiver_policy: ReceiverPolicy,
        copies: tuple[Copy, ...],
    ) -> Copy | None:
        """Return the copy that holds the data set of an object, flushed as if it were stored now.

        Raises:
            OutOfResources: if the storage fails.
        """
        source, part = incoming.arrival.source, incoming.part
        same = self._holds(part, incoming.body_offset, copies, source)
        return same or self._same_after_script(incoming, identity, receiver_policy, copies)

    def _same_after_script(
        self,
        incoming: IncomingObject,
        identity: Identity,
        receiver_policy: ReceiverPolicy,
        copies: tuple[Copy, ...],
    ) -> Copy | None:
        """Compare what the project's script has made of an object with what it makes of it now."""
        step = receiver_policy.project_steps.get(identity.project.value or "")
        edited = [copy for copy in copies if copy.project_script is ProjectScript.DONE]
        if step is None or not edited or incoming.project_script is not ProjectScript.DUE:
            return None
        source = incoming.arrival.source
        try:
            with self._anonymizer.edit(incoming.part, (step,), identity.labels, source) as part:
                return self._holds(part, body_offset(part.fd) or 0, edited, source)
        except (ProcessingFailed, ObjectFiltered):
            return None  # that is decided when its session is archived

    def _holds(
        self, part: PartFile, begin: int, copies: Iterable[Copy], source: AssociationContext
    ) -> Copy | None:
        for copy in copies:
            *parts, name = *copy.folder.split("/"), *copy.file.split("/")
            folders = source.folders[copy.area]
            if is_stored(part, folders, tuple(parts), name, self._durability, body_offset=begin):
                return copy
        return None
