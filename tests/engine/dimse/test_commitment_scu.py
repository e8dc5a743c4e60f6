"""A report on an association of its own reaches who listens for it."""

from __future__ import annotations

import socket
import threading
from functools import partial

import pytest

from engine.dimse.acceptor import AcceptorConnection, AssociateRequested, ReleaseRequested
from engine.dimse.acse import Service, negotiate
from engine.dimse.commands import N_EVENT_REPORT
from engine.dimse.commitment import CommitmentReport, Reference, encode_report
from engine.dimse.commitment_scu import CommitmentResult, ReportListener
from engine.dimse.contexts import COMMITMENT_CONTEXTS, IMPLICIT_LITTLE, STORAGE_COMMITMENT
from engine.dimse.pdata import ReceiveBuffer
from engine.dimse.scu import call
from engine.model.limits import Limits
from engine.model.peer import Peer, PeerDeadlines
from tests.running import free_port

REFERENCES = (Reference("1.2", "1.2.3"), Reference("1.2", "1.2.4"), Reference("1.2", "1.2.5"))
REPORT = CommitmentReport("1.2.9", REFERENCES[:1], ((REFERENCES[1], 0x0112),))


def test_a_report_comes_to_the_listener_of_its_requestor() -> None:
    port = free_port()
    peer, provided = Peer("127.0.0.1", port, "ME"), (str(STORAGE_COMMITMENT),)
    with ReportListener(port) as listener, listener.expecting("1.2.9"):
        with call(peer, COMMITMENT_CONTEXTS, PeerDeadlines(), provided=provided) as association:
            # What is no report is refused, and costs the next one nothing.
            refused = association.ask_commitment(N_EVENT_REPORT, 1, lambda _: b"\0" * 5)
            # Anybody may report anything: what is not waited for is not kept.
            other = REPORT._replace(transaction_uid="1.2.8")
            answers = [
                association.ask_commitment(N_EVENT_REPORT, 2, partial(encode_report, report))
                for report in (other, REPORT)
            ]
        assert [refused.status, *(answer.status for answer in answers)] == [0x0115, 0, 0]
        assert listener.report_of("1.2.8") is None
        assert listener.report_of("1.2.9") == REPORT
    assert listener.report_of("1.2.9") is None


def test_a_result_says_of_each_object_why_it_is_not_committed() -> None:
    result = CommitmentResult(REFERENCES, REPORT)
    assert [result.why_not(one) for one in REFERENCES] == [
        "",
        "0x0112 (no such object instance)",
        "the report does not name it",
    ]
    assert (result.committed, result.is_complete) == (1, False)
    assert CommitmentResult(REFERENCES, None).why_not(REFERENCES[0]) == "no report has come"


def late_report(server: socket.socket, left: list[bytes]) -> None:
    """Accept an association, report when its release is asked for, and note what comes then."""
    connected, _ = server.accept()
    acceptor, data = AcceptorConnection(Limits()), ReceiveBuffer(100_000)
    with connected:
        while not left:
            event = acceptor.next_event(data)
            if event is None:
                data.begin(data.rest())
                data.high += connected.recv_into(data.view[data.high :])
            elif isinstance(event, AssociateRequested):
                accepted = negotiate(event.proposal, 16_384, Service.COMMITMENT)
                connected.sendall(acceptor.accept(accepted, Limits()))
            elif isinstance(event, ReleaseRequested):
                report = acceptor.report(1, 2, encode_report(REPORT, IMPLICIT_LITTLE))
                connected.sendall(report)
                # The answer to the release is waited for, and nothing else is sent.
                connected.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    connected.recv(1)
                connected.settimeout(20)
                connected.sendall(acceptor.release())
                left.append(connected.recv(1))


def test_a_report_that_crosses_our_release_is_not_answered() -> None:
    """PS3.8 7.2.2: after its A-RELEASE-RQ a requestor sends nothing more."""
    left = list[bytes]()
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = Peer("127.0.0.1", server.getsockname()[1], "PACS")
        reporting = threading.Thread(target=late_report, args=(server, left))
        reporting.start()
        with call(peer, COMMITMENT_CONTEXTS, PeerDeadlines()):
            pass
        reporting.join()
    assert left == [b""]
