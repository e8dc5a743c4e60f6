"""Objects are sent over several associations, whatever becomes of some of these."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.dimse.commands import Response
from engine.errors import AssociationBroken, AssociationRefused, ContextRefused, PeerFull
from engine.importing import outcomes, sender
from engine.importing.found import Outcome
from engine.importing.outcomes import Outcomes
from engine.importing.sender import Sender
from engine.importing.sources import HELD_BYTES, Sources
from engine.index.arrivals import RecordedOutcome
from tests import dicom
from tests.engine.importing.files import dicom_file, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from engine.dimse.acse import Context
    from engine.importing.outcomes import Result
    from engine.index.arrivals import Arrivals


class Dock:
    """Takes associations and their objects as an engine does, and fails where a test wants it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: list[RecordedOutcome] = []
        self.calls = 0
        self.received: list[str] = []
        self.proposed: list[int] = []
        self.most_open = 100
        self.open = 0
        self.breaks: Counter[str] = Counter()
        """How often an object breaks its association."""
        self.status: Callable[[str], int] = lambda _: 0
        self.state = "stored"
        self.has_rows = True

    def call(self, contexts: Sequence[Context]) -> Any:
        with self.lock:
            self.calls += 1
            if self.open >= self.most_open:
                raise AssociationRefused(2, 3, 2, "too many", "try again later")
            self.open += 1
            self.proposed.append(len(contexts))
            return Association(self, f"127.0.0.1:{self.calls}", frozenset(contexts))

    # As the index's reader.

    def newest(self) -> int:
        return 0

    def outcomes_after(self, sequence: int, limit: int) -> tuple[RecordedOutcome, ...]:
        with self.lock:
            return tuple(self.rows[sequence : sequence + limit]) if self.has_rows else ()


class Association(AbstractContextManager["Association"]):
    def __init__(self, dock: Dock, address: str, contexts: frozenset[Context]) -> None:
        self.dock, self.address, self.contexts = dock, address, contexts
        self.is_open = True

    def __exit__(self, *_: object) -> None:
        with self.dock.lock:
            self.dock.open -= 1

    def is_quiet(self) -> bool:
        return self.is_open

    def store(
        self, context: Context, uid: str, pieces: Iterable[memoryview], size: int
    ) -> Response:
        assert context in self.contexts
        if context[0] == "1.2.3.99":
            raise ContextRefused("not accepted", "")
        assert sum(map(len, pieces)) == size
        with self.dock.lock:
            if self.dock.breaks[uid]:
                self.dock.breaks[uid] -= 1
                self.is_open = False
                raise AssociationBroken("the peer aborted", "")
            self.dock.received.append(uid)
            status = self.dock.status(uid)
            row = (len(self.dock.rows) + 1, self.address, uid, self.dock.state, status, "", 7)
            self.dock.rows.append(RecordedOutcome(*row))
        return Response(0x8001, 1, status, "no room" if status else "")


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_POLL_SECONDS", 0.002)
    monkeypatch.setattr(sender, "_BETWEEN_TRIES_SECONDS", 0.002)


@pytest.fixture
def dock() -> Dock:
    return Dock()


def send(dock: Dock, *paths: Path, jobs: int = 3) -> dict[str, Result]:
    own = Sender(dock.call, Outcomes(cast("Arrivals", dock)), jobs)
    return {result.sop_instance_uid: result for result in own.run(Sources(paths).find())}


def study(folder: Path, count: int = 20) -> Path:
    for number in range(count):
        (folder / f"{number:02}").write_bytes(dicom_file(f"1.2.{number}"))
    return folder


def test_each_object_is_sent_once_and_has_the_outcome_of_its_row(
    dock: Dock, tmp_path: Path
) -> None:
    dock.state = "duplicate"
    found = send(dock, study(tmp_path))
    assert sorted(dock.received) == sorted(found) == sorted(f"1.2.{n}" for n in range(20))
    assert {(r.outcome, r.status, r.session) for r in found.values()} == {(Outcome.DUPLICATE, 0, 7)}
    assert dock.open == 0


def test_an_association_that_breaks_costs_nothing_unless_the_object_is_to_blame(
    dock: Dock, tmp_path: Path
) -> None:
    dock.breaks.update({"1.2.3": 1, "1.2.5": 99})
    found = send(dock, study(tmp_path))
    assert found.pop("1.2.5").reason == "the peer aborted"
    assert {result.outcome for result in found.values()} == {Outcome.STORED}
    assert len(found) == 19
    assert dock.breaks["1.2.5"] == 96


def test_a_large_member_is_sent_while_it_is_read_and_can_be_sent_once_only(
    dock: Dock, tmp_path: Path
) -> None:
    large = bytes(range(256)) * (HELD_BYTES // 256)
    members = {str(n): dicom_file(f"1.2.{n}", pixels=large if n % 2 else None) for n in range(6)}
    dock.breaks["1.2.3"] = 1
    found = send(dock, write_zip(tmp_path / "a.zip", members))
    assert found.pop("1.2.3").outcome is Outcome.FAILED
    assert {result.outcome for result in found.values()} == {Outcome.STORED}
    assert sorted(found) == ["1.2.0", "1.2.1", "1.2.2", "1.2.4", "1.2.5"]


def test_no_more_associations_than_a_limit_allows_are_waited_for(
    dock: Dock, tmp_path: Path
) -> None:
    dock.most_open = 1
    assert len(send(dock, study(tmp_path))) == 20


def test_a_limit_that_others_have_reached_ends_it_after_a_while(dock: Dock, tmp_path: Path) -> None:
    dock.most_open = 0
    with pytest.raises(AssociationRefused, match="too many"):
        send(dock, study(tmp_path), jobs=1)
    assert dock.calls == 10


def test_more_classes_than_an_association_has_contexts_are_sent(dock: Dock, tmp_path: Path) -> None:
    syntax = dicom.EXPLICIT_VR_LITTLE_ENDIAN
    for number in range(140):
        sop_class = f"1.2.3.{number}"
        content = dicom_file(f"1.2.{number}", syntax, sop_class)
        (tmp_path / f"{number:03}").write_bytes(content)
    found = send(dock, tmp_path, jobs=1)
    assert found.pop("1.2.99").outcome is Outcome.REFUSED
    assert len(dock.received) == len(found) == 139
    assert max(dock.proposed) == 128


def test_a_full_receiver_ends_it_and_what_was_answered_is_reported(
    dock: Dock, tmp_path: Path
) -> None:
    dock.status = lambda uid: 0xA700 if uid == "1.2.4" else 0
    results: list[Result] = []
    own = Sender(dock.call, Outcomes(cast("Arrivals", dock)), 1)
    with pytest.raises(PeerFull, match="no room"):
        # One by one: `extend` keeps nothing of an iterator that fails.
        for result in own.run(Sources((study(tmp_path),)).find()):
            results.append(result)  # noqa: PERF402
    assert [result.status for result in results] == [0, 0, 0, 0, 0xA700]


def test_without_rows_the_answer_tells(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATEST_ROW_SECONDS", 0.01)
    dock.has_rows = False
    dock.status = lambda uid: 0xC000 if uid == "1.2.1" else 0
    found = send(dock, study(tmp_path, 3))
    assert [found[f"1.2.{n}"].outcome for n in range(3)] == ["stored", "failed", "stored"]
    assert found["1.2.1"].reason == "no room"


def test_a_defect_ends_it(dock: Dock, tmp_path: Path) -> None:
    def status(uid: str) -> int:
        raise ZeroDivisionError

    dock.status = status
    with pytest.raises(ZeroDivisionError):
        send(dock, study(tmp_path))
    assert dock.open == 0
