"""The accepting side, fed with bytes: every cell of its states, and sessions cut anywhere."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dimse import acse
from engine.dimse.acceptor import (
    LONGEST_OTHER_PDU_BYTES,
    MAX_OTHER_MESSAGE_BYTES,
    SLACK_BYTES,
    Aborted,
    AcceptorConnection,
    AssociateRequested,
    DataReceived,
    Event,
    OtherRequestEnded,
    ProtocolError,
    ReleaseRequested,
    StoreEnded,
    StoreStarted,
)
from engine.dimse.commands import store_response
from engine.dimse.pdata import BUFFER_BYTES, MAX_COMMAND_BYTES, ReceiveBuffer
from engine.dimse.state_table import State
from engine.model.limits import Limits
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.peers.pdus import (
    C_CANCEL_RQ,
    C_ECHO,
    C_FIND_RQ,
    COMMAND,
    DATA_SET_TYPE,
    FIELD,
    INSTANCE_UID,
    LAST,
    MESSAGE_ID,
    NO_DATA_SET,
    P_DATA,
    RELEASE_RQ,
    RESPONDED_TO,
    abort_pdu,
    associate_rq,
    c_store_rq,
    command,
    message,
    pdu,
    pdv,
    us,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECORDED = sorted(Path(__file__).with_name("recorded").glob("*.bin"))
BUFFER = ReceiveBuffer(BUFFER_BYTES)
"""As for all connections of a loop, one for all sessions."""


class Fed:
    """A connection and what is left over in its receive buffer."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.connection = AcceptorConnection(self.limits)
        self.rest = b""

    def receive(self, received: bytes) -> None:
        self.rest += received

    def next_event(self, received: bytes = b"") -> Event | None:
        BUFFER.begin(self.rest + received)
        event = self.connection.next_event(BUFFER)
        self.rest = BUFFER.rest()
        return event

    def accept(self, event: Event | None) -> bytes:
        assert isinstance(event, AssociateRequested)
        return self.connection.accept(
            acse.negotiate(event.proposal, self.limits.pdu_bytes), self.limits
        )


# PS3.8 table 9-10.


def awaiting_request() -> Fed:
    return Fed()


def awaiting_decision() -> Fed:
    fed = Fed()
    assert isinstance(fed.next_event(associate_rq()), AssociateRequested)
    return fed


def established(limits: Limits | None = None) -> Fed:
    fed = Fed(limits)
    assert fed.accept(fed.next_event(associate_rq()))[0] == 0x02
    return fed


def answering_release() -> Fed:
    fed = established()
    assert fed.next_event(acse.A_RELEASE_RQ) == ReleaseRequested()
    return fed


def awaiting_close() -> Fed:
    fed = established()
    assert fed.connection.abort() == acse.encode_abort(0)
    return fed


STATES: dict[int, Callable[[], Fed]] = {
    2: awaiting_request,
    3: awaiting_decision,
    6: established,
    8: answering_release,
    13: awaiting_close,
}
CELLS = {
    "A-ASSOCIATE-AC": ("AA-1", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-ASSOCIATE-RJ": ("AA-1", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-ASSOCIATE-RQ": ("AE-6", "AA-8", "AA-8", "AA-8", "AA-7"),
    "P-DATA-TF": ("AA-1", "AA-8", "DT-2", "AA-8", "AA-6"),
    "A-RELEASE-RQ": ("AA-1", "AA-8", "AR-2", "AA-8", "AA-6"),
    "A-RELEASE-RP": ("AA-1", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-ABORT": ("AA-2", "AA-3", "AA-3", "AA-3", "AA-2"),
    "an invalid PDU": ("AA-1", "AA-8", "AA-8", "AA-8", "AA-7"),
    "a closed connection": ("AA-5", "AA-4", "AA-4", "AA-4", "AR-5"),
    "ARTIM has expired": ("AA-2", "-", "-", "-", "AA-2"),
    "we accept": ("-", "AE-7", "-", "-", "-"),
    "we reject": ("-", "AE-8", "-", "-", "-"),
    "we answer the release": ("-", "-", "-", "AR-4", "-"),
    "we abort": ("-", "AA-1", "AA-1", "AA-1", "-"),
    "we find a fault": ("AA-1", "AA-8", "AA-8", "AA-8", "AA-7"),
}
BYTES = {
    "A-ASSOCIATE-AC": b"\x02" + associate_rq()[1:],
    "A-ASSOCIATE-RJ": acse.encode_associate_rj(1, 1, 7),
    "A-ASSOCIATE-RQ": associate_rq(),
    "P-DATA-TF": message(C_ECHO, context_id=3),
    "A-RELEASE-RQ": acse.A_RELEASE_RQ,
    "A-RELEASE-RP": acse.A_RELEASE_RP,
    "A-ABORT": abort_pdu(),
    "an invalid PDU": pdu(0x09),
}
FROM_USER, FROM_PROVIDER = acse.encode_abort(0), acse.encode_abort(2)[:9]
OURS: dict[str, tuple[bytes, int]] = {
    "AE-7": (b"\x02", 6),
    "AE-8": (acse.encode_associate_rj(2, 3, 2), 13),
    "AR-4": (acse.A_RELEASE_RP, 13),
    "AA-1": (FROM_USER, 13),
    "AA-7": (FROM_PROVIDER, 13),
    "AA-8": (FROM_PROVIDER, 13),
}
"""What we send, and the state after it."""
EVENTS: dict[str, tuple[type[object] | None, int]] = {
    "AE-6": (AssociateRequested, 3),
    "DT-2": (OtherRequestEnded, 6),
    "AR-2": (ReleaseRequested, 8),
    "AA-1": (ProtocolError, 13),
    "AA-2": (Aborted, 1),
    "AA-3": (Aborted, 1),
    "AA-8": (ProtocolError, 13),
    "AA-6": (None, 13),
}
IN_13 = {"AA-7": "AA-6", "AA-2": "AA-6"}
"""Deviation: while we wait for the peer to close, all its bytes are ignored, for they may begin
inside a PDU. It gets no second A-ABORT (AA-7), and its own only ends with the connection (AA-2)."""


@pytest.mark.parametrize("what", CELLS)
@pytest.mark.parametrize(("column", "state"), enumerate(STATES))
def test_every_cell_of_the_table_does_what_the_standard_says(
    what: str, column: int, state: int
) -> None:
    fed, action = STATES[state](), CELLS[what][column]
    assert fed.connection.state is State(state)
    if what in {"a closed connection", "ARTIM has expired"}:
        # Who serves the connection has the timer, and closes.
        fed.connection.close()
        assert fed.connection.state is State.IDLE
    elif what in BYTES:
        require_event(fed, BYTES[what], IN_13.get(action, action) if state == 13 else action)
    else:
        require_answer(fed, what, action)


def require_event(fed: Fed, received: bytes, action: str) -> None:
    if fed.connection.state in {State.AWAITING_DECISION, State.ANSWERING_RELEASE}:
        # Our answer comes first, and in the same call: bytes wait for it, and for the state after.
        was = fed.connection.state
        assert fed.next_event(received) is None
        assert (fed.rest, fed.connection.state) == (received, was)
        return
    kind, following = EVENTS[action]
    event = fed.next_event(received)
    assert (None if event is None else type(event)) is kind
    assert fed.connection.state is State(following)
    if isinstance(event, ProtocolError):
        assert event.response[:9] == OURS[action][0][:9]
        assert fed.next_event() is None
    assert fed.rest == b""


def require_answer(fed: Fed, what: str, action: str) -> None:
    connection, was = fed.connection, fed.connection.state
    proposal = acse.decode_associate_rq(associate_rq(), Limits())
    acts: dict[str, Callable[[], bytes]] = {
        "we accept": lambda: connection.accept(acse.negotiate(proposal, 65_536), Limits()),
        "we reject": lambda: connection.reject(2, 3, 2),
        "we answer the release": connection.release,
        "we abort": connection.abort,
        "we find a fault": lambda: connection.fail("too slow", 0).response,
    }
    if action == "-" and what == "we abort":
        assert connection.abort() == b""
    elif action == "-":
        with pytest.raises(KeyError):
            acts[what]()
    else:
        start, following = OURS[action]
        assert acts[what]().startswith(start)
        was = State(following)
    assert connection.state is was


@pytest.mark.parametrize("state", STATES)
def test_a_connection_may_be_closed_more_than_once(state: int) -> None:
    connection = STATES[state]().connection
    for _ in range(2):
        connection.close()
        assert connection.state is State.IDLE


def test_nothing_is_said_of_what_comes_after_the_end() -> None:
    fed = established()
    fed.connection.close()
    assert fed.next_event(message(C_ECHO, context_id=3)) is None
    assert fed.rest == b""


# Sessions.


class Said(NamedTuple):
    """What came of a session: its events, and all that we answered."""

    events: list[object]
    answers: bytes
    state: State


class Session:
    """Serves one connection as an association does, and every object with success."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._fed = Fed(limits)
        self._events: list[object] = []
        self._answers = b""

    def receive(self, received: bytes) -> None:
        self._fed.receive(received)
        while (event := self._fed.next_event()) is not None:
            self._act(event)

    def said(self) -> Said:
        return Said(self._events, self._answers, self._fed.connection.state)

    def _act(self, event: Event) -> None:
        connection = self._fed.connection
        if isinstance(event, DataReceived):
            data = b"".join(event.segments)
            assert event.size_bytes == len(data)
            # How many pieces a data set comes in is up to the network.
            before = self._events.pop() if isinstance(self._events[-1], bytes) else b""
            assert isinstance(before, bytes)
            self._events.append(before + data)
            return
        if isinstance(event, ProtocolError) and isinstance(self._events[-1], bytes):
            self._events.pop()  # of an object without an end, which is not kept
        self._events.append(event)
        if isinstance(event, AssociateRequested):
            self._answers += self._fed.accept(event)
        elif isinstance(event, StoreEnded):
            self._answers += store_response(event.request, 0)
        elif isinstance(event, OtherRequestEnded | ProtocolError):
            self._answers += event.response
        elif isinstance(event, ReleaseRequested):
            self._answers += connection.release()


def played(pieces: Iterable[bytes], limits: Limits | None = None) -> Said:
    session = Session(limits)
    for piece in pieces:
        session.receive(piece)
    return session.said()


def names(said: Said) -> list[str]:
    return [type(event).__name__ for event in said.events]


def store(instance: str = "1.2.3", data: bytes = b"pixels") -> bytes:
    return message(command(c_store_rq(CT_IMAGE_STORAGE, instance)), data)


def one_pdu(*pdvs: bytes) -> bytes:
    return pdu(P_DATA, b"".join(pdvs))


STORE = command(c_store_rq(CT_IMAGE_STORAGE, "1.2.3"))
FIND = command({FIELD: us(C_FIND_RQ), MESSAGE_ID: us(9), DATA_SET_TYPE: us(1)})
CANCEL = command({FIELD: us(C_CANCEL_RQ), RESPONDED_TO: us(9), DATA_SET_TYPE: NO_DATA_SET})
ECHO = message(C_ECHO, context_id=3)
RELEASE = pdu(RELEASE_RQ)
A_STORE = ["StoreStarted", "bytes", "StoreEnded"]
OTHER = ["OtherRequestEnded"]

SESSIONS: dict[str, tuple[bytes, list[str]]] = {
    "an echo, released": (ECHO + RELEASE, [*OTHER, "ReleaseRequested"]),
    "several objects, released": (
        store("1.1") + store("1.2") + store("1.3") + RELEASE,
        [*A_STORE * 3, "ReleaseRequested"],
    ),
    "an object, aborted": (store() + abort_pdu(), [*A_STORE, "Aborted"]),
    "aborted within an object": (
        message(STORE, b"pixels", pdv_sizes=(2,))[:-14] + abort_pdu(),
        ["StoreStarted", "bytes", "Aborted"],
    ),
    "a command in small fragments": (
        message(STORE, b"pixels", pdv_sizes=(5, 1, 9)) + RELEASE,
        [*A_STORE, "ReleaseRequested"],
    ),
    "several fragments in one PDU": (
        one_pdu(pdv(STORE[:20], COMMAND), pdv(STORE[20:], COMMAND | LAST), pdv(b"pix", 0))
        + one_pdu(pdv(b"el", 0), pdv(b"s", LAST), pdv(C_ECHO, COMMAND | LAST, context_id=3))
        + RELEASE,
        [*A_STORE, *OTHER, "ReleaseRequested"],
    ),
    "a whole message and the next one's beginning in one PDU": (
        one_pdu(pdv(STORE, COMMAND | LAST), pdv(b"pixels", LAST), pdv(STORE[:9], COMMAND))
        + one_pdu(pdv(STORE[9:], COMMAND | LAST), pdv(b"pixels", LAST)),
        A_STORE * 2,
    ),
    "empty fragments": (
        one_pdu(pdv(b"", COMMAND), pdv(STORE, COMMAND), pdv(b"", COMMAND | LAST))
        + one_pdu(pdv(b"", 0), pdv(b"pixels", 0), pdv(b"", 0))
        + one_pdu(pdv(b"", LAST))
        + RELEASE,
        [*A_STORE, "ReleaseRequested"],
    ),
    "an object without a byte": (store(data=b"") + RELEASE, [*A_STORE, "ReleaseRequested"]),
    "an object that says it has no data set": (
        message(command(c_store_rq(CT_IMAGE_STORAGE, "1.2") | {DATA_SET_TYPE: NO_DATA_SET})) + ECHO,
        ["StoreStarted", "StoreEnded", *OTHER],
    ),
    "requests that are not served": (
        message(FIND, b"what is looked for", pdv_sizes=(30, 7)) + message(CANCEL) + ECHO,
        OTHER * 3,
    ),
    "nonsense within an object": (
        message(STORE, b"pixels", pdv_sizes=(2,))[:-14] + pdu(0x42),
        ["StoreStarted", "ProtocolError"],
    ),
    "an unknown PDU": (ECHO + pdu(0x42), [*OTHER, "ProtocolError"]),
    "a second request": (ECHO + associate_rq(), [*OTHER, "ProtocolError"]),
    "words after the release": (RELEASE + ECHO + pdu(0x42), ["ReleaseRequested"]),
    "a message on a context that was not accepted": (
        message(C_ECHO, context_id=5),
        ["ProtocolError"],
    ),
    "an object, then nonsense": (
        store() + pdu(P_DATA, pdv(b"pixels", 0)) + ECHO,
        [*A_STORE, "ProtocolError"],
    ),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_says_what_it_means(name: str) -> None:
    encoded, expected = SESSIONS[name]
    said = played([associate_rq() + encoded])
    assert names(said) == ["AssociateRequested", *expected]
    assert [event for event in said.events if isinstance(event, bytes)] in (
        [b"pixels"] * expected.count("StoreEnded"),
        [b""],
        [b"pixe"],
        [],
    )


def random_pieces(encoded: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(encoded)), min(len(encoded) - 1, 12 * seed)))
    return [encoded[a:b] for a, b in zip([0, *cuts], [*cuts, len(encoded)], strict=True)]


def require_the_same_however_it_is_cut(encoded: bytes) -> None:
    whole = played([encoded])
    for cut in range(1, len(encoded)):
        assert played([encoded[:cut], encoded[cut:]]) == whole, f"cut at {cut}"
    for seed in range(1, 20):
        assert played(random_pieces(encoded, seed)) == whole, f"cut at random, {seed}"
    assert played(bytes([byte]) for byte in encoded) == whole


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_means_the_same_however_it_is_cut(name: str) -> None:
    require_the_same_however_it_is_cut(associate_rq() + SESSIONS[name][0])


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_what_a_real_sender_said_means_the_same_however_it_is_cut(file: Path) -> None:
    require_the_same_however_it_is_cut(file.read_bytes())


OF_SENDERS = {
    "echoscu": [*OTHER * 3, "ReleaseRequested"],
    "echoscu_abort": [*OTHER, "Aborted"],
    "storescu": [*A_STORE * 3, "ReleaseRequested"],
    "dcmsend": [*A_STORE * 3, "ReleaseRequested"],
    "pynetdicom": [*OTHER, *A_STORE * 3, "ReleaseRequested"],
    "orthanc": [*A_STORE * 3, "ReleaseRequested"],
    "our_scu": [*A_STORE * 3, "ReleaseRequested"],
    "our_bench": [*A_STORE * 3, "ReleaseRequested"],
}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_what_a_real_sender_said_is_understood(file: Path) -> None:
    said = played([file.read_bytes()])
    assert names(said) == ["AssociateRequested", *OF_SENDERS[file.stem]]
    sent = [event for event in said.events if isinstance(event, bytes)]
    uids = [f"1.2.826.0.1.3680043.8.498.{number}" for number in (1, 2, 3)]
    if sent:
        assert sent == [image(SOPInstanceUID=uid) for uid in uids]
        started = [event for event in said.events if isinstance(event, StoreStarted)]
        assert [event.request.sop_instance_uid for event in started] == uids
        assert {e.request.sop_class_uid for e in started} == {CT_IMAGE_STORAGE}
        assert {e.transfer_syntax_uid for e in started} == {EXPLICIT_VR_LITTLE_ENDIAN}


def test_every_recording_is_known_and_small() -> None:
    assert {file.stem for file in RECORDED} == set(OF_SENDERS)
    assert all(file.stat().st_size < 16_384 for file in RECORDED)


@given(st.binary(max_size=300), st.sampled_from(sorted(STATES)))
def test_whatever_comes_is_an_event_or_waits_for_more(received: bytes, state: int) -> None:
    fed = STATES[state]()
    fed.receive(received)
    for _ in range(len(received) + 2):
        if fed.next_event() is None:
            break
    assert fed.next_event() is None


def test_what_comes_while_an_answer_of_ours_is_due_is_taken_after_it() -> None:
    fed = Fed()
    event = fed.next_event(associate_rq() + ECHO + RELEASE + b"more")
    assert fed.next_event() is None
    fed.accept(event)
    assert isinstance(fed.next_event(), OtherRequestEnded)
    assert fed.next_event() == ReleaseRequested()
    assert fed.next_event() is None
    assert fed.rest == b"more"
    assert fed.connection.release() == acse.A_RELEASE_RP
    assert fed.next_event() is None
    assert fed.rest == b""


def test_a_hasty_peer_that_is_rejected_is_not_heard() -> None:
    fed = Fed()
    fed.next_event(associate_rq() + ECHO)
    assert fed.connection.reject(1, 1, 7) == acse.encode_associate_rj(1, 1, 7)
    assert fed.next_event() is None
    assert fed.rest == b""


def test_what_is_inside_a_pdu_or_a_message_shows_and_pdus_are_counted() -> None:
    fed = established()
    connection = fed.connection
    assert (connection.inside_pdu, connection.inside_message, connection.pdus) == (False, False, 0)
    assert fed.next_event(message(STORE)[:-5]) is None
    assert (connection.inside_pdu, connection.inside_message, connection.pdus) == (True, True, 1)
    assert isinstance(fed.next_event(message(STORE)[-5:]), StoreStarted)
    assert (connection.inside_pdu, connection.inside_message, connection.pdus) == (False, True, 1)
    assert isinstance(fed.next_event(one_pdu(pdv(b"pixels", LAST))), DataReceived)
    assert isinstance(fed.next_event(), StoreEnded)
    assert (connection.inside_pdu, connection.inside_message, connection.pdus) == (False, False, 2)


# Limits, and what no peer may send.


def violation(received: bytes, limits: Limits | None = None) -> ProtocolError:
    """Return the violation that a session ends with, whatever comes before it."""
    fed = established(limits)
    fed.receive(received)
    while not isinstance(event := fed.next_event(), ProtocolError):
        assert event is not None, "there is none"
    assert fed.connection.state is State.AWAITING_CLOSE
    return event


SMALL = Limits(data_set_bytes=1000)


@pytest.mark.parametrize("sizes", [(1000,), (500, 500), (1,)])
def test_a_data_set_may_have_as_many_bytes_as_the_limit_says(sizes: tuple[int, ...]) -> None:
    data = message(b"", bytes(1000), pdv_sizes=sizes)[12:]
    said = played([associate_rq() + (message(STORE) + data) * 3], SMALL)
    assert names(said) == ["AssociateRequested", *A_STORE * 3]


@pytest.mark.parametrize("sizes", [(1001,), (500, 501), (1,)])
def test_a_data_set_beyond_the_limit_ends_the_association(sizes: tuple[int, ...]) -> None:
    data = message(b"", bytes(1001), pdv_sizes=sizes)[12:]
    error = violation(message(STORE) + data, SMALL)
    assert error == ProtocolError("a data set is longer than 1,000 bytes", acse.encode_abort(2, 6))


def test_a_message_that_is_no_c_store_may_be_so_long_and_not_longer() -> None:
    part = one_pdu(pdv(bytes(MAX_OTHER_MESSAGE_BYTES // 32), 0))
    fed = established()
    assert fed.next_event(message(FIND)) is None
    for _ in range(32):
        assert fed.next_event(part) is None
    error = fed.next_event(one_pdu(pdv(b"1", 0)))
    assert error == ProtocolError(
        "a message that is no C-STORE is too long", acse.encode_abort(2, 6)
    )


def test_the_size_of_one_message_does_not_count_for_the_next() -> None:
    half = message(FIND) + one_pdu(pdv(bytes(30_000), 0)) * 30 + one_pdu(pdv(b"", LAST))
    pieces = random_pieces(half, 20)
    said = played([associate_rq(), *pieces * 3])
    assert names(said) == ["AssociateRequested", *OTHER * 3]


def test_a_command_set_may_be_so_long_and_not_longer() -> None:
    elements = c_store_rq(CT_IMAGE_STORAGE, "1.2.3")
    base = len(command(elements | {0x9999: b""}))
    longest = command(elements | {0x9999: bytes(MAX_COMMAND_BYTES - base)})
    assert len(longest) == MAX_COMMAND_BYTES
    assert isinstance(established().next_event(message(longest)), StoreStarted)
    error = violation(message(longest + b"1"))
    assert error.why == "a command set is longer than 65,536 bytes"


@pytest.mark.parametrize("pdu_bytes", [4_096, 65_536])
def test_a_pdu_may_be_a_little_longer_than_what_was_negotiated(pdu_bytes: int) -> None:
    limits = replace(Limits(), pdu_bytes=pdu_bytes)
    longest = pdu_bytes + SLACK_BYTES
    assert established(limits).next_event(struct.pack(">BxI", P_DATA, longest)) is None
    error = violation(struct.pack(">BxI", P_DATA, longest + 1), limits)
    assert error.why == f"a P-DATA-TF PDU announces {longest + 1:,} bytes"


def test_the_head_of_a_p_data_pdu_waits_for_its_rest_though_no_other_pdu_may_be_so_long() -> None:
    fed = established(Limits(pdu_bytes=4 * LONGEST_OTHER_PDU_BYTES))
    assert fed.next_event(pdu(P_DATA, length=2 * LONGEST_OTHER_PDU_BYTES)[:11]) is None
    assert fed.connection.state is State.ESTABLISHED


@pytest.mark.parametrize("kind", [0x01, 0x05, 0x07])
def test_another_pdu_may_be_so_long_and_not_longer(kind: int) -> None:
    assert established().next_event(struct.pack(">BxI", kind, LONGEST_OTHER_PDU_BYTES)) is None
    error = violation(struct.pack(">BxI", kind, LONGEST_OTHER_PDU_BYTES + 1))
    assert error == ProtocolError(
        f"a PDU of type 0x{kind:02X} announces {LONGEST_OTHER_PDU_BYTES + 1:,} bytes",
        acse.encode_abort(2, 6),
    )


@pytest.mark.parametrize("state", [2, 6])
def test_a_pdu_of_an_unknown_type_is_refused_by_its_head(state: int) -> None:
    event = STATES[state]().next_event(pdu(0x42, length=99)[:6])
    assert isinstance(event, ProtocolError)
    why = "a PDU of type 0x42 announces 99 bytes"
    assert event == (
        ProtocolError("", FROM_USER) if state == 2 else ProtocolError(why, acse.encode_abort(2, 1))
    )


def test_before_any_request_it_is_the_first_bytes_that_tell_what_the_peer_is() -> None:
    assert awaiting_request().next_event(ECHO) == ProtocolError("", FROM_USER)


@pytest.mark.parametrize("kind", [0x01, 0x02, 0x03, 0x06])
def test_a_pdu_that_is_not_due_is_named(kind: int) -> None:
    error = violation(pdu(kind))
    assert error == ProtocolError(
        f"a PDU of type 0x{kind:02X} is not allowed here", acse.encode_abort(2, 2)
    )


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (message(STORE, context_id=9), "a message uses presentation context 9, not accepted"),
        (
            message(command(c_store_rq("", "1.2.3"))),
            "a C-STORE request lacks SOP class or instance UID",
        ),
        (
            message(command(c_store_rq(CT_IMAGE_STORAGE, "1.2") | {INSTANCE_UID: None})),
            "a C-STORE request lacks SOP class or instance UID",
        ),
        (message(STORE) + ECHO, "a message changes its presentation context"),
        (message(STORE) * 2, "a command fragment came where a data set must follow"),
        (one_pdu(pdv(b"1", 0)), "a data set fragment came where a command must follow"),
        (one_pdu(pdv(b"1", LAST)), "a data set fragment came where a command must follow"),
        (pdu(P_DATA, b""), "a P-DATA-TF PDU announces 0 bytes"),
        (pdu(P_DATA, pdv(b"12", COMMAND) + b"1"), "a P-DATA-TF PDU ends inside a PDV's head"),
        (pdu(P_DATA, pdv(b"12", COMMAND, length=1)), "a PDV announces 1 bytes"),
        (pdu(P_DATA, pdv(b"12", COMMAND, length=99)), "a PDV announces 99 bytes"),
    ],
)
def test_what_no_peer_may_send_ends_the_association_in_words(received: bytes, why: str) -> None:
    assert violation(received) == ProtocolError(why, acse.encode_abort(2, 6))


@pytest.mark.parametrize("encoded", [b"", b"\xff" * 40, STORE[:-3]])
def test_a_command_set_that_makes_no_sense_ends_the_association(encoded: bytes) -> None:
    error = violation(message(encoded))
    assert error.why
    assert error.response == acse.encode_abort(2, 6)


def test_a_request_that_can_not_be_read_ends_the_connection_in_words() -> None:
    event = Fed().next_event(pdu(1, bytes(20)))
    assert event == ProtocolError("its A-ASSOCIATE-RQ is too short", FROM_USER)
