"""kill -9 while sessions are received, built, archived, merged, moved, deleted and thinned."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from engine.model.session import SessionStatus
from engine.sessions.rereading import require_rows
from engine.storage.incoming import IncomingArea
from tests.engine.index.depot import Depot, open_depot
from tests.fakes import FixedClock

ROOT = Path(__file__).resolve().parents[3]
RESTING = {SessionStatus.READY, SessionStatus.ARCHIVED, SessionStatus.DELETED}


def run_until(root: Path, changes: int) -> set[str]:
    """Let the mortal live for that many changes of the disk; return what it had received."""
    command = [sys.executable, "-m", "tests.engine.storage.mortal", str(root)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = b""
    while said.count(b".") < changes:
        more = process.stdout.read1(64)  # type: ignore[attr-defined]
        assert more, "it ended by itself"
        said += more
    process.kill()
    said += process.stdout.read()
    process.wait()
    process.stdout.close()
    return set(re.findall(r"R([0-9.]+)\n", said.decode()))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("changes", [3, 29, 61, 97, 131, 178, 222, 275])
def test_whatever_was_answered_with_success_is_there_once_and_intact(
    tmp_path: Path, changes: int
) -> None:
    received = run_until(tmp_path, changes)
    clock = FixedClock()
    clock.advance(86_400)  # the mortal's clock went on while it lived
    depot = open_depot(tmp_path, clock)
    try:
        incoming = IncomingArea(tmp_path / "incoming", "boot-2")
        incoming.sweep()
        incoming.close()
        depot.lifecycle.begin(clean=False)
        depot.lifecycle.recover()
        depot.fall_silent()
        _assert_all_there(depot, received)
    finally:
        depot.index.close()


def _assert_all_there(depot: Depot, received: set[str]) -> None:
    for session in depot.index.sessions():
        require_rows(depot.session_context, session.id)
    on_disk = Counter(_instance(path) for path in depot.all_objects())
    assert received <= set(on_disk)
    assert set(on_disk.values()) <= {1}
    rows = Counter(row.sop_instance_uid for row in depot.index.objects() if row.state == "stored")
    assert rows == on_disk
    sessions = depot.index.sessions()
    assert {session.status for session in sessions} <= RESTING
    assert depot.ledger.operations() == ()
    placed = [
        depot.areas.folder(session) / file
        for session in sessions
        for file in depot.ledger.stored_files(session.id)
    ]
    assert sorted(placed) == depot.all_objects()
    assert not list(depot.root.rglob("*.part"))


def _instance(path: Path) -> str:
    """Read an object to its end."""
    ds = pydicom.dcmread(path)
    assert len(ds.PixelData) == 32
    return str(ds.SOPInstanceUID)
