"""Which session an object joins, and in which tree: prearchive, or archive if it goes directly."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

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


# One per millisecond, so the time stamp of a folder is at most ten seconds late.
_TIMESTAMP_TRIES = 10_000
# The trees belong to us, but a link in them could have been put there: it is not followed.
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _NameTaken(Exception):
    """The archive already has something with the name of the new session (XNAT 9.7)."""


class Filing:
    """Finds sessions for objects; for all threads."""

    def __init__(
        self,
        index: SessionIndex,
        prearchive_fd: int,
        archive_fd: int,
        current: Callable[[str], str] = lambda _: FIRST_ARCHIVE_FOLDER,
    ) -> None:
        """Use an index and both trees; `current` names the archive folder of a project."""
        self._index = index
        self._current = current
        self._prearchive_fd = prearchive_fd
        self._archive_fd = archive_fd

    def archives_directly(self, receiver: Receiver, key: SessionKey) -> bool:
        """Tell whether an object would go into the archive: nothing there has its session's name.

        Raises:
            OutOfResources: if the archive can't be read.
        """
        # XNAT 9.7: direct archive needs a known project.
        if not receiver.direct_archive or key.project is None:
            return False
        # A session that receives already made the folder itself: that is no conflict.
        if self._index.is_open(key._replace(area=SessionArea.ARCHIVE)):
            return True
        return not (self._index.is_renamed(key) or self._is_archived(key.project, key.label))

    def file(self, key: SessionKey, origin: SessionOrigin, *, directly: bool) -> SessionPlace:
        """Find or create the session of an object and hold it.

        Args:
            key: project, study and label of the session.
            origin: the values of a new session's row.
            directly: whether it may go into the archive at once. Without a project, or if the
                name is taken there, it goes to the prearchive.

        Raises:
            OutOfResources: if the row can't be written, the trees can't be read, or no folder
                name is free.
        """
        # A study that a person has renamed goes by its names, in the prearchive.
        if directly and key.project is not None and not self._index.is_renamed(key):
            with suppress(_NameTaken):
                return self._directly(key, origin)
        # The archive has the session already: `Lifecycle` adds the new one to it when it is built,
        # or leaves that to a person.
        return self._index.session_for(
            key, origin, lambda at: self._new_folder(key.project, key.label, at)
        )

    def _directly(self, key: SessionKey, origin: SessionOrigin) -> SessionPlace:
        assert key.project is not None
        project, label = key.project, key.label
        # The index asks again if the name is taken by another session. A direct session has one
        # name only, for the archive is found by it.
        names = iter((archive_folder(project, label, self._current(project)),))

        def only_folder(_at: datetime) -> tuple[str, ...]:
            name = next(names, None)
            if name is None or self._is_archived(project, label):
                raise _NameTaken
            return name

        key = key._replace(area=SessionArea.ARCHIVE)
        return self._index.session_for(key, origin, only_folder)

    def _is_archived(self, project: str, label: str) -> bool:
        """Tell whether any archive folder of a project has an entry with a session's label."""
        try:
            descriptor = os.open(safe_part(project), _FOLDER_FLAGS, dir_fd=self._archive_fd)
            try:
                # Not only the current folder: the project may have archived the session before its
                # current archive folder was changed.
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
        # XNAT 9.1: each session has a time stamp folder of its own. Two sessions may begin in the
        # same millisecond; the later one gets the next.
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
        # A dangling link takes the name, too.
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        return True
    return False


class DuplicateFinder:
    """Finds stored copies of an arriving object; for all threads."""

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
        """Return the stored copy with the same data set, flushed as if it were stored now.

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
        """Compare stored copies with what the project's script makes of the object now."""
        step = receiver_policy.project_steps.get(identity.project.value or "")
        # The project's script has changed these copies, so the object as it came can't be compared
        # with them.
        edited = [copy for copy in copies if copy.project_script is ProjectScript.DONE]
        if step is None or not edited or incoming.project_script is not ProjectScript.DUE:
            return None
        source = incoming.arrival.source
        try:
            with self._anonymizer.edit(incoming.part, (step,), identity.labels, source) as part:
                return self._holds(part, body_offset(part.fd) or 0, edited, source)
        except (ProcessingFailed, ObjectFiltered):
            # Not an error of this object: its session runs the script again when it is archived.
            return None

    def _holds(
        self, part: PartFile, begin: int, copies: Iterable[Copy], source: AssociationContext
    ) -> Copy | None:
        for copy in copies:
            *parts, name = *copy.folder.split("/"), *copy.file.split("/")
            folders = source.folders[copy.area]
            if is_stored(part, folders, tuple(parts), name, self._durability, body_offset=begin):
                return copy
        return None
