"""Finds objects that arrive again after their session was built or archived.

`engine.storage.incoming` finds an object under the name that it gets on arrival. One that has been
moved from there is found by its SOP instance in the index, and compared with its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dicom.file_meta import body_offset
from engine.errors import ProcessingFailed
from engine.model.session import ProjectScript
from engine.storage.incoming import is_stored
from engine.storage.placement import ObjectFiltered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.index.store import Copy
    from engine.intake.object import AssociationContext, IncomingObject
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.model.identity import Identity
    from engine.settings import Durability
    from engine.storage.incoming import PartFile
    from engine.workers.scripts import Anonymizer


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
