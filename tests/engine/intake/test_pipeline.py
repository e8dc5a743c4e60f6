"""One object's way: what is stored, what is refused and how, and that each has exactly one row."""

from __future__ import annotations

import errno
import json
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from engine.errors import OutOfResources
from engine.events import SessionOpened
from engine.events.journal import Journal
from engine.identification.builtin import DefaultIdentifier
from engine.index.store import SessionIndex
from engine.intake.dock import LocalObjectDock
from engine.intake.filing import Filing
from engine.intake.label_processing import CustomProcessing
from engine.intake.object import WRITE_BACK_BYTES, IncomingObject, ObjectArrival
from engine.intake.pipeline import LONGEST_AT_ONCE_BYTES, ObjectOutcome, Pipeline, StorageAreas
from engine.intake.rules import ObjectRouter
from engine.metrics import Metrics
from engine.model.configuration import Configuration
from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.project import AutoArchive, Project, ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.session import ObjectState, SessionStatus
from engine.model.site import DuplicatePolicy, SessionSettings, SiteSettings
from engine.reception.storage_scp import StoreOperation
from engine.sessions.context import SessionContext, SessionPolicy
from engine.sessions.folders.stored_objects import read_stored
from engine.sessions.ledger import SessionRepository
from engine.sessions.recovery import Recovery
from engine.sessions.worker import Lifecycle
from engine.settings import Durability
from engine.storage.areas import Areas
from engine.storage.guard import CHECK_SECONDS, StorageGuard
from engine.storage.incoming import IncomingArea
from engine.storage.quarantine import Quarantine, QuarantineRoom
from engine.workers.scripts import Anonymizer, ScriptRunner
from tests import dicom
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.index.writer import ObjectRow
    from engine.processing.chain import Processing
    from engine.workers.pool import Workers
    from engine.workers.scripts import ScriptJob, ScriptResult

    Processed = Callable[[IncomingArea, Journal], Processing]

NEURO_01 = Project("NEURO-01")
MANUAL = AutoArchive.MANUAL
RECEIVER = Receiver(1, AETitle("XNAT"), 8104)
REQUESTED = {
    "sop_class_uid": dicom.CT_IMAGE_STORAGE,
    "sop_instance_uid": "1.2.826.0.1.3680043.8.498.1",
    "transfer_syntax_uid": dicom.EXPLICIT_VR_LITTLE_ENDIAN,
}


@dataclass
class Bench:
    """A pipeline on a temporary directory."""

    root: Path
    clock: FixedClock
    index: SessionIndex
    journal: Journal
    metrics: Metrics
    pipeline: Pipeline
    sources: ExitStack
    configurations: list[Configuration]
    """The last one is in force."""

    def configure(self, project: Project = NEURO_01, **sessions: Any) -> None:
        site = SiteSettings(sessions=SessionSettings(**sessions))
        self.configurations.append(Configuration(site=site, projects=ProjectRegistry((project,))))

    def begin(self, receiver: Receiver = RECEIVER, **requested: str) -> IncomingObject:
        source = self.pipeline.source(receiver, "CT_SCANNER_1", "10.4.7.21:50112", "A-0001")
        self.sources.callback(source.close)
        return self.pipeline.begin(ObjectArrival(source, **(REQUESTED | requested)))

    def receive(self, data_set: bytes, **arriving: Any) -> ObjectOutcome:
        incoming = self.begin(**arriving)
        incoming.write([memoryview(data_set)], len(data_set))
        outcome = self.pipeline.finish(incoming)
        self.pipeline.record_outcome(incoming, outcome)
        return outcome

    def rows(self) -> tuple[ObjectRow, ...]:
        self.index.flush()
        return self.index.objects()

    def session_context(self) -> SessionContext:
        return session_context_in(self.root, self.index, self.journal, self.clock)

    def files(self) -> list[Path]:
        return sorted(path for path in (self.root / "prearchive").rglob("*") if path.is_file())

    def parts(self) -> list[Path]:
        return [path for path in (self.root / "incoming").rglob("*") if path.is_file()]


def session_context_in(
    root: Path, index: SessionIndex, journal: Journal, clock: FixedClock
) -> SessionContext:
    areas = Areas(root / "prearchive", root / "archive", root / "trash")
    ledger = SessionRepository(index, clock)
    return SessionContext(index, ledger, areas, read_stored, journal, clock)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


@contextmanager
def open_bench(
    tmp_path: Path,
    site: SiteSettings = SiteSettings(),
    workers: Workers[ScriptJob, ScriptResult] | None = None,
    processed: Processed | None = None,
) -> Iterator[Bench]:
    """Give a pipeline under site settings, with worker processes that others may use too."""
    clock = FixedClock()
    for name in ("prearchive", "archive", "incoming"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    index = SessionIndex(tmp_path / "index.sqlite", durable=False)
    incoming = IncomingArea(tmp_path / "incoming", "boot")
    room = QuarantineRoom(tmp_path / "quarantine", 1_000_000, clock)
    quarantine = Quarantine(tmp_path / "quarantine", room, clock)
    prearchive_fd = os.open(tmp_path / "prearchive", os.O_RDONLY)
    archive_fd = os.open(tmp_path / "archive", os.O_RDONLY)
    journal, metrics = Journal(clock), Metrics(clock)
    guard = StorageGuard(
        *(tmp_path, prearchive_fd, "", lambda: Limits(reserve_bytes=0)),
        *(lambda: 0.0, journal, clock),
    )
    configurations = [Configuration(site=site, projects=ProjectRegistry((NEURO_01,)))]
    processing = processed(incoming, journal) if processed else None
    router = ObjectRouter(
        {RECEIVER.identifier: DefaultIdentifier()},
        *(lambda: configurations[-1], journal, clock),
        processing=processing,
    )
    pipeline = Pipeline(
        StorageAreas(incoming, prearchive_fd, archive_fd, quarantine, Durability.FULL, guard),
        LocalObjectDock(
            *(index, Filing(index, prearchive_fd, archive_fd), metrics),
            Recovery(session_context_in(tmp_path, index, journal, clock)),
        ),
        journal,
        clock,
        router,
        Anonymizer(incoming, ScriptRunner(tmp_path / "state.sqlite", workers), journal),
        custom=CustomProcessing(processing, router) if processing else None,
    )
    with ExitStack() as sources:
        yield Bench(*(tmp_path, clock, index, journal, metrics, pipeline, sources), configurations)
    index.close()
    incoming.close()
    quarantine.close()
    os.close(prearchive_fd)
    os.close(archive_fd)


@pytest.mark.usefixtures("in_utc")
def test_an_object_of_a_known_project_is_filed_below_it(bench: Bench) -> None:
    data_set = dicom.image(PatientComments="Project:NEURO-01 Subject:S1 Session:E1")
    outcome = bench.receive(data_set)
    assert (outcome.state, outcome.status) == (ObjectState.STORED, 0)
    (file,) = bench.files()
    place = file.relative_to(bench.root / "prearchive").parts
    assert place[:-1] == ("NEURO-01", "20260824_140322000", "E1", "SCANS", "4", "DICOM")
    assert outcome.file == "/".join(place[3:])
    (session,) = bench.index.sessions()
    assert (session.project, session.subject, session.label) == ("NEURO-01", "S1", "E1")


def test_the_bytes_of_the_data_set_are_stored_as_they_came(bench: Bench) -> None:
    data_set = dicom.image()
    bench.receive(data_set)
    (file,) = bench.files()
    assert file.read_bytes().endswith(data_set)
    meta = pydicom.dcmread(file).file_meta
    assert meta.MediaStorageSOPInstanceUID == REQUESTED["sop_instance_uid"]
    assert meta.SourceApplicationEntityTitle == "CT_SCANNER_1"


@pytest.mark.usefixtures("in_utc")
def test_without_a_project_an_object_waits_unassigned(bench: Bench) -> None:
    outcome = bench.receive(dicom.image(StudyDescription="neuro-01"))
    assert outcome.state is ObjectState.STORED
    (session,) = bench.index.sessions()
    assert (session.project, session.folder) == (None, "20260824_140322000/P-0001")
    (event,) = [r.event for r in bench.journal.events_since(0, 10).events]
    assert isinstance(event, SessionOpened)
    assert event.sentence() == "session 1 opened in Unassigned"


def test_an_object_holds_its_session_until_it_has_its_row(bench: Bench) -> None:
    incoming = bench.begin()
    incoming.write([dicom.image()], len(dicom.image()))
    outcome = bench.pipeline.finish(incoming)
    assert outcome.session is not None
    assert not bench.index.session_writers.wait_until_free(outcome.session, 0)
    bench.pipeline.record_outcome(incoming, outcome)
    assert bench.index.session_writers.wait_until_free(outcome.session, 0)


def test_the_latency_of_an_answer_begins_with_the_last_byte(bench: Bench) -> None:
    incoming = bench.begin()
    bench.clock.advance(60)
    incoming.write([dicom.image()], len(dicom.image()))
    outcome = bench.pipeline.finish(incoming)
    bench.clock.advance(0.5)
    bench.pipeline.record_outcome(incoming, outcome)
    assert bench.metrics.latency().p50_ms == pytest.approx(500, rel=0.3)


def test_a_large_object_starts_for_the_disk_while_it_arrives_a_piece_at_a_time(
    bench: Bench,
) -> None:
    incoming, piece = bench.begin(), bytes(WRITE_BACK_BYTES // 2)
    nothing: Any = None
    operation = StoreOperation(bench.pipeline, nothing, incoming, nothing)

    def write(pieces: int = 1) -> bool:
        incoming.write([piece] * pieces, len(piece) * pieces)
        return operation.begins_write_back()

    assert [write(), write()] == [False, True]
    assert [write(4), write(4)] == [False, False]  # one at a time
    operation.write_back()
    operation.wrote_back(None)
    assert [write(), write()] == [True, False]
    operation.wrote_back(None)
    bench.pipeline._places = replace(bench.pipeline._places, durability=Durability.NONE)
    assert not write(4)
    bench.pipeline._places = replace(bench.pipeline._places, durability=Durability.FILE)
    assert write(4)
    operation.wrote_back(None)
    incoming.fail(OutOfResources("full"))
    operation.write_back()  # of a part that is closed: no harm
    assert not write(4)


def test_finishing_may_block_for_a_flush_a_process_a_plug_in_or_a_large_object(
    bench: Bench,
) -> None:
    pipeline, incoming = bench.pipeline, bench.begin()
    pipeline._places = replace(pipeline._places, durability=Durability.NONE)
    assert not pipeline.may_block(incoming)
    for durability in (Durability.FILE, Durability.FULL):
        pipeline._places = replace(pipeline._places, durability=durability)
        assert pipeline.may_block(incoming)
    pipeline._places = replace(pipeline._places, durability=Durability.NONE)
    pipeline._router.receiver_policy(RECEIVER).never_blocks = False
    assert pipeline.may_block(incoming)
    bench.configure()
    assert not pipeline.may_block(incoming)
    incoming.size_bytes = LONGEST_AT_ONCE_BYTES
    assert not pipeline.may_block(incoming)
    incoming.size_bytes += 1
    assert pipeline.may_block(incoming)
    pipeline.abandon(incoming, "the connection ended")


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
def test_every_uncompressed_encoding_is_read(bench: Bench, syntax: str) -> None:
    outcome = bench.receive(dicom.image(syntax), transfer_syntax_uid=syntax)
    assert outcome.state is ObjectState.STORED
    assert pydicom.dcmread(bench.files()[0]).PatientID == "P-0001"


def test_objects_of_one_study_share_a_session(bench: Bench) -> None:
    for number in range(5):
        uid = f"1.2.3.{number}"
        data_set = dicom.image(SOPInstanceUID=uid, InstanceNumber=str(number))
        bench.receive(data_set, sop_instance_uid=uid)
        bench.clock.advance(1)
    assert len(bench.files()) == 5
    assert len({file.parent for file in bench.files()}) == 1
    bench.index.flush()
    assert [session.objects for session in bench.index.sessions()] == [5]


@pytest.mark.usefixtures("in_utc")
def test_sessions_that_begin_in_the_same_millisecond_get_folders_of_their_own(
    bench: Bench,
) -> None:
    for number in range(3):
        bench.receive(dicom.image(StudyInstanceUID=f"1.2.{number}"))
    stamps = {file.relative_to(bench.root / "prearchive").parts[0] for file in bench.files()}
    assert stamps == {f"20260824_14032200{number}" for number in range(3)}


def test_the_same_object_again_is_a_success_without_a_second_file(bench: Bench) -> None:
    bench.receive(dicom.image())
    again = bench.receive(dicom.image())
    assert (again.state, again.status) == (ObjectState.DUPLICATE, 0)
    assert len(bench.files()) == 1


def test_other_content_under_the_same_name_is_kept_beside_it_and_said(bench: Bench) -> None:
    bench.receive(dicom.image())
    other = bench.receive(dicom.image(pixels=bytes(32)))
    assert (other.state, other.status) == (ObjectState.STORED, 0)
    assert other.reason == "other content of the same SOP instance is here, kept beside it"
    assert len(bench.files()) == 2


WHITELIST = "whitelist\n[Rows]\n^4$"


@pytest.mark.parametrize(
    ("site", "project", "reason"),
    [
        ("head", "", ""),
        ("[StudyDescription]\nhead", "", "site's series import filter, line 2: head"),
        ("[Columns]\n^4$", "", "site's series import filter, line 2: ^4$"),
        (WHITELIST, WHITELIST, ""),
        ("whitelist\n[Rows]\n^5$", "", "site's series import filter, no line of the whitelist"),
        (WHITELIST, "[SOPInstanceUID]\nEXISTS", "project NEURO-01's series import filter, line 2"),
    ],
)
def test_unwanted_objects_are_answered_with_success_and_a_row_that_says_why(
    bench: Bench, site: str, project: str, reason: str
) -> None:
    """Both the site's and the project's filter must let an object pass (XNAT 11.2)."""
    bench.configure(Project("NEURO-01", series_import_filter=project), series_filter=site)
    outcome = bench.receive(dicom.image(PatientComments="Project:NEURO-01"))
    assert outcome.status == 0
    if not reason:
        assert outcome.state is ObjectState.STORED
        return
    assert outcome.state is ObjectState.FILTERED
    assert outcome.reason.startswith(f"filtered by the {reason}")
    assert (bench.files(), bench.parts(), bench.index.sessions()) == ([], [], ())
    assert [row.state for row in bench.rows()] == ["filtered"]
    assert (bench.metrics.totals().received, bench.metrics.totals().filtered) == (1, 1)


def test_a_filter_that_takes_too_long_decides_nothing(bench: Bench) -> None:
    bench.configure(series_filter="[StudyComments]\n((a+)+)+((a+)+)+b")
    outcome = bench.receive(dicom.image(StudyComments="a" * 300))
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0x0110)
    assert "took longer than 10 ms" in outcome.reason


def test_a_template_that_names_all_objects_alike_loses_none_of_them(bench: Bench) -> None:
    """F11, where XNAT keeps one file per series."""
    template = "${StudyInstanceUID}-${SeriesNumber}"
    bench.configure(file_name_template=template)
    uids = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
    stored = [bench.receive(dicom.image(SOPInstanceUID=u), sop_instance_uid=u) for u in uids]
    assert {outcome.state for outcome in stored} == {ObjectState.STORED}
    assert stored[2].reason == "another SOP instance has the same file name, kept beside it"
    assert not any("_1" in outcome.file for outcome in stored)  # named by their UIDs
    again = bench.receive(dicom.image(SOPInstanceUID=uids[2]), sop_instance_uid=uids[2])
    assert again.state is ObjectState.DUPLICATE
    assert len(bench.files()) == 3


def test_what_becomes_of_other_content_is_the_receiver_s_choice_else_the_site_s(
    bench: Bench,
) -> None:
    bench.receive(dicom.image())
    rejecting = replace(RECEIVER, duplicates=DuplicatePolicy.REJECT)
    refused = bench.receive(dicom.image(pixels=bytes(32)), receiver=rejecting)
    assert (refused.state, refused.status) == (ObjectState.REJECTED, 0x0111)
    assert len(bench.files()) == 1
    bench.configure(duplicates=DuplicatePolicy.REPLACE)
    replacing = bench.receive(dicom.image(pixels=bytes(32)))
    assert replacing.reason == "replaces other content of the same SOP instance"
    assert len(bench.files()) == 1
    totals = bench.metrics.totals()
    assert (totals.received, totals.stored, totals.rejected) == (3, 2, 1)


def test_an_object_that_replaces_another_is_counted_once_in_its_session(bench: Bench) -> None:
    bench.configure(duplicates=DuplicatePolicy.REPLACE)
    bench.receive(dicom.image())
    bench.receive(dicom.image(SOPInstanceUID="1.2.4"), sop_instance_uid="1.2.4")
    bench.receive(dicom.image(pixels=bytes(64)))
    bench.index.flush()
    (session,) = bench.index.sessions()
    sizes = [len(dicom.image(SOPInstanceUID="1.2.4")), len(dicom.image(pixels=bytes(64)))]
    assert (session.objects, session.bytes) == (2, sum(sizes))


@pytest.mark.parametrize(
    ("data_set", "changes", "status", "reason"),
    [
        (b"", {}, 0xC000, "the data set is empty"),
        (dicom.image()[:-3], {}, 0xC000, "(7FE0,0010) runs 3 bytes past the end"),
        (dicom.image(SOPInstanceUID=None), {}, 0xC000, "no SOP class or instance UID"),
        (b"\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00", {}, 0xC000, "begins with a file header"),
        (
            dicom.image(),
            {"sop_instance_uid": "1.2.3"},
            0xA900,
            "SOP instance of data set and request differ",
        ),
        (
            dicom.image(SOPInstanceUID="1.2.3\\1.2.4"),
            {"sop_instance_uid": "1.2.3\\1.2.4"},
            0xA900,
            "SOP instance of data set and request differ",
        ),
        (
            dicom.image(),
            {"sop_class_uid": dicom.MR_IMAGE_STORAGE},
            0xA900,
            "SOP class of data set and request differ",
        ),
    ],
)
def test_bad_content_is_refused_and_quarantined_with_the_reason(
    bench: Bench, data_set: bytes, changes: dict[str, str], status: int, reason: str
) -> None:
    outcome = bench.receive(data_set, **changes)
    assert (outcome.state, outcome.status) == (ObjectState.QUARANTINED, status)
    assert reason in outcome.reason
    (record,) = (bench.root / "quarantine").rglob("*.json")
    kept = json.loads(record.read_text())
    assert (kept["reason"], kept["status"]) == (outcome.reason, f"0x{status:04X}")
    assert record.with_suffix(".dcm").read_bytes().endswith(data_set)
    assert bench.files() == []
    assert bench.parts() == []


def test_a_full_disk_refuses_for_now_and_leaves_nothing(bench: Bench) -> None:
    bench.pipeline._places.guard._limits = lambda: Limits(reserve_bytes=1 << 60)
    outcome = bench.receive(dicom.image())
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0xA700)
    assert "MB free on the storage" in outcome.reason
    assert bench.files() == bench.parts() == []


@pytest.mark.parametrize("call", ["writev", "fdatasync", "link", "mkdir", "fsync"])
def test_a_storage_error_at_any_step_refuses_for_now_and_leaves_no_half_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    outcome = bench.receive(dicom.image())
    monkeypatch.undo()
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0xA700)
    assert bench.parts() == []
    assert bench.receive(dicom.image()).status == 0
    assert len(bench.files()) == 1


def test_an_index_that_can_not_be_written_refuses_for_now(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OutOfResources("session index: disk I/O error")

    monkeypatch.setattr(bench.index, "session_for", fail)
    outcome = bench.receive(dicom.image())
    assert (outcome.status, outcome.reason) == (0xA700, "session index: disk I/O error")
    assert bench.files() == bench.parts() == []


def test_an_object_that_is_abandoned_has_a_row_with_a_status_that_nobody_was_told(
    bench: Bench,
) -> None:
    incoming = bench.begin()
    incoming.write([b"half"], 4)
    bench.pipeline.abandon(incoming, "the peer is gone")
    (row,) = bench.rows()
    assert (row.state, row.status) == ("failed", 0xC000)
    assert row.reason == "the peer is gone after 4 bytes"


def test_a_comment_for_the_peer_has_64_characters_at_most() -> None:
    words = "x" * 63 + "ÿz"
    assert ObjectOutcome(ObjectState.FAILED, 0x0110, words).comment == "x" * 63 + "?"
    assert ObjectOutcome(ObjectState.STORED, 0, words).comment == ""


@pytest.mark.parametrize("missing", ["SOPClassUID", "SOPInstanceUID"])
def test_a_data_set_without_its_uids_can_not_be_read(bench: Bench, missing: str) -> None:
    absent: dict[str, Any] = {missing: ""}
    outcome = bench.receive(dicom.image(**absent))
    assert (outcome.status, outcome.reason) == (
        0xC000,
        "the data set has no SOP class or instance UID",
    )


def test_every_object_ends_in_exactly_one_row_and_the_totals_agree(bench: Bench) -> None:
    bench.receive(dicom.image())
    bench.receive(dicom.image())
    bench.receive(b"")
    bench.receive(dicom.image(), sop_instance_uid="1.2.3")
    bench.pipeline._places.guard._limits = lambda: Limits(reserve_bytes=1 << 60)
    bench.clock.advance(CHECK_SECONDS)
    bench.receive(dicom.image())
    totals = bench.metrics.totals()
    assert sorted(row.state for row in bench.rows()) == [
        "duplicate",
        "failed",
        "quarantined",
        "quarantined",
        "stored",
    ]
    assert totals.received == 5
    assert totals.received == (
        totals.stored + totals.duplicates + totals.quarantined + totals.failed
    )


@pytest.mark.parametrize(
    "hostile",
    ["../../../etc/cron.d/x", "/absolute", "..", "a\0b", "-rf", "x" * 300, "CON", "[/x]", "\u202e"],
)
def test_no_header_value_leads_out_of_the_prearchive(bench: Bench, hostile: str) -> None:
    text = hostile.encode("utf-8").decode("latin-1")
    names = (
        "PatientID",
        "PatientName",
        "SeriesNumber",
        "InstanceNumber",
        "StudyInstanceUID",
        "SeriesInstanceUID",
    )
    hostile_values: dict[str, Any] = dict.fromkeys(names, text)
    outcome = bench.receive(dicom.image(**hostile_values))
    assert outcome.state is ObjectState.STORED
    (file,) = bench.files()
    assert len(file.relative_to(bench.root / "prearchive").parts) == 6
    assert {path.name for path in bench.root.iterdir()} == EXPECTED_AT_TOP


EXPECTED_AT_TOP = {
    "prearchive",
    "archive",
    "incoming",
    "quarantine",
    "index.sqlite",
    "index.sqlite-wal",
    "index.sqlite-shm",
}


def recover(bench: Bench) -> None:
    recovery = Recovery(bench.session_context())
    recovery.begin(clean=False)
    recovery.run()


def test_files_that_a_crash_kept_out_of_the_index_are_adopted_once(bench: Bench) -> None:
    bench.receive(dicom.image())
    bench.index.flush()
    (known,) = bench.files()
    lost = known.with_name("1.2-4-2-abc.dcm")
    lost.write_bytes(known.read_bytes())
    for _ in range(2):
        recover(bench)
    newest = bench.rows()[0]
    assert (newest.reason, newest.sop_instance_uid) == (
        "found on disk after a crash",
        REQUESTED["sop_instance_uid"],
    )
    assert bench.index.sessions()[0].objects == 2


def test_a_retry_completes_an_object_whose_last_flush_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def fail_last(fd: int) -> None:
        if bench.files():
            raise OSError(errno.EIO, "Input/output error")
        flush(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail_last)
        assert bench.receive(dicom.image()).status == 0xA700
    assert bench.receive(dicom.image()).status == 0
    bench.index.flush()
    lifecycle = Lifecycle(bench.session_context(), lambda: SessionPolicy(300, 30, lambda _: MANUAL))
    bench.clock.advance(300)
    lifecycle.run_due()
    (session,) = bench.index.sessions()
    assert (session.status, session.objects) == (SessionStatus.READY, 1)
    assert [row.state for row in bench.rows()] == ["stored", "failed"]
    assert bench.receive(dicom.image()).state is ObjectState.DUPLICATE
    assert len([file for file in bench.files() if file.suffix == ".dcm"]) == 1


def test_a_session_whose_first_file_never_came_is_forgotten_after_a_crash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    bench.receive(dicom.image())
    monkeypatch.undo()
    assert len(bench.index.sessions()) == 1
    recover(bench)
    assert bench.index.sessions() == ()
