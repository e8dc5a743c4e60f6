"""Requests for sessions and their plans, as the index keeps them to complete them after a crash."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.model.session import SessionArea, SessionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping


AUTO_ARCHIVE = "auto-archive"
"""Who asked, if the header of an object or the project wants a session archived."""


class OperationKind(StrEnum):
    """The operations on a whole session."""

    ARCHIVE = "archive"
    MOVE = "move"
    DELETE = "delete"
    FALL_BACK = "fall back"
    """From the archive to the prearchive, after a direct archive failed (XNAT 9.7)."""
    RESTORE = "restore"
    """From the trash to the prearchive."""
    SEPARATE = "separate"
    """PET scans into a session of their own (XNAT 9.5)."""
    REMOVE_SCANS = "remove scans"
    """Some scans into the trash, as an entry of their own."""
    UNDO = "undo"
    """Back to where the session was before an action of a person."""


QUEUED_STATUS: Mapping[OperationKind, SessionStatus] = {
    OperationKind.ARCHIVE: SessionStatus.QUEUED_ARCHIVING,
    OperationKind.MOVE: SessionStatus.QUEUED_MOVING,
    OperationKind.DELETE: SessionStatus.QUEUED_DELETING,
    OperationKind.RESTORE: SessionStatus.QUEUED_MOVING,
    OperationKind.REMOVE_SCANS: SessionStatus.QUEUED_MOVING,
    OperationKind.UNDO: SessionStatus.QUEUED_MOVING,
}
WORKING_STATUS: Mapping[OperationKind, SessionStatus] = {
    OperationKind.ARCHIVE: SessionStatus.ARCHIVING,
    OperationKind.MOVE: SessionStatus.MOVING,
    OperationKind.DELETE: SessionStatus.DELETING,
    OperationKind.FALL_BACK: SessionStatus.MOVING,
    OperationKind.RESTORE: SessionStatus.MOVING,
    OperationKind.SEPARATE: SessionStatus.SEPARATING,
    OperationKind.REMOVE_SCANS: SessionStatus.SEPARATING,
    OperationKind.UNDO: SessionStatus.MOVING,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a person or a rule."""

    kind: OperationKind
    by: str
    """A login, or the name of the rule that asked."""
    merge: bool = False
    """For the archive: add to a session of that label."""
    overwrite: bool = False
    """For the archive: merge, and replace objects that are there already."""
    skip: bool = False
    """For the archive: merge, and skip objects that are there already, whatever they hold."""
    project: str = ""
    """For a move: where to; empty leaves the session in its project."""
    subject: str = ""
    """For a move: the new subject; empty leaves it."""
    label: str = ""
    """For a move: the new label of the session; empty leaves it."""
    scans: tuple[str, ...] = ()
    """For `REMOVE_SCANS`: their ids."""
    action: int = 0
    """For `UNDO`: the number of the action."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every single step of an operation, decided before the first one is made.

    A whole session is moved to `folder`; or, if it is merged into another, file by file.
    """

    area: SessionArea
    folder: str
    """Relative to the area."""
    status: SessionStatus
    """The status of the session afterwards."""
    project: str | None
    reason: str = ""
    into: int | None = None
    """The session that it is merged into, and whose folder `folder` is."""
    files: Mapping[str, str] = field(default_factory=dict)
    """For a merge: where each object is, and where it goes, relative to the sessions' folders."""
    replaced: tuple[str, ...] = ()
    """For a merge: objects of the other session that go to the trash before."""
    trash: str = ""
    """The folder in the trash for replaced objects."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """For a merge: objects that go to the trash, because the other session has them already.

    The value is the other session's file with the same data set; empty if it has other content."""
    edited: Mapping[str, int] = field(default_factory=dict)
    """Objects whose anonymized copies, by inode, take their places first (`staging`)."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """Objects, by inode, that are removed first."""
    leaves_rest: bool = False
    """For a merge: whether the objects that are not in `files` stay a session of their own."""
    subject: str | None = None
    """The session's subject afterwards, if it gets a `label`."""
    label: str = ""
    """The session's label afterwards; empty if labels stay."""
    reruns_script: bool = False
    """Whether objects that the project's script has changed are due for it again."""
    waits: bool = False
    """Whether the session waits for a person then, though its project archives by itself."""
    withdrawn: bool = False
    """The request was cancelled after it was begun: its steps are undone."""

    @property
    def anonymizes(self) -> bool:
        """Whether objects change before they move."""
        return bool(self.edited or self.rejected)

    @property
    def skipped_trash(self) -> str:
        """The folder in the trash for skipped objects."""
        return f"{self.trash.partition('/')[0]}/skipped" if self.trash else ""

    @property
    def trash_entries(self) -> tuple[str, ...]:
        """The folders of the trash that its steps go by."""
        folders = (self.trash, self.folder if self.area is SessionArea.TRASH else "")
        return tuple(folder.partition("/")[0] for folder in folders if folder)

    def to_json(self) -> str:
        """Return the form that `plan_from_json` reads."""
        return json.dumps(asdict(self))


def plan_from_json(text: str) -> Plan:
    """Return the plan that an index kept."""
    # JSON has no enums and no tuples.
    raw: dict[str, Any] = json.loads(text)
    raw["area"] = SessionArea(raw["area"])
    raw["status"] = SessionStatus(raw["status"])
    raw["replaced"] = tuple(raw["replaced"])
    return Plan(**raw)


@dataclass(frozen=True, slots=True)
class Operation:
    """A request as the index keeps it, with its plan once it was decided."""

    session: int
    request: Request
    previous: SessionStatus
    """The status of the session before, to which it returns if the request is cancelled."""
    plan: Plan | None
