"""The calling side, fed with bytes: every cell of its states, and sessions cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dimse import acse
from engine.dimse.commands import (
    C_ECHO,
    C_STORE,
    Response,
    StoreRequest,
    read_command,
    store_response,
)
from engine.dimse.pdata import CommandSet, PDataParser, ReceiveBuffer
from engine.dimse.requestor import (
    MAX_PDU_BYTES,
    Aborted,
    Accepted,
    Event,
    ProtocolError,
    Rejected,
    Released,
    ReleaseRequested,
    RequestorConnection,
    ResponseReceived,
)
from engine.dimse.state_table import State
from engine.errors import ContextRefused
from engine.model.limits import Limits
from engine.model.peer import Peer
from tests.dicom import (
    CT_IMAGE_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
)
from tests.peers import recordings
from tests.peers.pdus import P_DATA, VERIFICATION, associate_rq, pdu, pdv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PEER = Peer("localhost", 104, "PACS", "CT1")
ECHO = (VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN)
CT = (CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
CONTEXTS = (ECHO, CT, (CT_IMAGE_STORAGE, JPEG_BASELINE))


class Fed:
    """A connection with a receive buffer, and what is written into it."""

    def __init__(self) -> None:
        self.connection = RequestorConnection(PEER, CONTEXTS)
        self.data = ReceiveBuffer(2 * MAX_PDU_BYTES)

    def receive(self, received: bytes) -> None:
        self.data.begin(self.data.rest() + received)

    def next_event(self, received: bytes = b"") -> Event | None:
        self.receive(received)
        return self.connection.next_event(self.data)


def acceptance() -> bytes:
    """Return what a receiver of ours answers to the proposal."""
    encoded = acse.encode_associate_rq(PEER, CONTEXTS)
    return acse.negotiate(acse.decode_associate_rq(encoded, Limits()), 65_536).encoded


def echo_response(message_id: int = 1) -> bytes:
    request = RequestorConnection(PEER, CONTEXTS)
    request.associate()
    request.state, request.accepted = State.ESTABLISHED, acse.AcceptedContexts({ECHO: 1}, 0)
    for _ in range(message_id - 1):
        request.echo()
    data = ReceiveBuffer(4096)
    data.begin(request.echo())
    found = PDataParser(4096).next(data)
    assert isinstance(found, CommandSet)
    return read_command(found.encoded, 1).answer


REJECTION = acse.encode_associate_rj(1, 1, 7)
ABORT = acse.encode_abort(2, 1)


# PS3.8 table 9-10.


def proposing() -> Fed:
    fed = Fed()
    fed.connection.associate()
    return fed


def established() -> Fed:
    fed = proposing()
    assert isinstance(fed.next_event(acceptance()), Accepted)
    fed.connection.echo()
    return fed


def releasing() -> Fed:
    fed = established()
    assert fed.connection.release() == acse.A_RELEASE_RQ
    return fed


def asked_for_release() -> Fed:
    fed = established()
    assert fed.next_event(acse.A_RELEASE_RQ) == ReleaseRequested()
    return fed


def colliding() -> Fed:
    fed = releasing()
    assert fed.next_event(acse.A_RELEASE_RQ) == ReleaseRequested()
    return fed


def collided() -> Fed:
    fed = colliding()
    assert fed.connection.answer_release() == acse.A_RELEASE_RP
    return fed


def aborting() -> Fed:
    fed = established()
    assert fed.connection.abort() == acse.encode_abort(0)
    return fed


STATES: dict[int, Callable[[], Fed]] = {
    5: proposing,
    6: established,
    7: releasing,
    8: asked_for_release,
    9: colliding,
    11: collided,
    13: aborting,
}
CELLS = {
    "A-ASSOCIATE-AC": ("AE-3", "AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-ASSOCIATE-RJ": ("AE-4", "AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-ASSOCIATE-RQ": ("AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-7"),
    "P-DATA-TF": ("AA-8", "DT-2", "AR-6", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-RELEASE-RQ": ("AA-8", "AR-2", "AR-8", "AA-8", "AA-8", "AA-8", "AA-6"),
    "A-RELEASE-RP": ("AA-8", "AA-8", "AR-3", "AA-8", "AA-8", "AR-3", "AA-6"),
    "A-ABORT": ("AA-3", "AA-3", "AA-3", "AA-3", "AA-3", "AA-3", "AA-2"),
    "an invalid PDU": ("AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-8", "AA-7"),
    "a closed connection": ("AA-4", "AA-4", "AA-4", "AA-4", "AA-4", "AA-4", "AR-5"),
}
BYTES = {
    "A-ASSOCIATE-AC": acceptance(),
    "A-ASSOCIATE-RJ": REJECTION,
    "A-ASSOCIATE-RQ": associate_rq(),
    "P-DATA-TF": echo_response(),
    "A-RELEASE-RQ": acse.A_RELEASE_RQ,
    "A-RELEASE-RP": acse.A_RELEASE_RP,
    "A-ABORT": ABORT,
    "an invalid PDU": pdu(0x09),
}
OUTCOMES: dict[str, tuple[type[object] | None, int]] = {
    "AE-3": (Accepted, 6),
    "AE-4": (Rejected, 1),
    "DT-2": (ResponseReceived, 6),
    "AR-2": (ReleaseRequested, 8),
    "AR-3": (Released, 1),
    "AR-5": (None, 1),
    "AR-6": (ResponseReceived, 7),
    "AR-8": (ReleaseRequested, 9),
    "AA-3": (Aborted, 1),
    "AA-4": (None, 1),
    "AA-8": (ProtocolError, 13),
    # In Sta13 all bytes are ignored, for they may begin inside a PDU, and the connection is closed
    # at once: no second A-ABORT is sent (AA-7), and the peer's own changes nothing (AA-2).
    "AA-2": (None, 13),
    "AA-6": (None, 13),
    "AA-7": (None, 13),
}


@pytest.mark.parametrize("what", CELLS)
@pytest.mark.parametrize(("column", "state"), enumerate(STATES))
def test_what_comes_from_the_peer_does_what_the_table_says(
    what: str, column: int, state: int
) -> None:
    fed = STATES[state]()
    assert fed.connection.state is State(state)
    kind, following = OUTCOMES[CELLS[what][column]]
    if what in BYTES:
        event = fed.next_event(BYTES[what])
    else:
        fed.connection.close()
        event = None
    assert (None if event is None else type(event)) is kind
    assert fed.connection.state is State(following)
    if isinstance(event, ProtocolError):
        assert event.response[:9] == b"\x07\0\0\0\0\x04\0\0\x02"  # by the service provider


@pytest.mark.parametrize(
    ("state", "sent", "following"),
    [
        (4, b"", 1),
        (5, acse.encode_abort(0), 13),
        (6, acse.encode_abort(0), 13),
        (7, acse.encode_abort(0), 13),
        (8, acse.encode_abort(0), 13),
        (9, acse.encode_abort(0), 13),
        (11, acse.encode_abort(0), 13),
        (13, b"", 13),
    ],
)
def test_we_may_abort_in_every_state_of_an_association(
    state: int, sent: bytes, following: int
) -> None:
    fed = Fed() if state == 4 else STATES[state]()
    assert fed.connection.abort() == sent
    assert fed.connection.state is State(following)


def test_a_release_that_the_peer_asks_for_can_be_answered() -> None:
    fed = asked_for_release()
    assert fed.connection.answer_release() == acse.A_RELEASE_RP
    assert fed.connection.state is State.AWAITING_CLOSE


@pytest.mark.parametrize("state", [5, 7, 9, 11, 13])
def test_nothing_is_asked_of_a_peer_without_an_association(state: int) -> None:
    connection = STATES[state]().connection
    connection.accepted = acse.AcceptedContexts({ECHO: 1}, 0)
    with pytest.raises(KeyError):
        connection.echo()
    assert connection.state is State(state)


def test_a_connection_may_be_closed_more_than_once() -> None:
    connection = established().connection
    for _ in range(2):
        connection.close()
        assert connection.state is State.IDLE


# What the peer does wrong.


@pytest.mark.parametrize(
    ("received", "why", "reason"),
    [
        (pdu(0x09), "sent a PDU of type 0x09 where another one must follow", 1),
        (acceptance(), "sent a PDU of type 0x02 where another one must follow", 2),
        (pdu(6, length=2**32 - 1)[:6], "sent a PDU that announces 4,294,967,295 bytes", 6),
        (
            pdu(P_DATA, length=2**32 - 1)[:6],
            "violated the protocol: a P-DATA-TF PDU announces 4,294,967,295 bytes",
            6,
        ),
        (
            pdu(P_DATA, pdv(b"data", 2)),
            "violated the protocol: a data set fragment came where a command must follow",
            6,
        ),
        (pdu(P_DATA, pdv(b"", 3)), "sent an unreadable response: a command set is no response", 6),
        (echo_response(2), "sent a response to another request", 6),
        (
            store_response(StoreRequest(1, 1, CT_IMAGE_STORAGE, "1.2"), 0),
            "sent a response to another request",
            6,
        ),
    ],
)
def test_what_no_peer_may_send_ends_the_association_in_words(
    received: bytes, why: str, reason: int
) -> None:
    event = established().next_event(received)
    assert event == ProtocolError(f"the peer {why}", acse.encode_abort(2, reason))


def test_a_second_answer_is_to_nothing_that_was_asked() -> None:
    fed = established()
    fed.receive(echo_response() * 2)
    assert fed.next_event() == ResponseReceived(Response(C_ECHO, 1, 0, ""))
    event = fed.next_event()
    assert isinstance(event, ProtocolError)
    assert event.why == "the peer sent a response to another request"


def test_an_acceptance_that_can_not_be_read_ends_the_association() -> None:
    fed = proposing()
    assert fed.next_event(b"\x02\0\0\0\0\x04\0\1\0\0") == ProtocolError(
        "the peer's A-ASSOCIATE-AC can't be read",
        acse.encode_abort(2, 6),
        "check that a DICOM peer listens there",
    )
    assert fed.connection.state is State.AWAITING_CLOSE


@pytest.mark.parametrize(
    ("encoded", "event"),
    [(ABORT, Aborted(2, 1)), (pdu(7, b""), Aborted(0, 0)), (pdu(7, b"\0\0\2"), Aborted(2, 0))],
)
def test_an_abort_says_by_whom_and_why_as_far_as_it_goes(encoded: bytes, event: Aborted) -> None:
    assert established().next_event(encoded) == event


@given(st.binary(max_size=200), st.sampled_from(sorted(STATES)))
def test_whatever_comes_is_an_event_or_waits_for_more(received: bytes, state: int) -> None:
    fed = STATES[state]()
    fed.receive(received)
    while fed.next_event() is not None:
        pass
    assert fed.next_event() is None


# What we send.


def test_only_what_is_accepted_is_sent() -> None:
    connection = established().connection
    connection.accepted = acse.AcceptedContexts({}, 0)
    with pytest.raises(ContextRefused, match="does not accept C-ECHO"):
        connection.echo()
    with pytest.raises(ContextRefused, match="CT Image Storage in Explicit VR Little Endian"):
        connection.store(CT, "1.2.3", [], 0)
    assert connection.state is State.ESTABLISHED


@pytest.mark.parametrize(
    ("max_pdu_bytes", "longest"), [(0, 131_072), (1_000_000, 131_072), (128, 128), (65_536, 65_536)]
)
def test_a_data_set_is_cut_into_pdus_as_long_as_the_peer_takes(
    max_pdu_bytes: int, longest: int
) -> None:
    connection = established().connection
    connection.accepted = acse.AcceptedContexts({CT: 3}, max_pdu_bytes)
    content = bytes(range(256)) * 1_000
    pieces = [memoryview(content)[:100_000], memoryview(content)[100_000:]]
    command, *pdus = connection.store(CT, "1.2.3", pieces, len(content))
    assert max(len(pdu) - 6 for pdu in pdus) == longest
    parser, data, received = PDataParser(longest), ReceiveBuffer(2**20), b""
    data.begin(command + b"".join(pdus))
    begun = parser.next(data)
    assert isinstance(begun, CommandSet)
    request = read_command(begun.encoded, begun.context_id)
    assert request.store == StoreRequest(3, 2, CT_IMAGE_STORAGE, "1.2.3")
    parser.expects_data = request.has_data_set
    while (found := parser.next(data)) is not None:
        assert not isinstance(found, CommandSet)
        received += b"".join(found.segments)
    assert received == content
    assert not parser.inside_message


def test_message_ids_go_round_without_the_zero() -> None:
    connection = established().connection
    connection._message_id = 0xFFFE
    assert connection.echo() != connection.echo()
    assert connection._message_id == 1


# Recorded sessions, cut anywhere.


def replay(stream: bytes, cuts: Iterable[int]) -> list[Event]:
    """Echo, store and release with a peer that sends a stream, received in pieces."""
    fed, events, asked = proposing(), list[Event](), list[int]()
    begin = 0
    for end in (*sorted(cuts), len(stream)):
        fed.receive(stream[begin:end])
        begin = max(begin, end)
        while (event := fed.next_event()) is not None:
            events.append(event)
            act(fed.connection, event, asked)
    return events


def act(connection: RequestorConnection, event: Event, asked: list[int]) -> None:
    if isinstance(event, Accepted | ResponseReceived):
        asked.append(len(asked))
        if len(asked) == 1:
            connection.echo()
        elif len(asked) == 2:
            connection.store(CT, "1.2.3", [memoryview(b"data")], 4)
        else:
            connection.release()
    elif isinstance(event, ReleaseRequested):
        connection.answer_release()


ACCEPTED = Accepted(acse.AcceptedContexts({ECHO: 1, CT: 3}, 16_384))
ECHOED = ResponseReceived(Response(C_ECHO, 1, 0, ""))
STORED = ResponseReceived(Response(C_STORE, 2, 0, ""))
SESSIONS: dict[str, tuple[bytes, list[Event]]] = {
    "DCMTK": (recordings.DCMTK, [ACCEPTED, ECHOED, STORED, Released()]),
    "pynetdicom": (
        recordings.PYNETDICOM,
        [Accepted(acse.AcceptedContexts({ECHO: 1, CT: 3}, 16_382)), ECHOED, STORED, Released()],
    ),
    "a rejection": (recordings.DCMTK_REJECTS, [Rejected(recordings.DCMTK_REJECTS)]),
    "an abort": (recordings.DCMTK_ABORTS, [ACCEPTED, ECHOED, Aborted(0, 0)]),
    "a release of both": (
        recordings.DCMTK[:-10] + acse.A_RELEASE_RQ + acse.A_RELEASE_RP,
        [ACCEPTED, ECHOED, STORED, ReleaseRequested(), Released()],
    ),
}


@pytest.mark.parametrize("session", SESSIONS)
def test_a_session_gives_the_same_events_wherever_it_is_cut(session: str) -> None:
    stream, events = SESSIONS[session]
    assert replay(stream, ()) == events
    assert replay(stream, range(len(stream))) == events
    for cut in range(1, len(stream)):
        assert replay(stream, (cut,)) == events


@given(st.data())
def test_a_session_gives_the_same_events_received_in_any_pieces(data: st.DataObject) -> None:
    stream, events = SESSIONS[data.draw(st.sampled_from(sorted(SESSIONS)))]
    assert replay(stream, data.draw(st.lists(st.integers(0, len(stream)), max_size=20))) == events


def test_before_the_answer_nothing_is_accepted() -> None:
    assert RequestorConnection(PEER, CONTEXTS).accepted == acse.AcceptedContexts({}, 0)
