"""Associations as requestor: what a peer may do to us, and what is made of it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.dicom.part10 import FileMeta, open_sendable
from engine.dimse.acse import A_RELEASE_RQ, encode_abort, encode_associate_rj
from engine.dimse.contexts import VERIFICATION
from engine.dimse.scu import OutgoingAssociation, call, echo, echo_peer, store_one
from engine.errors import (
    AssociationBroken,
    AssociationRefused,
    ContextRefused,
    PeerError,
    PeerUnreachable,
)
from engine.host.clock import SystemClock
from engine.model.peer import CallingTls, Peer, PeerDeadlines
from tests import dicom
from tests.certificates import Authority
from tests.peers import recordings
from tests.peers.pdus import COMMAND, P_DATA, pdu, pdv
from tests.peers.scp import Mood, Scp, always
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = PeerDeadlines()
QUICK = replace(PATIENT, answer_seconds=0.3)
"""For peers that never answer: others may be slow, as the machine may be."""
QUICK_WORDS = "within 0.3 s"
CT = dicom.CT_IMAGE_STORAGE
CONTEXT = (CT, dicom.EXPLICIT_VR_LITTLE_ENDIAN)


def peer(port: int, **more: object) -> Peer:
    return Peer(LOOPBACK, port, "PACS", **more)  # type: ignore[arg-type]


def store(port: int, deadlines: PeerDeadlines = PATIENT, pixels: bytes | None = None) -> bytes:
    """Send one object, and return its data set."""
    data_set = dicom.image(pixels=pixels, SOPInstanceUID="1.2.1")
    with call(peer(port), [CONTEXT], deadlines) as association:
        association.store(CONTEXT, "1.2.1", [memoryview(data_set)], len(data_set))
    return data_set


def test_a_large_object_is_cut_into_pdus_that_fit() -> None:
    with Scp() as scp:
        data_set = store(scp.port, pixels=bytes(range(256)) * 12_000)
    assert scp.received[0][2] == data_set


def test_a_failure_status_is_told_with_what_the_peer_says_and_nothing_that_steers(
    tmp_path: Path,
) -> None:
    file = tmp_path / "1.dcm"
    preamble = FileMeta(*CONTEXT, "CT1", "XNAT").preamble("1.2.1")
    file.write_bytes(preamble + dicom.image(SOPInstanceUID="1.2.1"))
    with Scp() as scp, call(peer(scp.port), [CONTEXT], PATIENT) as association:
        scp.status = always(0xA700)
        with open_sendable(file) as sendable:
            answer = store_one(association, sendable)
    assert answer == (0xA700, "the peer answers 0xA700 (out of resources): no�[2J")


@pytest.mark.parametrize(
    ("mood", "says"),
    [
        (Mood.ABORT, "aborted the association"),
        (Mood.UNANSWERED, f"did not answer {QUICK_WORDS}"),
        (Mood.GARBAGE, "sent an unreadable response"),
        (Mood.RELEASE, "released the association in the middle of it"),
        (Mood.STRANGE, "sent a PDU of type 0x09"),
        (Mood.WRONG, "sent a response to another request"),
        (Mood.ENDLESS, "announces 4,294,967,295 bytes"),
        (Mood.SILENT, f"did not answer {QUICK_WORDS}"),
    ],
)
def test_a_peer_that_breaks_off_or_falls_silent_is_left_in_time(mood: Mood, says: str) -> None:
    with Scp(mood=mood) as scp, pytest.raises(AssociationBroken, match=says):
        store(scp.port, QUICK if QUICK_WORDS in says else PATIENT)


def test_a_peer_that_takes_no_more_bytes_is_left_in_time() -> None:
    with Scp(mood=Mood.DEAF) as scp:
        with (
            pytest.raises(AssociationBroken, match="took nothing"),
            call(peer(scp.port), [CONTEXT], replace(PATIENT, answer_seconds=1)) as association,
        ):
            pieces = [memoryview(bytes(2**20))] * 40
            association.store(CONTEXT, "1.2.3", pieces, 40 * 2**20)
        assert not association.is_open
        scp.mood = Mood.TAKE
        with scp.changed:
            scp.changed.notify_all()


def test_another_thread_may_end_a_wait_for_the_peer() -> None:
    with (
        Scp(mood=Mood.UNANSWERED) as scp,
        pytest.raises(AssociationBroken, match="closed the connection"),
        call(peer(scp.port), [CONTEXT], PeerDeadlines()) as association,
    ):
        threading.Timer(0.05, association.hang_up).start()
        association.store(CONTEXT, "1.2.3", [memoryview(b"12")], 2)


class Wire:
    """Passes bytes on between a caller and a port, and keeps what the caller sends."""

    def __init__(self, port: int) -> None:
        self.seen = bytearray()
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = self._server.getsockname()[1]
        self._far = socket.create_connection((LOOPBACK, port))
        self._threads = [threading.Thread(target=self._there)]
        self._threads[0].start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(20)
        self._far.close()
        self._server.close()

    def _there(self) -> None:
        near, _ = self._server.accept()
        back = threading.Thread(target=self._back, args=(near,))
        self._threads.append(back)
        back.start()
        with suppress(OSError):
            while piece := near.recv(65536):
                self.seen += piece
                self._far.sendall(piece)
        with suppress(OSError):
            self._far.shutdown(socket.SHUT_RDWR)
        back.join(20)
        near.close()

    def _back(self, near: socket.socket) -> None:
        with suppress(OSError):
            while piece := self._far.recv(65536):
                near.sendall(piece)


def test_not_a_byte_goes_out_in_plain_while_another_thread_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own shutdown of a TLS socket drops TLS first, and is held here right after that."""
    authority, port = Authority(tmp_path / "pki"), free_port()
    held, go_on, shut = threading.Event(), threading.Event(), socket.socket.shutdown

    def hold(connection: socket.socket, how: int) -> None:
        if threading.current_thread() is hanging_up:
            held.set()
            go_on.wait(20)
        shut(connection, how)

    with Dock() as dock:
        dock.apply(make_receiver("PACS", port, **authority.settings()))
        with Wire(port) as wire:
            context = authority.client("dock.example")
            context.check_hostname = False
            called = peer(wire.port)
            association = OutgoingAssociation(
                called, [(VERIFICATION, dicom.IMPLICIT_VR_LITTLE_ENDIAN)], PeerDeadlines(), context
            )
            hanging_up = threading.Thread(target=association.hang_up)
            monkeypatch.setattr(socket.socket, "shutdown", hold)
            hanging_up.start()
            assert held.wait(20)
            with suppress(AssociationBroken):
                association.echo()
            go_on.set()
            hanging_up.join(20)
            association.release()
        assert VERIFICATION.encode() not in wire.seen


def test_an_object_that_ends_early_ends_the_association_for_half_of_it_is_no_message() -> None:
    def pieces() -> list[memoryview]:
        raise OSError

    class Broken:
        def __iter__(self) -> object:
            return iter(pieces())

    with Scp() as scp, call(peer(scp.port), [CONTEXT], PATIENT) as association:
        with pytest.raises(OSError):
            association.store(CONTEXT, "1.2.3", Broken(), 2)  # type: ignore[arg-type]
        assert not association.is_open


def test_a_rejection_says_why_and_what_to_do() -> None:
    with Scp(mood=Mood.REJECT) as scp, pytest.raises(AssociationRefused) as refused:
        echo_peer(peer(scp.port), PATIENT)
    assert (refused.value.result, refused.value.source, refused.value.reason) == (1, 1, 7)
    assert refused.value.detail.endswith(
        "rejects the association permanently: there is no AE title PACS"
    )


def test_nobody_there_is_said_with_the_address() -> None:
    port = free_port()
    with pytest.raises(PeerUnreachable, match=f"PACS@127.0.0.1:{port}: connection refused"):
        echo_peer(peer(port), PATIENT)


def test_an_answer_that_is_no_dicom_is_no_acceptance() -> None:
    def answer(content: bytes) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(content)

    for content in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x02\0\0\0\0\x04\0\1\0\0",
        b"\x06\0" * 5,
    ):
        with socket.create_server((LOOPBACK, 0)) as server:
            thread = threading.Thread(target=answer, args=(content,))
            thread.start()
            with pytest.raises(PeerError):
                OutgoingAssociation(peer(server.getsockname()[1]), [CONTEXT], QUICK)
            thread.join()


class Scripted:
    """A peer that sends the pieces of a script, ten a second, whatever it receives."""

    def __init__(self, *pieces: bytes) -> None:
        self.received = b""
        """All that came until the caller closed the connection."""
        self._pieces = pieces
        self._server = socket.create_server((LOOPBACK, 0))
        self.port: int = self._server.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, suppress(OSError):
            for piece in self._pieces:
                connection.sendall(piece)
                self._over.wait(0.1)
            while piece := connection.recv(65536):
                self.received += piece


ECHO = (VERIFICATION, dicom.IMPLICIT_VR_LITTLE_ENDIAN)
PROPOSED = [ECHO, CONTEXT, (CT, dicom.JPEG_BASELINE)]
ACCEPTANCE = recordings.DCMTK[:250]
"""It is followed by the answer to a C-ECHO, of 90 bytes."""


def test_a_peer_that_drips_its_answer_has_no_more_time_than_for_the_answer() -> None:
    command = pdu(P_DATA, pdv(b"12", COMMAND))
    with Scripted(ACCEPTANCE, *[command] * 100) as scripted:
        association = OutgoingAssociation(peer(scripted.port), PROPOSED, QUICK)
        with pytest.raises(AssociationBroken, match=r"did not answer within 0\.3 s"):
            association.echo()


def test_a_peer_that_breaks_the_protocol_gets_an_abort_of_the_service_provider() -> None:
    with Scripted(ACCEPTANCE, pdu(0x09)) as scripted:
        association = OutgoingAssociation(peer(scripted.port), PROPOSED, QUICK)
        with pytest.raises(AssociationBroken, match="a PDU of type 0x09"):
            association.echo()
    assert scripted.received.endswith(encode_abort(2, 1))


def test_a_peer_that_falls_silent_gets_an_abort_of_the_service_user() -> None:
    with Scripted(ACCEPTANCE) as scripted:
        association = OutgoingAssociation(peer(scripted.port), PROPOSED, QUICK)
        with pytest.raises(AssociationBroken, match="did not answer"):
            association.echo()
    assert scripted.received.endswith(encode_abort(0))


def test_what_came_behind_an_answer_is_not_quiet() -> None:
    with Scripted(recordings.DCMTK[:340] + A_RELEASE_RQ) as scripted:
        association = OutgoingAssociation(peer(scripted.port), PROPOSED, QUICK)
        assert association.echo().status == 0
        assert association.is_open
        assert not association.is_quiet()
        association.release()


def test_nothing_is_sent_over_an_association_that_has_ended() -> None:
    with Scp() as scp:
        association = call(peer(scp.port), [CONTEXT], QUICK)
        association.release()
        for send in (association.echo, lambda: association.store(CONTEXT, "1.2", [], 0)):
            with pytest.raises(AssociationBroken, match="the association has ended"):
                send()


def test_two_releases_at_once_end_the_association_in_good_order() -> None:
    with Scp(mood=Mood.COLLIDE) as scp:
        association = call(peer(scp.port), [CONTEXT], QUICK)
        assert association.is_quiet()
        association.release()
        assert not association.is_open
        assert not association.is_quiet()
        association.release()


def test_an_echo_needs_its_context() -> None:
    with Scp() as scp:
        assert echo_peer(peer(scp.port), PATIENT) == 0
        with (
            pytest.raises(ContextRefused),
            call(peer(scp.port), [CONTEXT], PATIENT) as association,
        ):
            association.echo()


def test_tls_that_the_peer_does_not_speak_is_said_so(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca").ca_file
    hurried = PeerDeadlines(connect_seconds=0.2)
    with Scp() as scp, pytest.raises(PeerUnreachable, match="no TLS: the handshake was not answer"):
        echo_peer(peer(scp.port, tls=CallingTls(str(ca))), hurried)


@pytest.mark.parametrize(
    ("whitelist_enabled", "source", "reason", "is_answer", "detail"),
    [
        (True, 1, 3, True, "answers; its whitelist rejects DICOMDOCK, as configured"),
        (False, 1, 3, False, "rejects the association (source 1, reason 3)"),
        (True, 1, 7, False, "rejects the called AE title XNAT"),
        (True, 3, 2, False, "rejects the association (source 3, reason 2)"),
    ],
)
def test_an_echo_of_a_receiver_counts_a_rejection_by_its_own_whitelist_as_an_answer(
    whitelist_enabled: bool, source: int, reason: int, is_answer: bool, detail: str
) -> None:
    with Scripted(encode_associate_rj(1, source, reason)) as scripted:
        receiver = make_receiver("XNAT", scripted.port, whitelist_enabled=whitelist_enabled)
        result = echo(receiver, LOOPBACK, SystemClock())
    assert (result.ok, result.detail) == (is_answer, detail)


def test_an_echo_of_a_receiver_that_does_not_speak_tls_is_no_answer(tmp_path: Path) -> None:
    files = Authority(tmp_path / "ca").settings()
    with Scripted(encode_abort(0)) as scripted:
        receiver = make_receiver("SAFE", scripted.port, **files)
        result = echo(receiver, LOOPBACK, SystemClock())
    assert not result.ok
    assert result.detail.startswith("no TLS: ")
