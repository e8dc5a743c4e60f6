"""Finds the file of the self-test's object, and removes it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.dicom.part10 import open_sendable
from engine.errors import NotFound, SessionError, UnreadableObject
from engine.host.wakeup import notify
from engine.index.operations import OperationKind, Request
from engine.index.reader import IndexFile
from engine.model.identity import UNASSIGNED
from engine.model.processing import is_test_object
from engine.model.session import ObjectState, SessionArea, SessionStatus
from engine.sessions.ledger import SessionRepository
from engine.sessions.service import areas_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.host.clock import Clock
    from engine.index.arrivals import Arrivals, ObjectPlace
    from engine.model.session import Session
    from engine.settings import EngineSettings


class SelfTestStep(StrEnum):
    """A step of the self-test, in the order of the way of an object."""

    ENGINE = "engine"
    RECEIVER = "receiver"
    WHITELIST = "whitelist"
    STRANGER = "stranger"
    TLS = "TLS"
    ASSOCIATION = "association"
    CONTEXTS = "contexts"
    ECHO = "C-ECHO"
    STORE = "C-STORE"
    ROUTE = "route"
    DISK = "disk"
    AGAIN = "sent again"
    PREVIEW = "preview"
    XNAT = "XNAT"
    COMMITMENT = "commitment"
    REMOVAL = "removal"


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step."""

    step: SelfTestStep
    is_good: bool
    detail: str
    remedy: str = ""
    exit_code: int = 0
    """The exit code of a command whose test ends here; 0 for success."""


ROW_SECONDS = 10.0
"""How long the object's row may take; rows are written in batches."""
REMOVAL_SECONDS = 30.0
"""How long the engine may take to delete a session."""
SENT = 2
"""How often the object is sent; a script may make other content of it each time."""
_LOOK_SECONDS = 0.05
_FAILED = 1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FiledObject:
    """Where the object is."""

    place: ObjectPlace
    session: Session
    warning: str


def find_filed(
    settings: EngineSettings, arrivals: Arrivals, before: int, uid: str, clock: Clock
) -> FiledObject | StepResult:
    """Wait for the object's row; return the filed object, or the failed step."""
    row = wait_for(lambda: arrivals.first_of(uid, before), ROW_SECONDS)
    if row is None:
        detail = f"the index has no row of the object after {ROW_SECONDS:g} s"
        return StepResult(
            SelfTestStep.ROUTE, False, detail, "see the engine's log and the disk", _FAILED
        )
    sequence, state, reason = row
    place = arrivals.place(sequence) if state == ObjectState.STORED else None
    if place is None:
        detail = f"the object is {state}, not stored: {reason}"
        remedy = "that is a filter, script or processor of the site; the way up to there is good"
        return StepResult(SelfTestStep.ROUTE, False, detail, remedy, _FAILED)
    with IndexFile(settings.index_file) as index:
        session = SessionRepository(index, clock).session(place.session)
    return FiledObject(place, session, reason)


def route(found: FiledObject) -> StepResult:
    """Return the step that names the session; most sites' rules make it Unassigned."""
    session = found.session
    names = [
        f"project {session.project or UNASSIGNED}",
        f"subject {session.subject}",
        f"session {session.label}",
    ]
    warning = f" ({found.warning})" if found.warning else ""
    return StepResult(
        SelfTestStep.ROUTE, True, f"{', '.join(names)}, in the {session.area}{warning}"
    )


def on_disk(settings: EngineSettings, found: FiledObject, content: bytes) -> StepResult:
    """Compare the stored file with the object that was sent."""
    place = found.place
    path = areas_of(settings).path(place.area, str(place.folder)) / place.file
    try:
        with open_sendable(path) as sendable:
            # The data set only: the stored file has a file meta of its own.
            same = content.endswith(b"".join(sendable.pieces()))
            size = sendable.size_bytes
    except (OSError, UnreadableObject) as error:
        return StepResult(
            SelfTestStep.DISK, False, f"the file can't be read: {error}", "see the disk", _FAILED
        )
    usage = shutil.disk_usage(settings.data_dir)
    how = "as it was sent" if same else "changed by script or processor"
    free = f"{usage.free / 1e9:.1f} GB free"
    return StepResult(
        SelfTestStep.DISK, True, f"the data set of {size:,} bytes is there {how}; {free}"
    )


def remove(settings: EngineSettings, found: FiledObject, by: str, clock: Clock) -> StepResult:
    """Have the engine delete the object's session, then remove it from the trash at once."""
    session = found.session
    try:
        with IndexFile(settings.index_file) as index:
            ledger = SessionRepository(index, clock)
            # Rules or processors may have put the object into a session of others, which stays.
            if not is_test_object(session.study_instance_uid) or session.objects > SENT:
                return _left(session, "it is not the object's own")
            ledger.ask(session.id, Request(OperationKind.DELETE, f"selftest as {by}"))
            notify(settings.wakeup_file)
            trashed = wait_for(lambda: _in_trash(ledger, session.id), REMOVAL_SECONDS)
            if trashed is None:
                return _left(session, f"the engine has not deleted it in {REMOVAL_SECONDS:g} s")
            entry = Path(trashed.folder).parts[0]
            shutil.rmtree(areas_of(settings).trash / entry, ignore_errors=True)
            ledger.forget(session.id)
    except (SessionError, NotFound) as error:
        return _left(session, error.detail)
    return StepResult(
        SelfTestStep.REMOVAL, True, "object and session are gone; the history keeps its row"
    )


def _left(session: Session, why: str) -> StepResult:
    remedy = f"remove it with: sessions delete {session.id}"
    return StepResult(
        SelfTestStep.REMOVAL, False, f"session {session.id} stays: {why}", remedy, _FAILED
    )


def _in_trash(ledger: SessionRepository, number: int) -> Session | None:
    session = ledger.session(number)
    done = session.status is SessionStatus.DELETED and session.area is SessionArea.TRASH
    return session if done else None


def wait_for(look: Callable[[], _T | None], seconds: float) -> _T | None:
    """Poll for a result, as another process can't notify this one; None if there is none."""
    until = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return found
