"""An engine whose objects are received by processes: what they share, and what their end costs."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil
import pydicom
import pytest

from engine.api import AssociationEnd
from engine.events import (
    CertificateRefused,
    ObjectsAdopted,
    ProcessorFailed,
    ProcessorProblem,
    ReceivingProcessEnded,
    RuleFailed,
)
from engine.model.anonymization import SiteScript
from engine.model.processor import Processor
from engine.model.project import Project
from engine.model.session import SessionStatus
from engine.model.site import SessionSettings, SiteSettings
from engine.reception.processes.process import ReceivingProcess
from tests.caller import call
from tests.certificates import Authority
from tests.dicom import CT_IMAGE_STORAGE, image
from tests.peers.committing import Reports, ask, request
from tests.peers.committing import association as asking
from tests.peers.dock import Dock, limited
from tests.running import (
    LOOPBACK,
    UNHURRIED,
    free_port,
    make_receiver,
    object_rows,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.api import ProcessStatus
    from engine.events import Event
    from tests.peers.peer import Peer

SOON_SECONDS = 20.0
TWO = {"receiving_processes": 2}


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", TWO) as dock:
        yield dock


def usage(dock: Dock) -> tuple[ProcessStatus, ...]:
    return dock.engine.snapshot().processes


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON_SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def store(peer: Peer, uid: str, **values: Any) -> None:
    peer.store(image(SOPInstanceUID=uid, **values), uid).expect_status(0x0000)


def refuse(peer: Peer, uid: str, **values: Any) -> None:
    peer.store(image(SOPInstanceUID=uid, **values), uid).expect_status(0xC000, 0x0110)


def of_kind(dock: Dock, kind: type[Event]) -> list[Event]:
    events = (r.event for r in dock.engine.events_since(0, 100_000).events)
    return [event for event in events if isinstance(event, kind)]


def kill(dock: Dock, index: int) -> None:
    """Kill one process, and wait until another one has its place."""
    pid = usage(dock)[index].pid
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in {one.pid for one in usage(dock)} and len(usage(dock)) == 2)


def stored_uids(dock: Dock) -> list[str]:
    dock.engine._index.flush()
    rows = object_rows(dock.data_dir)
    return sorted(row.sop_instance_uid for row in rows if row.state == "stored")


def test_each_association_goes_to_the_process_with_the_fewest(dock: Dock) -> None:
    peers = [dock.associate() for _ in range(4)]
    wait_for(lambda: [one.associations for one in usage(dock)] == [2, 2])
    for number, peer in enumerate(peers):
        store(peer, f"1.{number}")
    wait_for(lambda: [one.objects for one in usage(dock)] == [2, 2])
    assert stored_uids(dock) == [f"1.{number}" for number in range(4)]
    assert len(dock.engine._index.sessions()) == 1
    assert [a.objects for a in dock.engine.snapshot().associations] == [1] * 4


def test_the_end_of_a_process_costs_its_own_associations_only(dock: Dock) -> None:
    lost, other = dock.associate(), dock.associate()
    store(lost, "1.1")
    store(other, "1.2")
    kill(dock, 0)
    lost.expect_closed()
    store(other, "1.3")
    store(dock.associate(), "1.4")
    wait_for(lambda: stored_uids(dock) == ["1.1", "1.2", "1.3", "1.4"])
    (told,) = of_kind(dock, ReceivingProcessEnded)
    assert told.sentence() == (
        "receiving process 1 was ended by SIGKILL and was replaced: 1 association aborted,"
        " 1 session looked through"
    )
    (ended,) = dock.engine.snapshot().ended_associations
    assert (ended.end, ended.why) == (
        AssociationEnd.ABORTED,
        "the process that received it has ended",
    )


def test_a_process_that_hangs_is_replaced(tmp_path: Path) -> None:
    module = "engine.reception.processes.processes"
    with patch(f"{module}.BEAT_SECONDS", 0.05), Dock(tmp_path / "data", TWO) as dock:
        hung, other = dock.associate(), dock.associate()
        store(hung, "1.1")
        pid = usage(dock)[0].pid
        with patch(f"{module}.HUNG_SECONDS", 1.0):
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: len(usage(dock)) == 2 and usage(dock)[0].pid != pid)
        hung.expect_closed()
        store(other, "1.2")
        wait_for(lambda: len(of_kind(dock, ReceivingProcessEnded)) == 1)
        (told,) = of_kind(dock, ReceivingProcessEnded)
        assert told.sentence().startswith(
            "receiving process 1 did not respond for 1 s, was killed and was replaced"
        )
        wait_for(lambda: stored_uids(dock) == ["1.1", "1.2"])


def test_what_an_ended_process_has_answered_gets_its_row_at_once(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", TWO) as dock:
        peer = dock.associate()
        store(peer, "1.1")
        wait_for(lambda: stored_uids(dock) == ["1.1"])
        for number in range(2, 30):  # the rows of the last ones are still with the process
            store(peer, f"1.{number}")
        kill(dock, 0)
        wait_for(lambda: len(stored_uids(dock)) == 29)
        assert len(set(stored_uids(dock))) == 29
        assert len(of_kind(dock, ObjectsAdopted)) <= 1


def test_no_answered_object_is_lost_while_processes_are_killed_at_random(tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    answered: list[str] = []
    with Dock(tmp_path / "data", TWO, limits=limited()) as dock:
        over = threading.Event()

        def send(sender: int) -> None:
            number = 0
            while not over.is_set():
                with suppress(AssertionError, OSError):
                    peer = dock.associate()
                    while not over.is_set():
                        number += 1
                        uid = f"2.{sender}.{number}"
                        store(peer, uid, StudyInstanceUID=f"9.{number // 20 % 3}")
                        answered.append(uid)
                    peer.release()

        senders = [threading.Thread(target=send, args=(n,)) for n in range(1, 5)]
        for sender in senders:
            sender.start()
        for _ in range(6):
            time.sleep(chance.uniform(0.05, 0.5))
            kill(dock, chance.randrange(2))
        over.set()
        for sender in senders:
            sender.join()
        wait_for(lambda: set(answered) <= set(stored_uids(dock)))
        assert len(stored_uids(dock)) == len(set(stored_uids(dock))), seed
        dock.hang_up()
        # No session is held by a process that is gone.
        writers = dock.engine._index.session_writers
        for session in dock.engine._index.sessions():
            dock.engine._index.forget_place(session.id)
            assert writers.wait_until_free(session.id, SOON_SECONDS), seed
        assert len(list((dock.data_dir / "incoming").iterdir())) <= 3, seed


def test_a_session_is_built_only_when_no_process_holds_it(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", TWO) as dock:
        sessions = SessionSettings(idle_seconds=1)
        site = SiteSettings(bind_address=LOOPBACK, limits=UNHURRIED, sessions=sessions)
        dock.engine.set_site(site, "test")
        peers = [dock.associate() for _ in range(2)]
        for number, peer in enumerate(peers):
            store(peer, f"1.{number}")
        index = dock.engine._index
        wait_for(lambda: [s.status for s in index.sessions()] == [SessionStatus.READY])
        assert index.sessions()[0].objects == 2
        # The associations are still open: their next object brings the session back.
        store(peers[0], "1.5")
        wait_for(lambda: index.sessions()[0].status is SessionStatus.RECEIVING)
        wait_for(lambda: index.sessions()[0].status is SessionStatus.READY)
        assert index.sessions()[0].objects == 3


def test_an_object_that_is_on_its_way_keeps_its_session_from_being_built(dock: Dock) -> None:
    peer = dock.associate()
    store(peer, "1.1")
    (session,) = dock.engine._index.sessions()
    writers = dock.engine._index.session_writers
    assert not writers.wait_until_free(session.id, 0)  # the process may use it without asking
    dock.engine._index.forget_place(session.id)
    assert writers.wait_until_free(session.id, SOON_SECONDS)
    store(peer, "1.2")
    assert not writers.wait_until_free(session.id, 0)


def test_limits_count_the_associations_of_all_processes(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", TWO, limits=limited(associations=3)) as dock:
        peers = [dock.associate() for _ in range(3)]
        dock.call().request().expect_reject(2, 3, 2)
        for peer in peers:
            peer.release()
            # At once: what was released no longer counts when its peer knows it.
            peer = dock.associate()
        dock.call().request().expect_reject(2, 3, 2)


def test_an_admin_aborts_an_association_of_any_process(dock: Dock) -> None:
    peers = [dock.associate() for _ in range(2)]
    for association in dock.engine.snapshot().associations:
        dock.engine.associations.abort(association.id, "anna")
    for peer in peers:
        peer.expect_abort(0)
    wait_for(lambda: not dock.engine.snapshot().associations)
    assert [a.why for a in dock.engine.snapshot().ended_associations] == ["aborted by anna"] * 2


def test_a_changed_receiver_applies_to_open_associations_when_the_change_is_reported(
    dock: Dock,
) -> None:
    peers = [dock.associate() for _ in range(2)]
    store(peers[0], "1.1")
    receiver = dock.engine.snapshot().receivers[0].receiver
    dock.engine.save_project(Project("Doe"), "anna")
    changed = replace(receiver, routing_enabled=True, project_routing="(0010,0010):(Doe).*:1")
    dock.engine.save_receiver(changed, "anna")
    for number, peer in enumerate(peers):
        store(peer, f"2.{number}")
    wait_for(lambda: len(stored_uids(dock)) == 3)
    counts = {s.project: s.objects for s in dock.engine._index.sessions()}
    assert counts == {None: 1, "Doe": 2}


def test_a_slow_rule_is_suspended_in_all_processes_by_the_failures_of_all(dock: Dock) -> None:
    receiver = dock.engine.snapshot().receivers[0].receiver
    slow = replace(receiver, routing_enabled=True, session_routing="(0010,4000):((a|aa)+)!")
    dock.engine.save_receiver(slow, "anna")
    one, other = dock.associate(), dock.associate()
    for number, peer in enumerate((one, one, one, other, other)):
        refuse(peer, f"1.{number}", PatientComments="a" * 60)
    wait_for(lambda: len(of_kind(dock, RuleFailed)) == 5)
    told = [event.to_record() for event in of_kind(dock, RuleFailed)]
    assert [(it["times"], it["suspended"]) for it in told] == [
        *((times, False) for times in range(1, 5)),
        (5, True),
    ]
    refuse(one, "2.1", PatientComments="a!")
    kill(dock, 0)
    refuse(dock.associate(), "2.2", PatientComments="a!")  # the new process knows it, too
    refuse(other, "2.3", PatientComments="a!")
    assert len(of_kind(dock, RuleFailed)) == 5


def test_a_changed_table_of_labels_is_in_force_in_all_processes_when_it_is_reported(
    dock: Dock, tmp_path: Path
) -> None:
    receiver = dock.engine.snapshot().receivers[0].receiver
    dock.engine.save_receiver(replace(receiver, custom_processing=True), "anna")
    table = tmp_path / "labels.csv"
    about = ("file", str(table)), ("key", "calling_ae_title")
    relabel = Processor(0, "Relabel", "relabelFromTable", parameters=about)
    dock.engine.processors.save(relabel, "anna")
    peers = [dock.associate() for _ in range(2)]
    for number in range(10):
        refuse(peers[number % 2], f"1.{number}")
    wait_for(lambda: len(of_kind(dock, ProcessorFailed)) == 2)  # the first and the tenth failure
    assert [event.to_record()["times"] for event in of_kind(dock, ProcessorFailed)] == [1, 10]
    table.write_text("key,session\nPEER,E1\n")
    wait_for(lambda: not dock.engine.processors.list()[0].problem)
    for number, peer in enumerate(peers):
        store(peer, f"2.{number}")
    assert [
        problem.to_record()["problem"] == "" for problem in of_kind(dock, ProcessorProblem)
    ] == [
        False,
        True,
    ]
    wait_for(lambda: [s.label for s in dock.engine._index.sessions()] == ["E1"])


def test_refused_objects_are_kept_and_recorded_once_for_all_processes(dock: Dock) -> None:
    receiver = dock.engine.snapshot().receivers[0].receiver
    dock.engine.save_receiver(replace(receiver, anonymization=False), "anna")
    peers = [dock.associate() for _ in range(2)]
    for number, peer in enumerate((*peers, *peers)):
        peer.store(image(SOPInstanceUID="9.9"), f"1.{number}").expect_status(0xA900)
    # A process may end as soon as the peer has its answer: the rows of refused objects are here.
    for one in usage(dock):
        os.kill(one.pid, signal.SIGKILL)
    wait_for(lambda: len(of_kind(dock, ReceivingProcessEnded)) == 2)
    dock.engine._index.flush()
    assert [row.state for row in object_rows(dock.data_dir)] == ["quarantined"] * 4
    kept = sorted(path.name for path in (dock.data_dir / "quarantine").glob("*/*.dcm"))
    assert kept == [f"{number:06d}.dcm" for number in range(1, 5)]


def test_previews_and_commitments_know_the_objects_of_all_processes(dock: Dock) -> None:
    reports = Reports()
    with asking(dock.port, "CT_1", reports) as requestor:
        for number in range(2):
            store(dock.associate(), f"1.{number}")
        # At once: the rows are still on their way from both processes.
        assert (
            ask(requestor, request((CT_IMAGE_STORAGE, f"1.{number}") for number in range(3))) == 0
        )
        told = reports.next()
        assert (told.committed, told.failed) == ({"1.0", "1.1"}, {"1.2": 0x0112})
        assert ask(requestor, request([])) == 0x0115
    receiver = dock.engine.snapshot().receivers[0].receiver
    assert len(dock.engine.preview_routing(receiver)) == 2


def test_a_stop_lets_open_associations_of_all_processes_finish(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", TWO) as dock:
        peers = [dock.associate() for _ in range(2)]
        pids = [one.pid for one in usage(dock)]
        stopping = threading.Thread(target=dock.stop, args=(SOON_SECONDS,))
        stopping.start()
        for number, peer in enumerate(peers):
            store(peer, f"1.{number}")
            peer.release()
        stopping.join(SOON_SECONDS)
        assert [row.state for row in object_rows(dock.data_dir)] == ["stored"] * 2
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


def test_status_shows_each_process(dock: Dock) -> None:
    store(dock.associate(), "1.1")
    wait_for(lambda: sum(one.objects for one in usage(dock)) == 1)
    with patch("engine.reception.processes.processes.USAGE_SECONDS", 0.0):
        wait_for(lambda: all(one.cpu_seconds > 0 for one in usage(dock)))
        assert all(one.memory_bytes > 1_000_000 for one in usage(dock))
    assert os.getpid() not in {one.pid for one in usage(dock)}
    assert b'dicomdock_process_objects_total{process="1"} 1.0' in dock.engine.monitoring.metrics()


def test_a_connection_that_no_process_takes_is_closed_and_does_not_count(dock: Dock) -> None:
    processes = dock.engine._processes
    assert processes is not None
    before = dock.resources()
    with patch.object(ReceivingProcess, "take_over", side_effect=BlockingIOError):
        dock.call().expect_closed()
    wait_for(lambda: not dock.resources().beyond(before))
    assert dock.engine._receivers._pending.wait_until_empty(SOON_SECONDS)
    dock.associate().echo().release()


def test_scripts_and_processors_of_all_processes_run_in_the_workers_of_the_engine(
    dock: Dock,
) -> None:
    script = SiteScript(True, 'version "6.1"\n(0010,0010) := "ANON"\n')
    dock.engine.set_site(replace(dock.engine.site(), script=script), "anna")
    receiver = dock.engine.snapshot().receivers[0].receiver
    dock.engine.save_receiver(replace(receiver, custom_processing=True), "anna")
    statement = ("script", 'version "6.6"\n(0008,103E) := "SET"')
    dock.engine.processors.save(Processor(0, "Set", "setElements", parameters=(statement,)), "anna")
    peers = [dock.associate() for _ in range(2)]
    for number, peer in enumerate(peers):
        store(peer, f"1.{number}")
    found = [pydicom.dcmread(file) for file in stored_files(dock.data_dir)]
    assert [(str(ds.PatientName), ds.SeriesDescription) for ds in found] == [("ANON", "SET")] * 2
    assert dock.engine._runner.processes > 0
    assert not any(psutil.Process(one.pid).children() for one in usage(dock))


def test_every_process_keeps_its_tls_files_when_they_are_spoilt(dock: Dock, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    receiver = make_receiver("SAFE", free_port(), **authority.settings())
    dock.engine.save_receiver(receiver, "anna")
    (authority.folder / "server.key").write_text("no key")
    kill(dock, 0)  # its successor never sees a good key in the file
    for _ in usage(dock):
        assert call(receiver.port, "SAFE", tls=authority.client("ct1.example")) == "answered"
    status = dock.engine.snapshot().receivers[-1]
    assert "holds no private key" in status.certificate_problem
    (told,) = of_kind(dock, CertificateRefused)
    assert told.receiver == receiver.label
