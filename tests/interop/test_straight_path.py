"""A reader who follows an object from its bytes to its answer visits few files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import engine
from tests.dicom import image
from tests.peers.dock import Dock

if TYPE_CHECKING:
    from types import FrameType

    from tests.peers.peer import Peer

MOST_FILES = 20
ROOT = Path(engine.__file__).parent


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
