"""Storage commitment: pynetdicom asks, over real TCP, and is told what is on the disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from engine import Engine, EngineSettings
from engine.app.demo.sender import CT_SCANNER, study
from engine.config.store import ConfigurationStore
from engine.dimse.commands import N_ACTION
from engine.dimse.commitment import REQUEST_ACTION, CommitmentRequest, Reference, encode_request
from engine.dimse.contexts import COMMITMENT_CONTEXTS
from engine.dimse.scu import call
from engine.host.clock import SystemClock
from engine.model.anonymization import SiteScript
from engine.model.known_peer import parse_known_peer
from engine.model.peer import PeerDeadlines, make_peer
from tests.peers.committing import Reports, ask, association, listening, request
from tests.running import (
    LOOPBACK_SITE,
    configure,
    engine_process,
    free_port,
    make_receiver,
    object_rows,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
CT, MR = CT_SCANNER.sop_class_uid, "1.2.840.10008.5.1.4.1.1.4"


def objects(number: int) -> list[Dataset]:
    return list(islice(study(CT_SCANNER, 1, "P", NOW), number))


def names(*sent: Dataset) -> list[tuple[str, str]]:
    return [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in sent]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Engine, int]]:
    data, port = tmp_path / "data", free_port()
    configure(data, make_receiver("XNAT", port))
    # What is stored has another UID than what was sent.
    script = SiteScript(True, 'version "6.1"\n(0008,0018) := hashUID[(0008,0018)]\n')
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    store.set_site(replace(LOOPBACK_SITE, script=script), "test")
    engine = Engine(EngineSettings(data))
    engine.start()
    try:
        yield engine, port
    finally:
        engine.stop(0)


def test_a_requestor_is_told_what_is_here(running: tuple[Engine, int]) -> None:
    engine, port = running
    data, reports, sent = engine._settings.data_dir, Reports(), objects(3)
    with association(port, "CT_1", reports, [CT]) as peer:
        assert [peer.send_c_store(ds).Status for ds in sent] == [0, 0, 0]
        # At once: the rows of the objects are still on their way.
        asked = request(names(*sent))
        assert ask(peer, asked) == 0
        told = reports.next()
        assert told == (asked.TransactionUID, 1, {uid for _, uid in names(*sent)}, {})
        # The same request again, as after a lost answer, is told again. Another one is not taken
        # for it.
        assert ask(peer, asked) == 0
        assert reports.next() == told
        assert ask(peer, request(names(sent[0]), asked.TransactionUID)) == 0
        assert reports.next().failed == {sent[0].SOPInstanceUID: 0x0131}
        # What was never here, what is of another class, and what has gone.
        last = next(
            row for row in object_rows(data) if row.sop_instance_uid == names(sent[2])[0][1]
        )
        gone = next(file for file in stored_files(data) if file.name in last.file)
        assert dcmread(gone).SOPInstanceUID != sent[2].SOPInstanceUID
        gone.unlink()
        other = [("1.2.3", "1.2.3.4"), (MR, str(sent[1].SOPInstanceUID))]
        assert ask(peer, request([*names(sent[0], sent[2]), *other])) == 0
        told = reports.next()
        assert (told.event_type, told.committed) == (2, {sent[0].SOPInstanceUID})
        assert told.failed == {
            "1.2.3.4": 0x0112,
            sent[1].SOPInstanceUID: 0x0119,
            sent[2].SOPInstanceUID: 0x0110,
        }
        # What is no such request is refused, and the association goes on.
        assert ask(peer, asked, action=2) == 0x0123
        assert ask(peer, asked, instance="1.2.3") == 0x0112
        assert ask(peer, request([])) == 0x0115
        assert peer.send_c_store(sent[0]).Status == 0


def ask_and_leave(port: int, calling: str, asked: Dataset) -> None:
    """Ask, and release at once, whatever comes meanwhile: pynetdicom can't do that."""
    references = [
        Reference(str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
        for one in asked.ReferencedSOPSequence
    ]
    wanted = CommitmentRequest(str(asked.TransactionUID), tuple(references))
    peer = make_peer("127.0.0.1", str(port), "XNAT", calling)
    with call(peer, COMMITMENT_CONTEXTS, PeerDeadlines()) as leaving:
        encode = partial(encode_request, wanted)
        assert leaving.ask_commitment(N_ACTION, REQUEST_ACTION, encode).status == 0


def test_a_report_finds_its_requestor_later(tmp_path: Path) -> None:
    """Known peers are called, others are told when they call again; a kill loses no request."""
    data, port, peer_port = tmp_path / "data", free_port(), free_port()
    configure(data, make_receiver("XNAT", port))
    sent, reports = objects(1), Reports()
    asked = {name: request(names(*sent)) for name in ("KNOWN", "STRANGER")}
    with engine_process(data, 1) as running:
        with association(port, "CT_1", Reports(), [CT]) as peer:
            assert peer.send_c_store(sent[0]).Status == 0
        # A requestor that refuses to be told, and one that is gone before it can be told.
        refusing = Reports(status=0x0110)
        with association(port, "KNOWN", refusing) as peer:
            assert ask(peer, asked["KNOWN"]) == 0
            assert refusing.next().transaction_uid == asked["KNOWN"].TransactionUID
        ask_and_leave(port, "STRANGER", asked["STRANGER"])
        running.kill()
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    raw = {"ae_title": "KNOWN", "host": "127.0.0.1", "port": peer_port}
    store.save_peer(parse_known_peer(raw), "test")
    with listening(peer_port, "KNOWN", reports), engine_process(data, 1) as running:
        assert reports.next().transaction_uid == asked["KNOWN"].TransactionUID
        with association(port, "STRANGER", reports):
            told = reports.next()
        assert told.transaction_uid == asked["STRANGER"].TransactionUID
        assert told.committed == {sent[0].SOPInstanceUID}
        assert running.terminate() == 0
    assert reports.is_empty()
