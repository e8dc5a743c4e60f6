"""P-DATA streams, cut anywhere, give the same messages; malformed ones are named."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dimse.pdata import (
    MAX_COMMAND_BYTES,
    CommandSet,
    PDataParser,
    ProtocolViolation,
    ReceiveBuffer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND, DATA, LAST = 1, 0, 2


class Taken:
    """A parser, and the messages that it has given."""

    def __init__(self, max_pdu_bytes: int = 70_000, *, has_data: bool = True) -> None:
        self.messages: list[tuple[int, bytes, bytes]] = []
        self.parser = PDataParser(max_pdu_bytes)
        self.data = b""
        """Of the message that is under way."""
        self._has_data = has_data
        self._current = (0, b"")

    def take(self, received: ReceiveBuffer) -> None:
        """Take all that a buffer gives."""
        while (found := self.parser.next(received)) is not None:
            if isinstance(found, CommandSet):
                self._current, self.data = (found.context_id, found.encoded), b""
                self.parser.expects_data = self._has_data
                is_last = not self._has_data
            else:
                # At once: the next call may use the memory again.
                self.data += b"".join(found.segments)
                is_last = found.is_last
            if is_last:
                self.messages.append((*self._current, self.data))


def holding(stream: bytes) -> ReceiveBuffer:
    """Return a buffer that has received a stream."""
    received = ReceiveBuffer(len(stream) + 1)
    received.begin(stream)
    return received


def pdv(context_id: int, control: int, content: bytes) -> bytes:
    return struct.pack(">IBB", len(content) + 2, context_id, control) + content


def pdu(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BxI", 4, len(body)) + body


def feed(
    stream: bytes, cuts: Sequence[int] = (), max_pdu_bytes: int = 70_000, pdus: int | None = None
) -> Taken:
    """Hand a stream to a parser in pieces, as a receive buffer would; it may count the PDUs."""
    taken = Taken(max_pdu_bytes)
    received = ReceiveBuffer(len(stream) + 1)
    for cut in (*sorted(cuts), len(stream)):
        received.view[received.high : cut] = stream[received.high : cut]
        received.high = max(received.high, cut)
        taken.take(received)
    assert received.low == received.high == len(stream)
    assert not taken.parser.inside_message
    assert pdus in {None, taken.parser.pdus}
    return taken


MESSAGES = pdu(pdv(1, COMMAND | LAST, b"command one"), pdv(1, DATA, b"data")) + pdu(
    pdv(1, DATA, b" of "), pdv(1, DATA | LAST, b"one")
)
MESSAGES += pdu(pdv(3, COMMAND, b"command ")) + pdu(pdv(3, COMMAND | LAST, b"two"))
MESSAGES += pdu(pdv(3, DATA, b"")) + pdu(pdv(3, DATA | LAST, b""))
EXPECTED = [(1, b"command one", b"data of one"), (3, b"command two", b"")]


def test_a_stream_gives_its_messages() -> None:
    assert feed(MESSAGES, pdus=6).messages == EXPECTED


@pytest.mark.parametrize("cut", range(len(MESSAGES)))
def test_cut_in_two_at_any_byte_the_messages_are_the_same(cut: int) -> None:
    assert feed(MESSAGES, [cut], pdus=6).messages == EXPECTED


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
    taken, received = Taken(), holding(stream)
    taken.take(received)
    assert received.low == len(stream)
    assert taken.data == b"".join(alike)
    assert taken.parser.pdus == 9


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (struct.pack(">BxI", 4, 0), "announces 0 bytes"),
        (struct.pack(">BxI", 4, 5) + b"\0" * 5, "announces 5 bytes"),
        (struct.pack(">BxI", 4, 0xFFFFFFFF), "announces 4,294,967,295 bytes"),
        (struct.pack(">BxI", 4, 70_001), "announces 70,001 bytes"),
        (struct.pack(">BxIIBB", 4, 6, 0, 1, 3), "a PDV announces 0 bytes"),
        (struct.pack(">BxIIBB", 4, 6, 1, 1, 3), "a PDV announces 1 bytes"),
        (struct.pack(">BxIIBB", 4, 10, 100, 1, 3) + b"\0" * 4, "a PDV announces 100 bytes"),
        (pdu(pdv(1, COMMAND | LAST, b"c") + b"\0\0"), "ends inside a PDV's head"),
        (pdu(pdv(1, COMMAND | LAST, bytes(MAX_COMMAND_BYTES + 1))), "command set is longer"),
        (pdu(pdv(1, DATA | LAST, b"d")), "where a command must follow"),
        (
            pdu(pdv(1, COMMAND | LAST, b"c"), pdv(1, COMMAND | LAST, b"c")),
            "where a data set must follow",
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


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_data_set_stays_on_its_presentation_context_also_in_whole_pdus(*, is_cut: bool) -> None:
    begun = pdu(pdv(1, COMMAND | LAST, b"command")) + pdu(pdv(1, DATA, b"da"))
    others = pdu(pdv(3, DATA, b"ta")) * 3
    with pytest.raises(ProtocolViolation, match="changes its presentation context"):
        feed(begun + others, [len(begun)] if is_cut else [])


def test_a_command_set_without_an_end_is_cut_off() -> None:
    fragment = pdu(pdv(1, COMMAND, bytes(30_000)))
    with pytest.raises(ProtocolViolation, match="command set is longer"):
        feed(fragment * (MAX_COMMAND_BYTES // 30_000 + 1))


@pytest.mark.parametrize("kind", [1, 2, 3, 5, 6, 7, 0, 0xFF])
def test_a_pdu_of_another_type_is_left_where_it_stands(kind: int) -> None:
    stream = MESSAGES + struct.pack(">BxI", kind, 4) + bytes(4)
    taken, received = Taken(), holding(stream)
    taken.take(received)
    assert received.low == len(MESSAGES)
    assert taken.messages == EXPECTED
    assert not taken.parser.inside_pdu


def test_a_message_without_data_set_is_complete_after_its_command() -> None:
    stream = pdu(pdv(1, COMMAND | LAST, b"echo"))
    taken = Taken(has_data=False)
    taken.take(holding(stream * 2))
    assert taken.messages == [(1, b"echo", b"")] * 2
    assert not taken.parser.inside_message


def test_a_data_set_is_given_as_it_comes_and_its_end_is_told() -> None:
    stream = pdu(pdv(1, COMMAND | LAST, b"command"), pdv(1, DATA, b"da"), pdv(1, DATA, b"ta"))
    taken, received = Taken(), holding(stream)
    taken.take(received)
    assert (taken.data, taken.messages) == (b"data", [])
    assert taken.parser.inside_message
    assert not taken.parser.inside_pdu
    received.begin(pdu(pdv(1, DATA | LAST, b"!")))
    taken.take(received)
    assert taken.messages == [(1, b"command", b"data!")]
    assert not taken.parser.inside_message


def test_two_messages_in_one_buffer_are_given_one_after_the_other() -> None:
    """Whoever asks says in between whether a data set follows the first command."""
    store, echo = pdu(pdv(1, COMMAND | LAST, b"store")), pdu(pdv(3, COMMAND | LAST, b"echo"))
    received, parser = holding(echo + store), PDataParser(70_000)
    assert parser.next(received) == CommandSet(3, b"echo")
    assert received.low == len(echo)
    assert parser.next(received) == CommandSet(1, b"store")
    assert parser.next(received) is None


def test_segments_lie_in_the_receive_buffer_and_are_not_copied() -> None:
    stream = pdu(pdv(1, COMMAND | LAST, b"command"), pdv(1, DATA | LAST, b"data"))
    parser, received = PDataParser(70_000), holding(stream)
    parser.next(received)
    parser.expects_data = True
    found = parser.next(received)
    assert found is not None
    assert not isinstance(found, CommandSet)
    assert found.segments == [memoryview(b"data")]
    assert all(segment.obj is received.buffer for segment in found.segments)


def test_what_is_not_consumed_goes_on_in_another_buffer() -> None:
    stream = pdu(pdv(1, COMMAND | LAST, b"command"))
    first, taken = holding(stream[:3]), Taken(has_data=False)
    taken.take(first)
    assert first.rest() == stream[:3]
    second = ReceiveBuffer(100)
    second.begin(first.rest() + stream[3:])
    taken.take(second)
    assert second.rest() == b""
    assert taken.messages == [(1, b"command", b"")]
