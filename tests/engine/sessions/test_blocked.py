"""Something stands in the way of a session: it never waits for ever, and there is a way out."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.events.sessions import SessionFailed
from engine.index.operations import OperationKind
from engine.model.session import SessionAction, SessionArea, SessionStatus, possible_actions
from engine.sessions import runner
from engine.sessions.folders import transfer
from tests.engine.index.depot import Depot, depot_in
from tests.engine.sessions.test_archive import archived, ask, ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, "no")

    return fail


def unreadable(depot: Depot) -> int:
    """Receive a session directly that can't be built."""
    session = depot.receive(direct=True)
    depot.index.flush()
    (file,) = depot.all_objects()
    file.write_bytes(file.read_bytes()[:200])
    return session


def rebuild(depot: Depot, session: int) -> None:
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()


@pytest.mark.parametrize("blocked", ["target", "own folder"])
def test_a_session_that_can_not_fall_back_is_an_error_until_somebody_clears_the_way(
    depot: Depot, blocked: str
) -> None:
    session = unreadable(depot)
    own = depot.areas.folder(depot.session(session))
    if blocked == "target":
        block = depot.areas.prearchive / "NEURO-01"
        block.touch()
    else:
        own.rename(own.with_name("aside"))
        block = own
        block.symlink_to(own.with_name("aside"))
    depot.fall_silent()
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.ARCHIVE)
    assert row.reason.startswith("Attempt to direct-archive failed: ")
    assert "(clear it, then rebuild the session)" in row.reason
    assert f"remove the {'file' if blocked == 'target' else 'link'} " in row.reason
    told = row.reason.partition("; remove the ")[0]  # a path may tell who the patient is
    assert depot.told(SessionFailed) == [f"session {session} in NEURO-01 failed: {told}"]
    assert depot.ledger.operations() == ()
    assert SessionAction.REBUILD in possible_actions(row)
    block.unlink()
    if blocked != "target":
        own.with_name("aside").rename(own)
    rebuild(depot, session)
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)


def test_a_log_that_can_not_be_written_holds_up_no_session(depot: Depot) -> None:
    session = unreadable(depot)
    (depot.areas.folder(depot.session(session)) / "logs").touch()
    depot.fall_silent()
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
    assert row.reason.startswith("Attempt to direct-archive failed: an object")


@pytest.mark.parametrize("kind", [ARCHIVE, OperationKind.DELETE])
def test_a_session_whose_folder_is_gone_before_it_moves_is_an_error(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, kind: OperationKind
) -> None:
    session = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "move_folder", failing(errno.ENOSPC))
        ask(depot, session, kind)
    folder = depot.areas.folder(depot.session(session))
    shutil.rmtree(folder)
    folder.symlink_to("nowhere")
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.ERROR
    assert depot.ledger.operations() == ()


def test_a_folder_with_the_name_of_the_document_makes_an_error_before_anything_moves(
    depot: Depot,
) -> None:
    session = ready(depot)
    block = depot.areas.archive / "NEURO-01/arc001/E1.xml"
    block.mkdir(parents=True)
    ask(depot, session, ARCHIVE)
    row = depot.session(session)
    assert (row.status, row.area) == (S.ERROR, SessionArea.PREARCHIVE)
    assert row.reason.endswith("a folder has the name of its document")
    block.rmdir()
    rebuild(depot, session)
    ask(depot, session, ARCHIVE)
    assert depot.session(session).status is S.ARCHIVED


def test_a_merge_whose_documents_can_not_be_written_is_complete(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, second = archived(depot), ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(runner, "build", failing(errno.EISDIR))
        ask(depot, second, ARCHIVE, merge=True)
    (row,) = depot.index.sessions()
    assert (row.id, row.status, row.objects) == (into, S.ARCHIVED, 2)
    assert row.reason == "merged, but its documents are as before: the storage failed: no"
    assert depot.ledger.operations() == ()


def test_archiving_that_waits_before_a_link_can_be_cancelled(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "move_folder", failing(errno.ENOSPC))
        ask(depot, session, ARCHIVE)
    (tmp_path / "outside").mkdir()
    (depot.areas.archive / "NEURO-01").symlink_to(tmp_path / "outside")
    depot.ledger.cancel(session)
    depot.lifecycle.run_due()
    assert depot.session(session).status is S.READY
