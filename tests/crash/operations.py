"""The operations whose calls are made to fail, and how whoever asked for one does it again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.model.project import Project
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from tests.crash.dock import A_DAY, BEFORE_ARCHIVE, ON_RECEIPT, make
from tests.crash.scenarios import SITE, processors, state, store_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.session import Session
    from tests.crash.dock import Dock, Sent

TRIES = 8
S = SessionStatus
CARDIO: dict[str, Any] = {"StudyDescription": "CARDIO", "PatientID": "C1"}
DIRECT: dict[str, Any] = {"PatientID": "D1", "StudyInstanceUID": "1.3"}
SCRUBBED: dict[str, Any] = {"StudyDescription": "SCRUBBED", "PatientID": "S1"}
SCRUBBED |= {"PatientName": BEFORE_ARCHIVE}


@dataclass(frozen=True)
class Operation:
    """Something that an engine does."""

    prepare: Callable[[Dock], None]
    act: Callable[[Dock], None]
    """Is what fails."""
    again: Callable[[Dock], None]
    """Does it again until it is done; raises `NotDone` if that can't be."""


class NotDone(Exception):
    """An operation can't be completed although the storage works again."""


def send(*objects: Sent) -> Callable[[Dock], None]:
    """Return what sends objects one after the other, as a sender that gives up none."""

    def sending(dock: Dock) -> None:
        for sent in objects:
            dock.store(sent)

    return sending


def resend(*objects: Sent) -> Callable[[Dock], None]:
    """Return what sends objects until each was answered with success."""

    def sending(dock: Dock) -> None:
        for sent in objects:
            if not any(dock.store(sent).status == 0 for _ in range(TRIES)):
                raise NotDone(f"object {sent.sop_instance_uid} is never stored")

    return sending


def storing(*before: Sent, then: tuple[Sent, ...]) -> Operation:
    return Operation(lambda dock: store_all(dock, *before), send(*then), resend(*then))


def replacing(dock: Dock) -> None:
    dock.replace(make(1, "LATEST"), make(1, "LATEST", content=1))


def nothing(_dock: Dock) -> None:
    """Do nothing."""


def bring(
    dock: Dock, label: str, ask: Callable[[Session], object], wanted: Callable[[Session], bool]
) -> None:
    """Do with a session what a person does until it is as wanted."""
    session = dock.session(label)
    for _ in range(TRIES):
        if wanted(session):
            return
        if session.status in {S.ERROR, S.CONFLICT}:
            dock.engine.sessions.rebuild(session.id, "test")
        elif session.status in {S.READY, S.ARCHIVED, S.DELETED}:
            ask(session)
        if session.status is S.RECEIVING:
            dock.fall_silent()
        else:
            dock.pass_time(10)
            dock.look()
        session = dock.session(label)
    raise NotDone(f"session {label} stays {session.status}: {session.reason}")


def archived(dock: Dock) -> None:
    def ask(session: Session) -> None:
        dock.engine.sessions.archive(session.id, "test", merge=True, overwrite=True)

    bring(dock, "C1", ask, lambda session: session.area is SessionArea.ARCHIVE)


def ask_and_look(ask: Callable[[Dock], object]) -> Callable[[Dock], None]:
    def asking(dock: Dock) -> None:
        ask(dock)
        dock.look()

    return asking


def built(*objects: Sent) -> Callable[[Dock], None]:
    """Return what stores objects and lets their sessions be built."""

    def building(dock: Dock) -> None:
        store_all(dock, *objects)
        dock.fall_silent()

    return building


def silent(dock: Dock) -> None:
    dock.fall_silent()


def ready(label: str) -> Callable[[Dock], None]:
    def bringing(dock: Dock) -> None:
        bring(dock, label, nothing_with, lambda s: s.status in {S.READY, S.ARCHIVED})

    return bringing


def nothing_with(_session: Session) -> None:
    """Ask for nothing."""


def deleted(dock: Dock) -> None:
    bring(
        dock,
        "E1",
        lambda session: dock.engine.sessions.delete(session.id, "test"),
        lambda session: session.status is S.DELETED,
    )


def moved(dock: Dock) -> None:
    bring(
        dock,
        "E1",
        lambda session: dock.engine.sessions.move(session.id, "CARDIO", "test"),
        lambda session: session.project == "CARDIO" and session.status is S.ARCHIVED,
    )


def reviewed(dock: Dock) -> None:
    """Rename a session, archive it, and undo both."""
    sessions, number = dock.engine.sessions, dock.session("E1").id
    sessions.edit(number, "test", label="E2")
    dock.look()
    sessions.archive(number, "test")
    dock.look()
    for action in sessions.past_actions():
        sessions.undo(action.number, "test")
        dock.look()


def review_again(dock: Dock) -> None:
    """Go on where it stopped, until the session is under its own name again."""
    for _ in range(TRIES):
        dock.pass_time(10)
        dock.look()
        (session,) = dock.engine.sessions.list(SessionQuery()).sessions
        open_actions = [one for one in dock.engine.sessions.past_actions() if not one.why_not]
        if session.status in {S.ERROR, S.CONFLICT}:
            dock.engine.sessions.rebuild(session.id, "test")
        elif session.status is S.RECEIVING:
            dock.fall_silent()
        elif open_actions:
            dock.engine.sessions.undo(open_actions[0].number, "test")
        elif session.label == "E1" and session.status is S.READY:
            return
    raise NotDone("the session does not come back to its own name")


def restored(dock: Dock) -> None:
    bring(
        dock,
        "E1",
        lambda session: (
            session.status is S.DELETED and dock.engine.sessions.restore(session.id, "test")
        ),
        lambda session: session.status is S.READY,
    )


def in_trash(dock: Dock) -> None:
    built(make(1), make(2, sr=True))(dock)
    dock.engine.sessions.delete(dock.session("E1").id, "test")
    dock.look()


def old_in_trash(dock: Dock) -> None:
    in_trash(dock)
    for number in (1, 2):
        dock.note(f"may-go {make(number, sr=number == 2).token.hex()}")


def purge(dock: Dock) -> None:
    for _ in range(3):
        dock.pass_time(40 * A_DAY)
        dock.look()


def purged(dock: Dock) -> None:
    purge(dock)
    engine: Any = dock.engine
    if engine._index.sessions() or list((dock.data / "trash").iterdir()):
        raise NotDone("the trash is not purged")


def save(dock: Dock) -> None:
    dock.engine.save_project(Project("LATER"), "test")
    dock.announce()


def saved(dock: Dock) -> None:
    """Save it again, unless the file says it already: then the flush of its folder has failed."""
    dock.engine.reload()
    if "LATER" not in {project.id for project in dock.engine.projects()}:
        save(dock)


def edit_and_undo(dock: Dock) -> None:
    site = replace(SITE, sessions=replace(SITE.sessions, trash_days=31))
    dock.engine.set_site(site, "test")
    dock.announce()
    dock.engine.undo("test")
    dock.announce()


def keep_state(dock: Dock) -> None:
    for _ in range(TRIES):
        with suppress(EngineError):
            return state(dock)
    raise NotDone("the state database can't be written")


def merge_later(dock: Dock) -> None:
    built(make(1, **CARDIO), make(2, **CARDIO))(dock)
    store_all(dock, make(1, content=1, **CARDIO), make(3, **CARDIO))


def archive_later(dock: Dock) -> None:
    built(make(1), make(2, sr=True))(dock)
    dock.engine.sessions.archive(dock.session("E1").id, "test")


OPERATIONS = {
    "store": storing(then=(make(1), make(2), make(3, SeriesNumber="5", SeriesInstanceUID="1.5"))),
    "store more": storing(make(1), then=(make(2), make(1), make(1, content=1))),
    "store directly": storing(then=(make(1, "DIRECT", **DIRECT), make(2, "DIRECT", **DIRECT))),
    "replace": Operation(lambda dock: store_all(dock, make(1, "LATEST")), replacing, replacing),
    "anonymize": storing(then=(make(1, "SITE", PatientName=ON_RECEIPT),)),
    "build": Operation(
        lambda dock: store_all(dock, make(1), make(2, sr=True), make(3, SeriesInstanceUID="1.4")),
        silent,
        ready("E1"),
    ),
    "build directly": Operation(
        lambda dock: store_all(
            dock, make(1, "DIRECT", **DIRECT), make(2, "DIRECT", sr=True, **DIRECT)
        ),
        silent,
        ready("D1"),
    ),
    "archive": Operation(
        lambda dock: store_all(dock, make(1, **CARDIO), make(2, sr=True, **CARDIO)),
        silent,
        archived,
    ),
    "merge": Operation(
        merge_later,
        silent,
        archived,
    ),
    "archive with a script": Operation(
        lambda dock: store_all(dock, make(1, "SITE", **SCRUBBED)), silent, ready("S1")
    ),
    "move": Operation(
        built(make(1)),
        ask_and_look(
            lambda dock: dock.engine.sessions.move(dock.session("E1").id, "CARDIO", "test")
        ),
        moved,
    ),
    "review": Operation(built(make(1)), reviewed, review_again),
    "delete": Operation(
        built(make(1), make(2, sr=True)),
        ask_and_look(lambda dock: dock.engine.sessions.delete(dock.session("E1").id, "test")),
        deleted,
    ),
    "restore": Operation(
        in_trash,
        ask_and_look(lambda dock: dock.engine.sessions.restore(dock.session("E1").id, "test")),
        restored,
    ),
    "purge": Operation(old_in_trash, purge, purged),
    "save": Operation(nothing, save, saved),
    "undo": Operation(nothing, edit_and_undo, edit_and_undo),
    "keep state": Operation(processors, state, keep_state),
}
STARTS = {
    "start with one object": lambda dock: store_all(dock, make(1)),
    "start": lambda dock: store_all(dock, make(1), make(2)),
    "start and resume": archive_later,
}
