"""Several docks behind one address, one of them killed: nothing is lost, doubled or torn apart."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING
from unittest.mock import patch

import pydicom
import pytest

from engine.app.demo.sender import ER_CT, study
from engine.model.project import Project
from engine.model.session import SessionStatus
from engine.model.site import SessionSettings
from engine.processing.forward.queue import ForwardingQueue
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.fakes import NOW
from tests.peers.balancer import balancer
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    LOOPBACK_SITE,
    EngineProcess,
    configure,
    free_port,
    make_receiver,
    sessions,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

SENDERS, OBJECTS = 12, 4
HALF = OBJECTS // 2
PATIENCE = 40
MOUNTED = "mounted"
DOCKS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
DOCUMENT = """
[site]
bind_address = {{ env = "DOCK_ADDRESS" }}
[site.sessions]
idle_seconds = 1
[[projects]]
id = "NEURO-01"
[[receivers]]
ae_title = "DOCK"
port = {port}
custom_processing = true
[[processors]]
label = "ARCHIVE"
processor_class = "forwardCopy"
location = "after_stored"
[processors.parameters]
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = "{archive}"
max_wait_seconds = "1"
"""
"""The same for all docks: on one machine only the address differs, and the environment has it."""


class Sender:
    """A modality with an address of its own; it sends until all its objects are stored.

    It pauses in the middle of its first study, within an association, and in the middle of its
    second one, between two associations.
    """

    def __init__(self, number: int, port: int, pause: threading.Barrier) -> None:
        source = f"127.0.1.{number + 1}"
        self._destination = Destination(LOOPBACK, port, "DOCK", f"CT_{number}", source)
        self._sends_all_again = number % 2 == 0
        """After a break; other modalities send only what was not answered."""
        self._pause = pause
        self.studies = [
            [*islice(study(ER_CT, 100 * which + number, "NEURO-01", NOW), OBJECTS)]
            for which in range(2)
        ]
        self.stored: set[str] = set()
        """The objects that were answered with success."""
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        first, second = self.studies
        self._send(first, pause_at=HALF)
        self._send(second[:HALF])
        self._wait()
        self._send(second[HALF:])

    def _send(self, objects: list[Dataset], pause_at: int | None = None) -> None:
        while not self.stored.issuperset(ds.SOPInstanceUID for ds in objects):
            # pynetdicom's requestor now and then waits for an answer that has come.
            with SendingAssociation(
                self._destination, [ER_CT.sop_class_uid], timeout_seconds=PATIENCE / 4
            ) as peer:
                if self._send_on(peer, objects, pause_at):
                    pause_at = None

    def _send_on(
        self, peer: SendingAssociation, objects: list[Dataset], pause_at: int | None
    ) -> bool:
        """Send what is not stored yet; return whether it has paused."""
        has_paused = False
        for index, ds in enumerate(objects):
            if index == pause_at:
                self._wait()
                has_paused = True
            if self._sends_all_again or ds.SOPInstanceUID not in self.stored:
                if not peer.is_established or peer.send(ds) != 0:
                    return has_paused
                self.stored.add(ds.SOPInstanceUID)
        return has_paused

    def _wait(self) -> None:
        """Wait until every sender is here, and then until the test has done its part."""
        self._pause.wait(PATIENCE)
        self._pause.wait(PATIENCE)


class Docks:
    """Three engines in processes of their own, configured by one document."""

    def __init__(self, folder: Path, port: int, archive_port: int, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.port, self.metrics_port = port, free_port()
        self._document = folder / "docks.toml"
        self._document.write_text(DOCUMENT.format(port=port, archive=archive_port), "utf-8")
        self._running: dict[str, EngineProcess] = {}

    def start(self, *docks: str) -> None:
        for dock in docks:
            options = ["--config", str(self._document), "--durability", "none"]
            options += ["--metrics", f"{dock}:{self.metrics_port}", "--marker", MOUNTED]
            self.mount(dock)
            with patch.dict(os.environ, DOCK_ADDRESS=dock):
                self._running[dock] = EngineProcess(self.data(dock), *options)
            self._stack.callback(self.kill, dock)
        for dock in docks:
            self._running[dock].wait_until_listening(1)

    def mount(self, dock: str) -> None:
        """Let the dock take objects, as after the mount of its storage."""
        self.data(dock).mkdir(mode=0o750, exist_ok=True)
        (self.data(dock) / MOUNTED).touch()

    def unmount(self, dock: str) -> None:
        """Let the dock reject all callers."""
        (self.data(dock) / MOUNTED).unlink()

    def kill(self, dock: str) -> None:
        if self._running[dock].process.poll() is None:
            self._running[dock].kill()

    def data(self, dock: str) -> Path:
        return self._folder / dock

    def studies(self, dock: str) -> set[str]:
        return {session.study_instance_uid for session in sessions(self.data(dock))}

    def busiest(self) -> str:
        return max(DOCKS, key=lambda dock: len(stored_files(self.data(dock))))

    def waiting(self) -> int:
        """Return how many objects are still to be sent on."""
        found = 0
        for dock in DOCKS:
            with closing(ForwardingQueue(EngineSettings(self.data(dock)).state_file)) as queue:
                found += sum(target.queued for target in queue.targets().values())
        return found


def wait_until(has_come: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 10):
        if has_come():
            return
        threading.Event().wait(0.1)
    raise AssertionError("it has not come")


def archived(data: Path) -> list[tuple[str, int]]:
    """Return study and number of objects of each session; none while the archive works on one."""
    found = sessions(data)
    if any(session.status is not SessionStatus.ARCHIVED for session in found):
        return []
    return sorted((session.study_instance_uid, session.objects) for session in found)


@pytest.mark.timeout(120)
def test_a_dock_of_three_is_killed_and_the_archive_has_every_study_once_and_whole(
    tmp_path: Path,
) -> None:
    port, archive_port, data = free_port(), free_port(), tmp_path / "archive"
    pause = threading.Barrier(SENDERS + 1)
    senders = [Sender(number, port, pause) for number in range(SENDERS)]
    configure(data, make_receiver("ARCHIVE", archive_port), projects=(Project("NEURO-01"),))
    archive = Engine(EngineSettings(data, durability=Durability.NONE))
    with ExitStack() as stack:
        docks = Docks(tmp_path, free_port(), archive_port, stack)
        docks.start(*DOCKS)
        stack.enter_context(balancer(port, DOCKS, docks.port, docks.metrics_port))
        for sender in senders:
            sender.thread.start()
            stack.callback(sender.thread.join)
        stack.callback(pause.abort)

        pause.wait(PATIENCE)  # half of the first studies is on the docks; the archive is away
        killed = docks.busiest()
        docks.kill(killed)
        pause.wait(PATIENCE)

        pause.wait(PATIENCE)  # half of the second studies is on the two docks that are left
        archive.start()
        stack.callback(archive.stop, drain_seconds=0)
        archive.set_site(replace(LOOPBACK_SITE, sessions=SessionSettings(idle_seconds=1)), "test")
        # What the killed dock has comes after its session was archived without it.
        wait_until(lambda: len(archived(data)) == 2 * SENDERS)
        docks.start(killed)
        pause.wait(PATIENCE)

        for sender in senders:
            sender.thread.join(PATIENCE)
        whole = sorted((str(ds.StudyInstanceUID), OBJECTS) for s in senders for ds, *_ in s.studies)
        wait_until(lambda: not docks.waiting() and archived(data) == whole)
    files = (data / "archive").glob("**/SCANS/*/DICOM/*.dcm")
    found = Counter(str(pydicom.dcmread(file).SOPInstanceUID) for file in files)
    assert found == Counter(uid for sender in senders for uid in sender.stored)
    on_docks = Counter(session for dock in DOCKS for session in docks.studies(dock))
    assert {1, 2} == set(on_docks.values()), "no study was split over two docks"


@pytest.mark.timeout(120)
def test_a_dock_that_rejects_all_callers_gets_no_new_ones_and_its_open_associations_go_on(
    tmp_path: Path,
) -> None:
    port = free_port()
    modality = Destination(LOOPBACK, port, "DOCK", "CT_1", "127.0.1.1")
    one, two, three = islice(study(ER_CT, 1, "NEURO-01", NOW), 3)

    def association(destination: Destination = modality) -> SendingAssociation:
        return SendingAssociation(destination, [ER_CT.sop_class_uid], timeout_seconds=PATIENCE)

    def docks_with(number: int) -> list[str]:
        return [dock for dock in DOCKS if len(stored_files(docks.data(dock))) == number]

    def is_served(destination: Destination = modality) -> bool:
        with association(destination) as peer:
            return peer.is_established

    with ExitStack() as stack:
        docks = Docks(tmp_path, free_port(), free_port(), stack)
        docks.start(*DOCKS)
        stack.enter_context(balancer(port, DOCKS, docks.port, docks.metrics_port))
        with association() as first:
            assert first.send(one) == 0
            (usual,) = docks_with(1)
            docks.unmount(usual)
            itself = replace(modality, address=usual, port=docks.port)
            wait_until(lambda: not is_served(itself))
            wait_until(is_served)
            with association() as later:
                assert later.send(two) == 0
            assert len(docks_with(1)) == 2, "the usual dock got it, though it rejects callers"
            docks.mount(usual)
            wait_until(lambda: first.send(three) == 0)
        assert docks_with(2) == [usual]
