"""Bytes that no honest peer sends end in an abort or a close, at no cost (W4, W5, W7, F25–F34)."""

from __future__ import annotations

import random
import struct
import time
from typing import TYPE_CHECKING

import pytest

from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.peers.dock import SLACK_SECONDS, Dock, limited
from tests.peers.pdus import (
    AC,
    APPLICATION_CONTEXT,
    COMMAND,
    INSTANCE,
    LAST,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    RJ,
    RQ,
    USER_ITEMS,
    Context,
    abort_pdu,
    associate_rq,
    c_store_rq,
    command,
    item,
    message,
    pdu,
    pdv,
    store_message,
)
from tests.peers.process import DockProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024**2
UNRECOGNIZED_PDU, UNEXPECTED_PDU = 1, 2
"""Reasons of an A-ABORT by the service provider (PS3.8 9.3.8)."""
AT_ONCE_SECONDS = 3.0
DEADLINES = {"negotiation_seconds": 1.0, "pdu_seconds": 1.0}
GROWTH_BYTES = 24 * MIB
"""How much more memory a hostile peer may cost; buffers of the sockets are not in it."""
DEFLATED = "1.2.840.10008.1.2.1.99"
STORE_COMMAND = command(c_store_rq(CT_IMAGE_STORAGE, INSTANCE))
COMMAND_SET = message(STORE_COMMAND)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", DEADLINES) as dock:
        yield dock


@pytest.fixture
def dock_process(tmp_path: Path) -> Iterator[DockProcess]:
    limits = limited(data_set_bytes=MIB)
    with DockProcess(tmp_path / "data", DEADLINES, limits=limits) as dock:
        yield dock


GARBAGE = {
    "HTTP": (b"GET / HTTP/1.1\r\nHost: dock\r\n\r\n", "HTTP"),
    "TLS": (bytes.fromhex("16030102000100 01fc0303") + bytes(505), "TLS"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH"),
    "SMB": (bytes.fromhex("00000085ff534d4272000000001853c8") + bytes(117), ""),
    "PROXY": (b"PROXY TCP4 192.0.2.1 192.0.2.2 35646 104\r\n", ""),
    "zeros": (bytes(1_000), ""),
    "ones": (b"\xff" * 1_000, ""),
    "random": (random.Random(1).randbytes(1_000), ""),
    "text": (b"hello?\n", ""),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_what_is_no_dicom_ends_at_once_and_the_journal_says_what_it_looks_like(
    same_dock: Dock, kind: str
) -> None:
    garbage, guess = GARBAGE[kind]
    with same_dock.unharmed(says=guess):
        same_dock.call().send(garbage).expect_end(AT_ONCE_SECONDS).expect_closed(SLACK_SECONDS)


@pytest.mark.parametrize("kind", ["HTTP", "TLS", "zeros", "random", "text"])
def test_what_is_no_dicom_in_an_association_aborts_it(same_dock: Dock, kind: str) -> None:
    with same_dock.unharmed(says="abort"):
        same_dock.associate().send(GARBAGE[kind][0]).expect_abort(source=2, within=AT_ONCE_SECONDS)


@pytest.mark.parametrize("kind", [0x00, 0x08, 0x10, 0x80, 0xFF])
def test_an_unknown_pdu_type_is_aborted_whatever_its_length(same_dock: Dock, kind: int) -> None:
    with same_dock.unharmed():
        for length in (0, 4, 0xFFFFFFFF):
            unknown = pdu(kind, length=length)
            same_dock.call().send(unknown).expect_end(AT_ONCE_SECONDS)
            peer = same_dock.associate().send(unknown)
            peer.expect_abort(source=2, reason=UNRECOGNIZED_PDU, within=AT_ONCE_SECONDS)


@pytest.mark.parametrize("kind", [RQ, AC, RJ, RELEASE_RP, P_DATA])
def test_a_pdu_that_is_too_short_for_its_type_is_aborted(same_dock: Dock, kind: int) -> None:
    with same_dock.unharmed():
        for length in (0, 1):
            short = pdu(kind, bytes(length))
            same_dock.call().send(short).expect_end(AT_ONCE_SECONDS)
            same_dock.associate().send(short).expect_abort(source=2, within=AT_ONCE_SECONDS)


@pytest.mark.parametrize("kind", [RQ, RELEASE_RQ, P_DATA])
def test_a_huge_pdu_is_refused_by_its_length_and_not_kept(
    dock_process: DockProcess, kind: int
) -> None:
    before = dock_process.peak_bytes()
    with dock_process.unharmed():
        for length in (0x80000000, 0xFFFFFFFF, 64 * MIB):
            head = pdu(kind, b"", length=length)
            dock_process.call().send(head).flood(bytes(MIB), 64 * MIB)
            dock_process.associate().send(head).flood(bytes(MIB), 64 * MIB)
        assert dock_process.peak_bytes() - before < GROWTH_BYTES


def test_an_association_request_longer_than_any_honest_one_is_refused(same_dock: Dock) -> None:
    many = (Context(1, transfer_syntaxes=[f"1.2.3.{n}" for n in range(4_000)]),)
    long = associate_rq(contexts=many * 9, user_items=[item(0x99, bytes(60_000))])
    assert len(long) > 300_000
    with same_dock.unharmed():
        same_dock.call().send(long).expect_end(AT_ONCE_SECONDS)


def test_p_data_a_little_longer_than_negotiated_is_tolerated(dock: Dock) -> None:
    data_set = image(pixels=bytes(40_000))
    dock.limit(limited(pdu_bytes=16_384))
    with dock.unharmed():
        peer = dock.associate()
        assert struct.unpack(">I", peer.user_items[0x51]) == (16_384,)
        peer.store(data_set, pdv_sizes=(16_384 - 6 + 1,)).expect_status(0x0000).release()


def test_p_data_ten_times_longer_than_negotiated_is_aborted_as_invalid(dock: Dock) -> None:
    dock.limit(limited(pdu_bytes=4_096))
    with dock.unharmed(says="PDU"):
        peer = dock.associate()
        peer.store(image(pixels=bytes(100_000)), pdv_sizes=(41_000,))
        peer.expect_abort(source=2, reason=6, within=AT_ONCE_SECONDS)


def test_a_data_set_without_an_end_is_cut_at_its_limit(dock_process: DockProcess) -> None:
    endless = pdu(P_DATA, pdv(bytes(16_000), 0)) * 64
    before = dock_process.peak_bytes()
    with dock_process.unharmed(says="data set"):
        peer = dock_process.associate().send(COMMAND_SET)
        peer.flood(endless, 64 * MIB)
        peer.expect_abort()
        assert 0x0000 not in peer.statuses
        assert dock_process.peak_bytes() - before < GROWTH_BYTES


@pytest.mark.parametrize("size", [1, 4_000])
def test_a_command_set_without_an_end_is_cut_at_its_limit(
    dock_process: DockProcess, size: int
) -> None:
    endless = pdu(P_DATA, pdv(bytes(size), COMMAND)) * 1_000
    before = dock_process.peak_bytes()
    with dock_process.unharmed(says="command set"):
        peer = dock_process.associate()
        peer.flood(endless, 64 * MIB, within=20)
        assert dock_process.peak_bytes() - before < GROWTH_BYTES


PDV_ERRORS = {
    "longer than its PDU": pdu(P_DATA, pdv(b"abcd", COMMAND, length=400)),
    "much longer": pdu(P_DATA, pdv(b"abcd", COMMAND, length=0xFFFFFFFF)),
    "negative in 32 bits": pdu(P_DATA, pdv(b"abcd", COMMAND, length=0x80000000)),
    "one byte longer": pdu(P_DATA, pdv(b"abcd", COMMAND, length=7)),
    "of length 0": pdu(P_DATA, pdv(b"", COMMAND, length=0)),
    "of length 1": pdu(P_DATA, pdv(b"", COMMAND, length=1)),
    "shorter than its PDU": pdu(P_DATA, pdv(b"abcdef", COMMAND, length=5)),
    "only half a length": pdu(P_DATA, bytes(2)),
    "a length and nothing": pdu(P_DATA, struct.pack(">I", 2)),
    "followed by rubbish": pdu(P_DATA, pdv(b"abcd", COMMAND) + b"\0"),
    "of an unknown context": pdu(P_DATA, pdv(STORE_COMMAND, COMMAND | LAST, context_id=99)),
    "of an even context": pdu(P_DATA, pdv(STORE_COMMAND, COMMAND | LAST, context_id=2)),
    "of context 0": pdu(P_DATA, pdv(STORE_COMMAND, COMMAND | LAST, context_id=0)),
}


@pytest.mark.parametrize("error", PDV_ERRORS)
@pytest.mark.parametrize("start", [b"", COMMAND_SET], ids=["in the command", "in the data"])
def test_a_broken_pdv_aborts_the_association_as_invalid(
    same_dock: Dock, error: str, start: bytes
) -> None:
    with same_dock.unharmed(says="abort"):
        peer = same_dock.associate().send(start + PDV_ERRORS[error])
        peer.expect_abort(source=2, reason=6, within=AT_ONCE_SECONDS)


UNEXPECTED = {
    "a second request": associate_rq(),
    "an acceptance": pdu(AC, associate_rq()[6:]),
    "a rejection": pdu(RJ, bytes([0, 1, 1, 1])),
    "a release response": pdu(RELEASE_RP),
}


@pytest.mark.parametrize("what", UNEXPECTED)
@pytest.mark.parametrize("start", [b"", COMMAND_SET], ids=["between objects", "inside one"])
def test_a_pdu_out_of_place_aborts_the_association(
    same_dock: Dock, what: str, start: bytes
) -> None:
    with same_dock.unharmed(says="abort"):
        peer = same_dock.associate().send(start + UNEXPECTED[what])
        peer.expect_abort(source=2, reason=UNEXPECTED_PDU, within=AT_ONCE_SECONDS)


@pytest.mark.parametrize(
    "first",
    [*list(UNEXPECTED.values())[1:], store_message(image()), pdu(RELEASE_RQ), abort_pdu()],
    ids=[*list(UNEXPECTED)[1:], "data", "a release", "an abort"],
)
def test_anything_but_a_request_before_the_association_ends_the_connection(
    same_dock: Dock, first: bytes
) -> None:
    with same_dock.unharmed():
        same_dock.call().send(first).expect_end(AT_ONCE_SECONDS).expect_closed(SLACK_SECONDS)


APPLICATION = item(0x10, APPLICATION_CONTEXT.encode())
USER = item(0x50, b"".join(USER_ITEMS))
ODD_REQUESTS = {
    "no context": associate_rq(contexts=()),
    "129 contexts": associate_rq(contexts=[Context(n % 256) for n in range(1, 259, 2)]),
    "one id twice": associate_rq(contexts=(Context(1), Context(1))),
    "one id for two classes": associate_rq(contexts=(Context(1), Context(1, "1.2.840.10008.1.1"))),
    "an even id": associate_rq(contexts=(Context(2), Context(1))),
    "id 0": associate_rq(contexts=(Context(0),)),
    "no transfer syntax": associate_rq(contexts=(Context(1, transfer_syntaxes=()),)),
    "an empty transfer syntax": associate_rq(contexts=(Context(1, transfer_syntaxes=("",)),)),
    "an empty abstract syntax": associate_rq(contexts=(Context(1, ""),)),
    "UIDs that are none": associate_rq(contexts=(Context(1, "../../x", ("$(id)", "\x1b[31m")),)),
    "a UID of 60,000 characters": associate_rq(contexts=(Context(1, "1." * 30_000),)),
    "9,000 transfer syntaxes": associate_rq(
        contexts=(Context(1, transfer_syntaxes=["1.2"] * 9_000),)
    ),
    "no items": associate_rq(items=b""),
    "no user information": associate_rq(items=APPLICATION + Context(1).encode()),
    "no application context": associate_rq(items=Context(1).encode() + USER),
    "two application contexts": associate_rq(items=APPLICATION * 2 + Context(1).encode() + USER),
    "an unknown item": associate_rq(items=APPLICATION + item(0x77, b"?") + Context(1).encode()),
    "a truncated item": associate_rq(items=APPLICATION + Context(1).encode() + USER[:-3]),
    "an item beyond the end": associate_rq(items=APPLICATION + item(0x20, b"\1\0\0\0", length=999)),
    "an item without its head": associate_rq(items=APPLICATION + b"\x20\x00\x01"),
    "a context without its head": associate_rq(items=APPLICATION + item(0x20, b"\1") + USER),
    "unknown user items": associate_rq(user_items=[*USER_ITEMS, item(0x99, b"x"), item(0, b"")]),
    "10,000 user items": associate_rq(user_items=[item(0x99, b"")] * 10_000),
    "a maximum length of 2 bytes": associate_rq(user_items=[item(0x51, b"\0\0")]),
    "a maximum length of 1": associate_rq(user_items=[item(0x51, b"\0\0\0\1"), USER_ITEMS[1]]),
    "no implementation UID": associate_rq(user_items=USER_ITEMS[:1]),
    "a long implementation version": associate_rq(
        user_items=[*USER_ITEMS, item(0x55, b"V" * 3_000)]
    ),
    "a binary implementation version": associate_rq(
        user_items=[*USER_ITEMS, item(0x55, b"\xff\0")]
    ),
    "a short role selection": associate_rq(user_items=[*USER_ITEMS, item(0x54, b"\0")]),
    "protocol version 0": associate_rq(version=0),
    "protocol version 2": associate_rq(version=2),
    "protocol version 0xFFFF": associate_rq(version=0xFFFF),
    "a short request": pdu(RQ, associate_rq()[6:40]),
    "zeros": pdu(RQ, bytes(500)),
    "a path as AE title": associate_rq("../../etc/cron.d", "[/x] [red]a@b"),
    "escapes as AE titles": associate_rq(b"XNAT\x1b[2J", b"\x1b]0;x\x07"),
    "binary AE titles": associate_rq(bytes(range(128, 144)), b"\xff" * 16),
    "blank AE titles": associate_rq(b" " * 16, b" " * 16),
    "NUL AE titles": associate_rq(bytes(16), bytes(16)),
    "a deflated context only": associate_rq(contexts=(Context(1, transfer_syntaxes=(DEFLATED,)),)),
}


@pytest.mark.parametrize("what", ODD_REQUESTS)
def test_an_odd_request_is_answered_and_whatever_is_accepted_works(
    same_dock: Dock, what: str
) -> None:
    with same_dock.unharmed():
        peer = same_dock.call().send(ODD_REQUESTS[what])
        if peer.is_accepted(AT_ONCE_SECONDS):
            if peer.accepted.get(1) == EXPLICIT_VR_LITTLE_ENDIAN:
                peer.store(image(), pdv_sizes=(1_000,)).outcome()
            peer.abort().close()


def test_a_deflated_transfer_syntax_is_refused_and_the_other_one_taken(same_dock: Dock) -> None:
    proposed = (
        Context(1, transfer_syntaxes=(DEFLATED,)),
        Context(3, transfer_syntaxes=(DEFLATED, EXPLICIT_VR_LITTLE_ENDIAN)),
    )
    with same_dock.unharmed():
        peer = same_dock.associate(contexts=proposed)
        assert peer.refused == {1: 4}
        assert peer.accepted == {3: EXPLICIT_VR_LITTLE_ENDIAN}
        peer.release()


def test_every_rejection_of_an_unknown_title_arrives(same_dock: Dock) -> None:
    with same_dock.unharmed(says=r"rejected \(1/1/7\)"):
        for _ in range(20):
            same_dock.call().request("NOBODY").expect_reject(1, 1, 7).expect_closed()


def test_every_rejection_for_the_limit_arrives(dock: Dock) -> None:
    dock.limit(limited(associations_per_receiver=1))
    with dock.unharmed(says=r"rejected \(2/3/2\)"):
        first = dock.associate()
        for _ in range(20):
            dock.call().request().expect_reject(2, 3, 2).expect_closed()
        first.release()


def test_a_rejection_arrives_although_the_caller_has_sent_more(same_dock: Dock) -> None:
    with same_dock.unharmed():
        for _ in range(20):
            peer = same_dock.call().send(associate_rq("NOBODY") + store_message(image()))
            peer.expect_reject(1, 1, 7).expect_closed()


@pytest.mark.parametrize("way", ["close", "rst", "half_close"])
def test_a_port_scan_costs_no_thread_and_few_lines(dock: Dock, way: str) -> None:
    told = dock.told()
    with dock.unharmed(says="ended without an association"):
        for _ in range(100):
            getattr(dock.call(), way)()
        for peer in dock.peers[-100:]:
            if peer.is_open:
                peer.expect_closed()
    assert sum("without an association" in sentence for sentence in dock.sentences(told)) < 10


def test_descriptors_beyond_1024_work(tmp_path: Path) -> None:
    with DockProcess(tmp_path / "data", DEADLINES, occupied=1_100) as dock, dock.unharmed():
        dock.associate().echo().store(image()).expect_status(0x0000).release()
        stuck = dock.associate().send(store_message(image())[:-100])
        stuck.expect_abort(within=DEADLINES["pdu_seconds"] + SLACK_SECONDS)


def test_an_abort_is_not_answered_and_closes_the_connection(same_dock: Dock) -> None:
    with same_dock.unharmed(says="aborted"):
        peer, started = same_dock.associate().abort(), time.monotonic()
        assert peer.ending(SLACK_SECONDS).source is None
        assert time.monotonic() - started < AT_ONCE_SECONDS
