"""Prearchive or archive: where the session of an object is."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import OutOfResources
from engine.index.operations import OperationKind, Plan, Request
from engine.index.store import SessionIndex, SessionKey, SessionOrigin, SessionPlace
from engine.intake.filing import Filing
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.ledger import SessionRepository
from tests.fakes import FixedClock, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
DIRECT = make_receiver(1, direct_archive=True)
ORIGIN = SessionOrigin("S1", None, "XNAT:8104", "CT", NOW)
KEY = SessionKey("NEURO-01", "1.2.3", "E1")


class Desk:
    """A filing with its index and trees."""

    def __init__(self, root: Path) -> None:
        self.archive = root / "archive"
        for name in ("prearchive", "archive"):
            (root / name).mkdir()
        self.fds = [os.open(root / name, os.O_RDONLY) for name in ("prearchive", "archive")]
        self.current = "arc001"
        self.index = SessionIndex(root / "index.sqlite", durable=False)
        self.filing = Filing(self.index, self.fds[0], self.fds[1], lambda _: self.current)

    def file(self, receiver: Any = DIRECT, key: SessionKey = KEY) -> SessionPlace:
        known = self.index.place_of(
            key._replace(area=SessionArea.ARCHIVE) if receiver.direct_archive else key
        )
        filed = self.filing.file(key, ORIGIN, directly=receiver.direct_archive)
        assert known in {None, filed}
        return filed


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.index.close()
    for fd in desk.fds:
        os.close(fd)


def test_direct_objects_share_one_session_in_the_archive(desk: Desk) -> None:
    first, second = desk.file(), desk.file()
    assert first.folder == ("NEURO-01", "arc001", "E1")
    assert (first.area, first.id, second.id) == ("archive", 1, 1)
    (session,) = desk.index.sessions()
    assert (session.area, session.status) == (SessionArea.ARCHIVE, SessionStatus.RECEIVING)


def test_what_another_archive_folder_has_is_in_the_way_too(desk: Desk) -> None:
    (desk.archive / "NEURO-01" / "arc001" / "E1").mkdir(parents=True)
    desk.current = "arc002"
    assert not desk.filing.archives_directly(DIRECT, KEY)
    assert desk.file().area == "prearchive"
    other = KEY._replace(label="E2")
    assert desk.filing.archives_directly(DIRECT, other)
    assert desk.file(key=other).folder == ("NEURO-01", "arc002", "E2")
    assert desk.filing.archives_directly(DIRECT, other)


def test_a_link_that_leads_nowhere_is_in_the_way_like_any_other(desk: Desk) -> None:
    (desk.archive / "NEURO-01" / "arc001").mkdir(parents=True)
    (desk.archive / "NEURO-01" / "arc001" / "E1").symlink_to("nowhere")
    assert not desk.filing.archives_directly(DIRECT, KEY)


def test_without_direct_archive_the_same_study_has_a_session_of_its_own(desk: Desk) -> None:
    desk.file()
    other = desk.file(make_receiver(1))
    assert (other.area, other.id) == ("prearchive", 2)


def test_without_a_project_an_object_waits_unassigned(desk: Desk) -> None:
    filed = desk.file(key=KEY._replace(project=None))
    assert (filed.area, len(filed.folder)) == ("prearchive", 2)


def test_what_is_in_the_archive_already_sends_an_object_to_the_prearchive(desk: Desk) -> None:
    (desk.archive / "NEURO-01/arc001/E1").mkdir(parents=True)
    assert desk.file().area == "prearchive"


def test_another_study_that_is_being_archived_under_the_label_does_so_too(desk: Desk) -> None:
    """Nothing of it is on the disk yet."""
    desk.file()
    other = desk.file(key=KEY._replace(study_instance_uid="1.2.4"))
    assert (other.area, other.id) == ("prearchive", 2)


def test_a_session_on_its_way_into_the_archive_is_in_the_way_before_it_is_there(desk: Desk) -> None:
    moving = desk.file(make_receiver(1), KEY._replace(study_instance_uid="1.2.4"))
    ledger = SessionRepository(desk.index, FixedClock())
    ledger.change(moving.id, SessionStatus.BUILDING)
    ledger.end_build(moving.id, (SessionStatus.READY, ""))
    request = Request(OperationKind.ARCHIVE, "admin")
    ledger.ask(moving.id, request)
    plan = Plan(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", SessionStatus.ARCHIVED, "NEURO-01")
    ledger.begin(moving.id, request, plan)
    assert desk.file().area == "prearchive"


@pytest.mark.parametrize("direct", [True, False])
def test_a_tree_of_another_user_is_a_failure_of_the_storage(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    def deny(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("engine.intake.filing.os.open" if direct else "os.stat", deny)
    with pytest.raises(OutOfResources, match=r"no permission .* dicomdock check"):
        desk.file(DIRECT if direct else make_receiver(1))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", ["file", "link", "FIFO"])
def test_what_stands_in_the_place_of_a_project_is_a_failure_of_the_storage(
    desk: Desk, what: str
) -> None:
    if what == "file":
        (desk.archive / "NEURO-01").touch()
    elif what == "FIFO":
        os.mkfifo(desk.archive / "NEURO-01")
    else:
        (desk.archive / "NEURO-01").symlink_to("/etc")
    with pytest.raises(OutOfResources):
        desk.filing.archives_directly(DIRECT, KEY)


def test_a_label_in_the_archive_is_as_safe_as_one_in_the_prearchive(desk: Desk) -> None:
    filed = desk.file(key=KEY._replace(label="CON"))
    assert filed.folder[2].startswith("h-")
