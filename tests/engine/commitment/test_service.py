"""Reports that nobody takes: told, tried again ever later, and given up when they are too old."""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.api.commitments import CommitmentState
from engine.commitment.service import CommitmentService, ReportContext
from engine.events.commitment import (
    CommitmentDelivered,
    CommitmentGivenUp,
    CommitmentNotDelivered,
    ObjectsNotCommitted,
)
from engine.metrics import Metrics
from engine.model.configuration import Configuration
from engine.model.known_peer import KnownPeer
from engine.model.peer import AETitle
from engine.queries.commitments import CommitmentQueries
from engine.sessions.trash import ExpiryClock
from engine.settings import EngineSettings
from engine.state.commitments import NewCommitment
from tests.certificates import Authority
from tests.dicom import CT_IMAGE_STORAGE
from tests.engine.index.depot import open_depot
from tests.fakes.values import FixedClock
from tests.peers.committing import Reports, listening
from tests.running import WatchedJournal, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import Event

HOUR = 3600.0


class OneAssociation:
    """The association of a request, if it is open; notes what it is told."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.open: ReportContext | None = None
        self.asked = threading.Event()
        self.told_at: queue.Queue[float] = queue.Queue()

    def commitment_context(self, _: str) -> ReportContext | None:
        self.asked.set()
        return self.open

    def commitment_context_of(self, *_: str) -> ReportContext | None:
        return None

    def send_report(self, *_: object) -> None:
        self.told_at.put(self.clock.monotonic())


class Desk:
    """A commitment service over a depot; its time stands still until it is told to go on."""

    def __init__(self, root: Path, resources: ExitStack) -> None:
        self.clock = FixedClock()
        self.associations = OneAssociation(self.clock)
        self.journal = WatchedJournal(self.clock)
        self.settings = EngineSettings(root)
        self.configuration = Configuration()
        depot = open_depot(root, self.clock)
        resources.callback(depot.index.close)
        self.service = CommitmentService(
            *(self.settings, depot.index, depot.areas, self.journal, Metrics(self.clock)),
            *(self.clock, lambda: self.configuration, ExpiryClock(self.clock, self.journal)),
            *(self.associations, lambda: None),
        )
        resources.callback(self.service.close)
        resources.callback(self.service.stop)
        self.service.start()

    @property
    def queries(self) -> CommitmentQueries:
        return CommitmentQueries(
            self.settings.state_file, self.clock, self.journal.record, self.service.notify
        )

    def told(self, kind: type[Event]) -> list[str]:
        events = self.journal.events_since(0, 1000).events
        return [one.event.sentence() for one in events if isinstance(one.event, kind)]

    def wait_for(self, kind: type[Event], times: int = 1) -> list[str]:
        with self.journal.changed:
            assert self.journal.changed.wait_for(lambda: len(self.told(kind)) >= times, 20), kind
        return self.told(kind)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as resources:
        yield Desk(tmp_path, resources)


def asked(desk: Desk) -> None:
    references = ((CT_IMAGE_STORAGE, "1.2.3"),)
    desk.service.take(NewCommitment("1.9", "CT_1", "XNAT", "XNAT:8104", "A-0001", references))


def unreachable() -> KnownPeer:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return KnownPeer(AETitle("CT_1"), "127.0.0.1", server.getsockname()[1])


def test_a_peer_that_does_not_answer_is_tried_again_and_at_last_given_up(desk: Desk) -> None:
    desk.configuration = Configuration(peers=(unreachable(),))
    asked(desk)
    (first,) = desk.wait_for(CommitmentNotDelivered)
    assert "CT_1" in first
    assert desk.told(CommitmentGivenUp) == []
    desk.clock.advance(desk.settings.commitment_hours * HOUR + HOUR)
    desk.service.notify()
    (last,) = desk.wait_for(CommitmentGivenUp)
    assert f"not delivered within {desk.settings.commitment_hours:.0f} hours" in last
    (status,) = desk.queries.list()
    assert (status.state, status.failed) == (CommitmentState.GIVEN_UP, 1)
    assert desk.told(CommitmentDelivered) == []


def test_a_report_goes_over_tls_only_to_a_peer_whose_certificate_is_trusted(
    desk: Desk, tmp_path: Path
) -> None:
    """The peer is pynetdicom, and lets nobody in without a certificate."""
    theirs, others = Authority(tmp_path / "theirs"), Authority(tmp_path / "others")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*theirs.issue("peer"))
    context.load_verify_locations(theirs.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = map(str, theirs.issue("dock"))
    reports, port = Reports(), free_port()
    trusting = KnownPeer(
        *(AETitle("CT_1"), "127.0.0.1", port, True, str(theirs.ca_file), certificate, key),
        tls_check_name=False,
    )
    with listening(port, "CT_1", reports, context):
        for wrong, says in (
            (replace(trusting, tls_ca=str(others.ca_file)), "its certificate is not accepted"),
            # The alert arrives, or the end of the connection or of TLS overtakes it.
            (
                replace(trusting, tls_certificate="", tls_key=""),
                "closed the connection|certificate required|ended TLS",
            ),
            (replace(trusting, tls_enabled=False), "closed the connection"),
            (replace(trusting, tls_ca=str(tmp_path / "gone.pem")), "gone.pem"),
        ):
            desk.configuration = Configuration(peers=(wrong,))
            before = len(desk.told(CommitmentNotDelivered))
            asked(desk)
            told = desk.wait_for(CommitmentNotDelivered, before + 1)
            assert re.search(says, told[-1])
            assert reports.is_empty()
        desk.configuration = Configuration(peers=(trusting,))
        asked(desk)
        assert reports.next().failed == {"1.2.3": 0x0112}
        (how,) = desk.wait_for(CommitmentDelivered)
        assert f"CT_1@127.0.0.1:{port}" in how


def test_an_association_is_left_alone_for_a_moment_after_its_request(desk: Desk) -> None:
    """Its requestor may release it at once, and may then not answer (PS3.8 7.2.2)."""
    desk.associations.open = ReportContext("A-0001", 1, "1.2.840.10008.1.2")
    asked(desk)
    assert desk.associations.asked.wait(20)
    desk.clock.advance(1)
    desk.service.notify()
    assert desk.associations.told_at.get(timeout=20) == desk.clock.monotonic()


def test_a_report_to_nobody_waits_with_the_reason_and_what_helps(desk: Desk) -> None:
    asked(desk)
    desk.wait_for(ObjectsNotCommitted)
    desk.service.stop()  # waits for what is being done
    (status,) = desk.queries.list()
    assert "no peer CT_1 is known; add it with: peers add" in status.reason
    (instance,) = desk.queries.show(status.id).objects
    assert "0x0112 (no such object instance)" in instance.reason


def test_a_report_that_waits_is_sent_once_its_peer_is_known(desk: Desk) -> None:
    asked(desk)
    desk.wait_for(ObjectsNotCommitted)
    desk.configuration = Configuration(peers=(unreachable(),))
    desk.service.apply()
    assert desk.wait_for(CommitmentNotDelivered)
