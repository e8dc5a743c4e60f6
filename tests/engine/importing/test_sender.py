"""Objects are sent over several associations, whatever becomes of some of these."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.dimse.commands import N_EVENT_REPORT, NormalizedRequest, Response
from engine.dimse.commitment import CommitmentReport, decode_request, encode_report
from engine.dimse.contexts import COMMITMENT_CONTEXTS, IMPLICIT_LITTLE
from engine.dimse.requestor import ReportReceived
from engine.dimse.scu import call
from engine.errors import (
    AssociationBroken,
    AssociationRefused,
    ContextRefused,
    PeerError,
    PeerFull,
)
from engine.importing import outcomes, sender
from engine.importing.commitment import Commitment
from engine.importing.found import Outcome
from engine.importing.outcomes import Outcomes, key_if_done
from engine.importing.sender import Sender
from engine.importing.sources import HELD_BYTES, Sources
from engine.index.arrivals import RecordedOutcome
from engine.model.peer import Peer, PeerDeadlines
from tests import dicom
from tests.engine.importing.files import dicom_file, write_zip
from tests.peers.scp import Scp
from tests.running import LOOPBACK

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
        self.refusal: PeerError = AssociationRefused(2, 3, 2, "too many", "try again later")
        self.open = 0
        self.breaks: Counter[str] = Counter()
        """How often an object breaks its association."""
        self.status: Callable[[str], int] = lambda _: 0
        self.state = "stored"
        self.has_rows = True
        self.ends_after = 100
        """The number of objects after which associations end."""
        self.asked: list[list[str]] = []
        """The SOP instances of each request of storage commitment."""
        self.commits: Callable[[str], bool] = lambda _: True

    def call(self, contexts: Sequence[Context]) -> Any:
        with self.lock:
            self.calls += 1
            if self.open >= self.most_open:
                raise self.refusal
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
        self.reports: list[bytes] = []

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
            self.is_open = len(self.dock.received) < self.dock.ends_after
            status = self.dock.status(uid)
            row = (len(self.dock.rows) + 1, self.address, uid, self.dock.state, status, "", 7)
            self.dock.rows.append(RecordedOutcome(*row))
        return Response(0x8001, 1, status, "no room" if status else "")

    def ask_commitment(
        self, _field: int, _type_id: int, data_set: Callable[[str], bytes]
    ) -> Response:
        if COMMITMENT_CONTEXTS[0] not in self.contexts:
            raise ContextRefused("no storage commitment", "")
        if not self.is_open:
            raise AssociationBroken("the association has ended", "")
        request = decode_request(data_set(IMPLICIT_LITTLE), IMPLICIT_LITTLE)
        uids = [reference.sop_instance_uid for reference in request.references]
        with self.dock.lock:
            self.dock.asked.append(uids)
        kept = [one for one in request.references if self.dock.commits(one.sop_instance_uid)]
        failed = [(one, 0x0112) for one in request.references if one not in kept]
        report = CommitmentReport(request.transaction_uid, tuple(kept), tuple(failed))
        self.reports.append(encode_report(report, IMPLICIT_LITTLE))
        return Response(0x8130, 1, 0, "")

    def next_report(self, _seconds: float) -> ReportReceived | None:
        if not self.reports:
            return None
        request = NormalizedRequest(1, N_EVENT_REPORT, 1, "", "", 1)
        return ReportReceived(request, self.reports.pop(), IMPLICIT_LITTLE)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_POLL_SECONDS", 0.002)
    monkeypatch.setattr(sender, "_BETWEEN_TRIES_SECONDS", 0.002)


@pytest.fixture
def dock() -> Dock:
    return Dock()


def send(
    dock: Dock,
    *paths: Path,
    jobs: int = 3,
    is_ours: bool = True,
    commitment: Commitment | None = None,
) -> dict[str, Result]:
    rows = Outcomes(cast("Arrivals", dock)) if is_ours else None
    own = Sender(dock.call, rows, jobs, commitment)
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
    assert sorted(str(result.status) for result in results) == ["0", "0", "0", "0", str(0xA700)]


def test_without_rows_the_answer_tells(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATEST_ROW_SECONDS", 0.01)
    dock.has_rows = False
    dock.status = lambda uid: 0xC000 if uid == "1.2.1" else 0
    found = send(dock, study(tmp_path, 3))
    assert [found[f"1.2.{n}"].outcome for n in range(3)] == ["stored", "failed", "stored"]
    assert found["1.2.1"].reason == "0xC000 (cannot understand): no room"


def test_of_a_peer_without_rows_the_answer_is_the_outcome(dock: Dock, tmp_path: Path) -> None:
    dock.has_rows = False
    dock.state = "duplicate"
    dock.status = lambda uid: {"1.2.1": 0xC000, "1.2.2": 0xB000}.get(uid, 0)
    found = send(dock, study(tmp_path, 4), is_ours=False)
    assert [found[f"1.2.{n}"].outcome for n in range(4)] == ["stored", "failed", "stored", "stored"]
    assert found["1.2.2"].reason == "0xB000 (stored with a warning): no room"


def test_a_peer_that_breaks_every_association_ends_it(dock: Dock, tmp_path: Path) -> None:
    dock.breaks.update({f"1.2.{n}": 99 for n in range(1, 20)})
    results: list[Result] = []
    own = Sender(dock.call, None, 1)
    with pytest.raises(AssociationBroken, match="the peer aborted"):
        for result in own.run(Sources((study(tmp_path),)).find()):
            results.append(result)  # noqa: PERF402
    assert [str(result.outcome) for result in results] == ["stored", "failed", "failed", "failed"]
    # Each of them had its tries, and the others none.
    assert dock.breaks == {f"1.2.{n}": 96 if n < 4 else 99 for n in range(1, 20)}


def test_a_peer_that_answers_no_object_at_all_is_no_failure_of_the_object(
    dock: Dock, tmp_path: Path
) -> None:
    dock.breaks["1.2.0"] = 99
    with pytest.raises(AssociationBroken, match="the peer aborted"):
        send(dock, study(tmp_path, 1), is_ours=False)


@pytest.mark.parametrize(
    "refusal",
    [
        AssociationRefused(1, 1, 1, "one is enough", ""),
        AssociationBroken("did not answer within 30 s", ""),
    ],
)
def test_a_peer_that_has_one_association_at_a_time_gets_all_objects_over_one(
    dock: Dock, tmp_path: Path, refusal: PeerError
) -> None:
    dock.most_open, dock.refusal = 1, refusal
    assert len(send(dock, study(tmp_path), is_ours=False)) == 20
    dock.most_open = 0
    with pytest.raises(type(refusal), match=refusal.detail):
        send(dock, tmp_path)
    assert dock.open == 0


def test_commitment_is_asked_for_in_batches_and_is_a_part_of_the_outcome(
    dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "ASKED_AT_ONCE", 4)
    dock.status = lambda uid: 0xC000 if uid == "1.2.1" else 0
    dock.commits = lambda uid: uid != "1.2.5"
    # Its association ends with four objects that are not asked for, or fewer.
    dock.breaks["1.2.7"] = 1
    found = send(dock, study(tmp_path), is_ours=False, commitment=Commitment(20))
    assert found.pop("1.2.1").outcome is Outcome.FAILED
    lost = found.pop("1.2.5")
    assert (lost.outcome, lost.status) == (Outcome.NOT_COMMITTED, 0)
    assert lost.reason == "0x0112 (no such object instance)"
    assert {result.outcome for result in found.values()} == {Outcome.STORED}
    assert sorted(uid for uids in dock.asked for uid in uids) == sorted([*found, "1.2.5"])
    assert max(map(len, dock.asked)) <= 4


def test_commitment_is_asked_for_on_another_association_if_the_first_one_has_ended(
    dock: Dock, tmp_path: Path
) -> None:
    dock.ends_after = 3
    found = send(dock, study(tmp_path, 3), jobs=1, is_ours=False, commitment=Commitment(20))
    assert {result.outcome for result in found.values()} == {Outcome.STORED}
    assert (dock.calls, len(dock.asked)) == (2, 1)


def test_a_peer_without_commitment_ends_it_and_a_file_without_one_is_sent_again(
    dock: Dock, tmp_path: Path
) -> None:
    results: list[Result] = []
    own = Sender(lambda contexts: dock.call(contexts[:1]), None, 1, Commitment(20))
    with pytest.raises(ContextRefused, match="no storage commitment"):
        for result in own.run(Sources((study(tmp_path, 2),)).find()):
            results.append(result)  # noqa: PERF402
    assert [result.outcome for result in results] == [Outcome.NOT_COMMITTED] * 2
    assert {result.reason for result in results} == {"no storage commitment"}
    assert not any(key_if_done(result.to_record()) for result in results)
    stored = replace(results[0], outcome=Outcome.STORED)
    assert key_if_done(stored.to_record())


def test_a_defect_ends_it(dock: Dock, tmp_path: Path) -> None:
    def status(uid: str) -> int:
        raise ZeroDivisionError

    dock.status = status
    with pytest.raises(ZeroDivisionError):
        send(dock, study(tmp_path))
    assert dock.open == 0


def test_objects_arrive_as_they_are_encoded(tmp_path: Path) -> None:
    syntaxes = (*dicom.UNCOMPRESSED, dicom.JPEG_BASELINE, dicom.JPEG_2000_LOSSLESS)
    for number, syntax in enumerate(syntaxes):
        (tmp_path / str(number)).write_bytes(dicom_file(f"1.2.{number}", syntax))
    with Scp() as scp:
        peer = Peer(LOOPBACK, scp.port, "PACS")
        own = Sender(lambda contexts: call(peer, contexts, PeerDeadlines()), None, 1)
        found = list(own.run(Sources((tmp_path,)).find()))
    assert [result.outcome for result in found] == [Outcome.STORED] * len(syntaxes)
    sent = {uid: (syntax, data_set) for uid, syntax, data_set in scp.received}
    for number, syntax in enumerate(syntaxes):
        content = dicom_file(f"1.2.{number}", syntax)
        assert sent[f"1.2.{number}"][0] == syntax
        assert content.endswith(sent[f"1.2.{number}"][1])


def test_a_refused_transfer_syntax_is_an_outcome_of_that_object_alone(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(dicom_file("1.2.1"))
    (tmp_path / "2").write_bytes(dicom_file("1.2.2", dicom.JPEG_BASELINE))
    with Scp() as scp:
        scp.refused = (dicom.JPEG_BASELINE,)
        peer = Peer(LOOPBACK, scp.port, "PACS")
        own = Sender(lambda contexts: call(peer, contexts, PeerDeadlines()), None, 1)
        good, bad = own.run(Sources((tmp_path,)).find())
    assert (good.outcome, bad.outcome, bad.status) == (Outcome.STORED, Outcome.REFUSED, None)
    assert bad.reason == "the peer does not accept CT Image Storage in JPEG Baseline (Process 1)"
