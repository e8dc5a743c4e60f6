"""A reader who follows an object, a saved receiver or an archived session visits few files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import engine
from engine.model.peer import AETitle
from engine.model.session import SessionStatus
from tests.dicom import image
from tests.interop.test_sessions import Hospital, make_object
from tests.peers.dock import Dock
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.peers.peer import Peer

MOST_FILES = 20
MOST_FILES_OF_A_SAVE = 40
"""Of these, 14 check the values of the whole file, which is valid or not written."""
MOST_FILES_OF_AN_ARCHIVING = 43
"""Of these, 5 read the objects once more: what is archived must be readable. 1 asks whether the
rows of its objects were removed."""
ROOT = Path(engine.__file__).parent


@contextmanager
def visits() -> Iterator[set[str]]:
    """Collect the files of the engine that this thread calls into."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOT):
            files.add(str(file.relative_to(ROOT)))

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


class Visits:
    """The files of the engine that the loop's thread calls into until an answer goes out."""

    def __init__(self, dock: Dock) -> None:
        self._reactor = dock.engine._receivers._reactor
        self._is_answered = False
        self.files: set[str] = set()

    def note(self, frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event != "call" or self._is_answered or not file.is_relative_to(ROOT):
            return
        self.files.add(str(file.relative_to(ROOT)))
        self._is_answered = frame.f_code.co_name == "store_response"

    def of(self, peer: Peer, uid: str) -> set[str]:
        """Return what is visited for one more object of a series."""
        self.files, self._is_answered = set(), False
        assert self._reactor.call_and_wait(lambda: sys.setprofile(self.note), 20)
        store(peer, uid)
        assert self._reactor.call_and_wait(lambda: sys.setprofile(None), 20)
        return self.files


def store(peer: Peer, uid: str) -> None:
    peer.store(image(SOPInstanceUID=uid), uid).expect_status(0x0000)


def test_a_warm_c_store_visits_few_files_before_its_answer(tmp_path: Path) -> None:
    with Dock(tmp_path / "data") as dock:
        peer, visits = dock.associate(), Visits(dock)
        for number in range(5):
            store(peer, f"1.2.{number}")
        # Now and then an object finds that it is time for another look at the free space.
        visited = min((visits.of(peer, f"1.3.{number}") for number in range(5)), key=len)
        peer.release()
    assert "intake/pipeline.py" in visited
    assert len(visited) <= MOST_FILES, sorted(visited)


def test_a_saved_receiver_visits_few_files_until_it_is_in_force(tmp_path: Path) -> None:
    with Dock(tmp_path / "data") as dock:
        first = dock.engine.snapshot().receivers[0].receiver
        port = free_port()
        moved = replace(first, port=port)
        seen = dock.engine.save_receiver(moved, "anna", replacing=first)  # imports what it needs
        changed = replace(seen, ae_title=AETitle("CT1"), port=first.port)
        with visits() as visited:
            dock.engine.save_receiver(changed, "anna", replacing=seen)
        assert dock.engine._receivers.listening_on(first.port) == ("CT1",)
    assert {"config/store.py", "reception/listener.py"} <= visited
    assert len(visited) <= MOST_FILES_OF_A_SAVE, sorted(visited)


def test_a_saved_receiver_leaves_what_does_not_concern_it_alone(tmp_path: Path) -> None:
    with Dock(tmp_path / "data") as dock:
        receiver = dock.engine.snapshot().receivers[0].receiver
        with visits() as visited:
            dock.engine.save_receiver(replace(receiver, port=free_port()), "anna")
    elsewhere = ("processing/forward/", "processing/command/", "sessions/")
    assert not [file for file in visited if file.startswith(elsewhere)]


def test_archiving_a_session_visits_few_files_from_the_request_to_its_end(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path / "data")
    try:
        hospital.send(make_object("MANUAL"), make_object("MANUAL", PatientID="MR 8"))
        work = hospital.engine._session_service._lifecycle
        first, second = (session.id for session in hospital.fall_silent())
        hospital.engine.sessions.archive(first, "anna")
        work.run_requests()  # which imports what it needs
        with visits() as visited:
            hospital.engine.sessions.archive(second, "anna")
            work.run_requests()
        session = hospital.engine.sessions.settled(second).session
    finally:
        hospital.engine.stop()
    assert session is not None
    assert session.status is SessionStatus.ARCHIVED
    assert {"sessions/planner.py", "sessions/folders/transfer.py"} <= visited
    assert len(visited) <= MOST_FILES_OF_AN_ARCHIVING, sorted(visited)
