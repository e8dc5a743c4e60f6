"""kill -9 while receiving: what was answered with success is there, and nothing half-written is."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pydicom
import pytest

from engine.app.demo.sender import CT_SCANNER, study
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    configure,
    engine_process,
    free_port,
    leftovers,
    make_receiver,
    object_rows,
    sessions,
    stored_files,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


class Sender:
    """Sends studies, one after the other, until the receiver is gone."""

    def __init__(self, port: int) -> None:
        self._destination = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
        self._changed = threading.Condition()
        self.succeeded: list[Dataset] = []
        self.unanswered: list[Dataset] = []
        self._thread = threading.Thread(target=self._send)

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, successes: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.succeeded) >= successes, timeout=30)

    def join(self) -> None:
        self._thread.join()

    def _send(self) -> None:
        with SendingAssociation(
            self._destination, [CT_SCANNER.sop_class_uid], timeout_seconds=5
        ) as peer:
            for number in range(1, 100):
                for ds in study(CT_SCANNER, number, "NEURO-01", NOW):
                    if peer.send(ds) != 0:
                        self.unanswered.append(ds)
                        return
                    with self._changed:
                        self.succeeded.append(ds)
                        self._changed.notify()


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(("successes", "durability"), [(1, "full"), (9, "none"), (60, "file")])
def test_a_kill_while_receiving_loses_nothing_that_was_acknowledged(
    tmp_path: Path, successes: int, durability: str, processes: str
) -> None:
    data, port = tmp_path / "data", free_port()
    configure(data, make_receiver("XNAT", port))
    sender = Sender(port)
    options = "--durability", durability, "--receiving-processes", processes
    with engine_process(data, 1, *options) as running:
        sender.start()
        sender.wait_for(successes)
        running.kill()
        sender.join()
    with engine_process(data, 1) as running:
        assert leftovers(data) == []
        again = sender.unanswered + sender.succeeded[-1:]
        with SendingAssociation(
            Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1"), [CT_SCANNER.sop_class_uid]
        ) as peer:
            assert [peer.send(ds) for ds in again] == [0] * len(again)
        assert running.terminate() == 0
    stored = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, stored_files(data))}
    for ds in sender.succeeded + sender.unanswered:
        assert stored.pop(str(ds.SOPInstanceUID)).PixelData == ds.PixelData
    assert stored == {}
    assert leftovers(data) == []


@pytest.mark.parametrize("processes", ["0", "2"])
def test_after_a_kill_every_file_has_one_row_and_the_counts_are_right(
    tmp_path: Path, processes: str
) -> None:
    data, port = tmp_path / "data", free_port()
    configure(data, make_receiver("XNAT", port))
    sender = Sender(port)
    options = "--durability", "none", "--receiving-processes", processes
    with engine_process(data, 1, *options) as running:
        sender.start()
        sender.wait_for(40)
        running.kill()
        sender.join()
    with engine_process(data, 1) as running:
        assert running.terminate() == 0
    files = stored_files(data)
    rows = Counter(row.sop_instance_uid for row in object_rows(data) if row.state == "stored")
    assert rows == Counter(str(pydicom.dcmread(file).SOPInstanceUID) for file in files)
    assert sum(session.objects for session in sessions(data)) == len(files)
