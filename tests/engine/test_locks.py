"""What a lock guards is touched only while it is held: counters, journal, tables, clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.app.demo.sender import Demonstration
from engine.events import ReceiverStopped
from engine.events.journal import Journal
from engine.index.traces import TraceKey
from engine.inspection.showings import PhiAccessLog
from engine.metrics import Metrics, Today
from engine.net.admission import ConnectionLimits, ConnectionTable
from engine.sessions.trash import ExpiryClock
from tests.fakes import NOW, FixedClock
from tests.guarded import guarded

if TYPE_CHECKING:
    from pathlib import Path

STOPPED = ReceiverStopped(receiver="XNAT:8104")


def test_a_connection_table() -> None:
    table = ConnectionTable(ConnectionLimits())
    entered = table.enter("a", lambda: None)
    with guarded(table, "_silent", by=table._lock):
        table.enter("a", lambda: None)
    with guarded(table, "_silent", "_admitted", by=table._lock):
        assert table.admit(entered)
    with guarded(table, "_silent", "_admitted", by=table._lock):
        table.leave(entered)


def test_a_journal(tmp_path: Path) -> None:
    journal = Journal(FixedClock(), tmp_path / "events", audit_file=tmp_path / "audit")
    fields = ("_ring", "_next_sequence", "_listeners", "_followers", "_file", "_audit")
    with guarded(journal, *fields, by=journal._lock):
        unsubscribe = journal.subscribe(lambda recorded: None)
        journal.follow(lambda recorded: None)
        journal.record(STOPPED)
        journal.events_since(0, 10)
        journal.events_since(2, 10)
        unsubscribe()
        journal.close()


def test_metrics() -> None:
    metrics = Metrics(FixedClock())
    with guarded(metrics, "_receivers", "_senders", "_rejections", "_day", by=metrics._lock):
        metrics.resume_today({"XNAT:8104": Today(NOW.date(), 1, 10)})
        metrics.record_object("XNAT:8104", "stored", 10, 0.1)
        metrics.record_association("XNAT:8104")
        metrics.record_rejection(1, 1, 1)
        metrics.counters()
        metrics.today("XNAT:8104")
        metrics.throughput()
        metrics.totals()
        metrics.latency()


def test_an_expiry_clock(tmp_path: Path) -> None:
    clock = FixedClock()
    expiry = ExpiryClock(clock, Journal(clock), tmp_path / "clock")
    with guarded(expiry, "_wall", "_monotonic", "_judged", by=expiry._lock):
        expiry.now()
        expiry.keep()


def test_what_was_shown_lately(tmp_path: Path) -> None:
    phi_access_log = PhiAccessLog(lambda event: None, TraceKey(tmp_path / "key"), FixedClock())
    with guarded(phi_access_log, "_last", by=phi_access_log._lock):
        phi_access_log.note_all("anna", ["1.2.3"])


def test_the_counts_of_a_demonstration() -> None:
    demonstration = Demonstration(1, 2)
    with guarded(demonstration, "_counts", by=demonstration._lock):
        demonstration._count("objects_sent")
