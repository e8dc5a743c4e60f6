"""P-DATA streams, cut anywhere, give the same messages; malformed ones are named."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dimse.command import MAX_COMMAND_BYTES
from engine.dimse.fragments import FragmentParser, ProtocolViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND, DATA, LAST = 1, 0, 2


class Taken:
    """Collects what a parser gives."""

    def __init__(self, has_data: bool = True) -> None:
        self.messages: list[tuple[int, bytes, bytes]] = []
        self._has_data = has_data
        self._current = (0, b"")
        self._data = b""

    def command(self, context_id: int, encoded: bytes) -> bool:
        self._current, self._data = (context_id, encoded), b""
        if not self._has_data:
            self.messages.append((*self._current, b""))
        return self._has_data

    def data(self, segments: Sequence[memoryview]) -> None:
        self._data += b"".join(segments)

    def data_end(self) -> None:
        self.messages.append((*self._current, self._data))


def pdv(context_id: int, control: int, content: bytes) -> bytes:
    return struct.pack(">IBB", len(content) + 2, context_id, control) + content


def pdu(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BxI", 4, len(body)) + body


def feed(
    stream: bytes, cuts: Sequence[int] = (), max_pdu_bytes: int = 70_000, pdus: int | None = None
) -> Taken:
    """Hand a stream to a parser in pieces, as a receive buffer would; it may count the PDUs."""
    taken = Taken()
    parser = FragmentParser(max_pdu_bytes, taken)
    buffer = bytearray(len(stream) + 1)
    view = memoryview(buffer)
    low = high = 0
    for cut in (*sorted(cuts), len(stream)):
        buffer[high:cut] = stream[high:cut]
        high = max(high, cut)
        low, other = parser.parse(buffer, view, low, high)
        assert not other
    assert low == high == len(stream)
    assert not parser.inside_message
    assert pdus in {None, parser.pdus}
    return taken


MESSAGES = pdu(pdv(1, COMMAND | LAST, b"command one"), pdv(1, DATA, b"data")) + pdu(
    pdv(1, DATA, b" of "), pdv(1, DATA | LAST, b"one")
)
MESSAGES += pdu(pdv(3, COMMAND, b"command ")) + pdu(pdv(3, COMMAND | LAST, b"two"))
MESSAGES += pdu(pdv(3, DATA, b"")) + pdu(pdv(3, DATA | LAST, b""))
EXPECTED = [(1, b"command one", b"data of one"), (3, b"command two", b"")]


def test_a_stream_gives_its_messages() -> None:
    assert feed(MESSAGES, pdus=6).messages == EXPECTED


@given(st.lists(st.integers(0, len(MESSAGES)), max_size=40))
def test_wherever_a_stream_is_cut_the_messages_are_the_same(cuts: list[int]) -> None:
    assert feed(MESSAGES, cuts, pdus=6).messages == EXPECTED


def test_byte_by_byte_the_messages_are_the_same() -> None:
    assert feed(MESSAGES, range(len(MESSAGES)), pdus=6).messages == EXPECTED


CLOSED_BY_NOTHING = pdu(pdv(1, COMMAND | LAST, b"command")) + pdu(
    pdv(1, DATA, b"data"), pdv(1, DATA | LAST, b"")
)


@pytest.mark.parametrize("cut", range(len(CLOSED_BY_NOTHING)))
def test_an_empty_fragment_behind_another_one_ends_the_data_set_as_soon_as_it_is_there(
    cut: int,
) -> None:
    assert feed(CLOSED_BY_NOTHING, [cut], pdus=2).messages == [(1, b"command", b"data")]


def test_pdus_that_begin_alike_are_cut_where_each_ends() -> None:
    """The command set's PDU is as long as each of the others, and the buffer ends with them."""
    alike = [bytes([65 + number]) * 20 for number in range(8)]
    stream = pdu(pdv(1, COMMAND | LAST, bytes(20))) + b"".join(
        pdu(pdv(1, DATA, content)) for content in alike
    )
    taken, buffer = Taken(), bytearray(stream)
    parser = FragmentParser(70_000, taken)
    assert parser.parse(buffer, memoryview(buffer), 0, len(stream)) == (len(stream), False)
    assert taken._data == b"".join(alike)
    assert parser.pdus == 9


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (struct.pack(">BxI", 4, 0), "says it has 0 bytes"),
        (struct.pack(">BxI", 4, 5) + b"\0" * 5, "says it has 5 bytes"),
        (struct.pack(">BxI", 4, 0xFFFFFFFF), "says it has 4,294,967,295 bytes"),
        (struct.pack(">BxI", 4, 70_001), "says it has 70,001 bytes"),
        (struct.pack(">BxIIBB", 4, 6, 0, 1, 3), "a PDV says it has 0 bytes"),
        (struct.pack(">BxIIBB", 4, 6, 1, 1, 3), "a PDV says it has 1 bytes"),
        (struct.pack(">BxIIBB", 4, 10, 100, 1, 3) + b"\0" * 4, "a PDV says it has 100 bytes"),
        (pdu(pdv(1, COMMAND | LAST, b"c") + b"\0\0"), "ends inside a PDV's head"),
        (pdu(pdv(1, COMMAND | LAST, bytes(MAX_COMMAND_BYTES + 1))), "command set is longer"),
        (pdu(pdv(1, DATA | LAST, b"d")), "where a command is due"),
        (
            pdu(pdv(1, COMMAND | LAST, b"c"), pdv(1, COMMAND | LAST, b"c")),
            "where a data set is due",
        ),
        (
            pdu(pdv(1, COMMAND | LAST, b"c"), pdu(pdv(1, DATA | LAST, b"a PDU inside a PDU"))),
            "changes its presentation context",
        ),
    ],
)
def test_a_malformed_stream_is_refused_in_words(stream: bytes, words: str) -> None:
    with pytest.raises(ProtocolViolation, match=words):
        feed(stream)


def test_a_command_set_without_an_end_is_cut_off() -> None:
    fragment = pdu(pdv(1, COMMAND, bytes(30_000)))
    with pytest.raises(ProtocolViolation, match="command set is longer"):
        feed(fragment * (MAX_COMMAND_BYTES // 30_000 + 1))


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6, 7, 0, 0xFF])
def test_a_pdu_of_another_type_is_left_where_it_stands(kind: int) -> None:
    stream = MESSAGES + struct.pack(">BxI", kind, 4) + bytes(4)
    taken = Taken()
    parser = FragmentParser(70_000, taken)
    buffer = bytearray(stream)
    low, other = parser.parse(buffer, memoryview(buffer), 0, len(stream))
    assert (low, other) == (len(MESSAGES), True)
    assert taken.messages == EXPECTED


def test_a_message_without_data_set_is_complete_after_its_command() -> None:
    stream = pdu(pdv(1, COMMAND | LAST, b"echo"))
    taken = Taken(has_data=False)
    parser = FragmentParser(70_000, taken)
    buffer = bytearray(stream * 2)
    parser.parse(buffer, memoryview(buffer), 0, len(buffer))
    assert taken.messages == [(1, b"echo", b"")] * 2
    assert not parser.inside_message
