"""The accepting side of one association, fed with bytes: no socket, no thread, no clock inside.

`next_event` returns the next event that the bytes contain. The caller acts on it, and sends the
bytes that `accept`, `reject`, `release`, `abort` and `store_response` return. An object has three
kinds of events, so that it goes to its file while it arrives:

    StoreStarted, DataReceived (any number), StoreEnded
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.dimse import acse
from engine.dimse.acse import (
    INVALID_PARAMETER,
    SERVICE_PROVIDER,
    SERVICE_USER,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
)
from engine.dimse.commands import (
    CLASS_NOT_SUPPORTED,
    N_EVENT_REPORT,
    NormalizedRequest,
    normalized_request,
    read_command,
    store_response,
)
from engine.dimse.contexts import COMMITMENT_INSTANCE, STORAGE_COMMITMENT
from engine.dimse.pdata import (
    P_DATA_TF,
    PDU_HEAD_BYTES,
    CommandSet,
    PDataParser,
    ProtocolViolation,
    data_pdus,
)
from engine.dimse.state_table import OF_PDU_TYPE, TABLE, Action, State, UpperLayerEvent
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from engine.dimse.commands import Response, StoreRequest
    from engine.dimse.pdata import Fragments, ReceiveBuffer
    from engine.model.limits import Limits

LONGEST_OTHER_PDU_BYTES = 256 * 1024 - PDU_HEAD_BYTES
"""The longest PDU of other types; 128 contexts with 64 transfer syntaxes each take less.

Such a PDU must be complete in the buffer before it is decoded.
"""
MAX_OTHER_MESSAGE_BYTES = 1024 * 1024
"""The longest data set of another message than C-STORE; its bytes are discarded."""
MAX_NORMALIZED_BYTES = 16 * 1024 * 1024
"""The longest data set of a request for storage commitment: 100,000 references take less.

It is kept in memory. What is longer is discarded, and the request is refused.
"""
SLACK_BYTES = 4096
"""How far a P-DATA-TF PDU may exceed the negotiated length: some senders do not count heads."""


class AssociateRequested(NamedTuple):
    """A complete A-ASSOCIATE-RQ has arrived; `accept` or `reject` answers it."""

    proposal: acse.AssociateRQ


class StoreStarted(NamedTuple):
    """A C-STORE-RQ has arrived; its data set follows."""

    request: StoreRequest
    transfer_syntax_uid: str


class DataReceived(NamedTuple):
    """The next bytes of the object; valid until `next_event` is called again."""

    segments: list[memoryview]
    size_bytes: int


class StoreEnded(NamedTuple):
    """The object is complete; `store_response` answers it."""

    request: StoreRequest


class NormalizedRequested(NamedTuple):
    """An N-ACTION or N-EVENT-REPORT for storage commitment; `normalized_response` answers it."""

    request: NormalizedRequest
    data_set: bytearray | None
    """Empty if there is none; None if it is longer than `MAX_NORMALIZED_BYTES`."""
    transfer_syntax_uid: str


class ReportAnswered(NamedTuple):
    """The peer has answered the N-EVENT-REPORT that was sent last."""

    status: int


class OtherRequestEnded(NamedTuple):
    """Another request is complete: C-ECHO, or one that is not served; `response` answers it."""

    response: bytes


# Dataclasses, because empty named tuples of two classes would be equal.
@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer asks for the release; `release` answers it."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The peer aborted; the connection must be closed."""


class ProtocolError(NamedTuple):
    """The peer violated the protocol: send `response`, then close the connection."""

    why: str
    response: bytes


Event = (
    AssociateRequested
    | StoreStarted
    | DataReceived
    | StoreEnded
    | NormalizedRequested
    | ReportAnswered
    | OtherRequestEnded
    | ReleaseRequested
    | Aborted
    | ProtocolError
)

_ASSOCIATE_RQ = 0x01
# Sta3 and Sta8: the next step is ours.
_ANSWERING = frozenset({State.AWAITING_DECISION, State.ANSWERING_RELEASE})
# Sta13 and Sta1: the association has ended.
_OVER = frozenset({State.AWAITING_CLOSE, State.IDLE})


class AcceptorConnection:
    """The state of one accepted connection; used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        """Begin in Sta2: the connection is open, and an A-ASSOCIATE-RQ must follow."""
        self.state = State.AWAITING_REQUEST
        self._limits = limits
        self._parser = PDataParser(limits.pdu_bytes)
        self._contexts: dict[int, str] = {}
        """Transfer syntaxes by the ids of accepted presentation contexts."""
        self._store: StoreRequest | None = None
        self._response = b""
        self._normalized: NormalizedRequest | None = None
        """The request for storage commitment whose data set is arriving."""
        self._gathered = bytearray()
        """Its data set so far."""
        self._commitment_ids: frozenset[int] = frozenset()
        self._max_sent_pdu_bytes = 0
        self._report_id = 0
        """The message id of our last N-EVENT-REPORT."""
        self._answered: ReportAnswered | None = None
        """The answer to it, while it arrives."""
        self.awaits_report_answer = False
        """Whether an N-EVENT-REPORT of ours is not answered yet."""
        self._size_bytes = 0
        """Size so far of the data set that is arriving."""
        self._pending: StoreEnded | None = None
        """The next event, which needs no further byte."""

    @property
    def pdus(self) -> int:
        """How many P-DATA-TF PDUs have begun."""
        return self._parser.pdus

    @property
    def inside_pdu(self) -> bool:
        """Whether a P-DATA-TF PDU has begun and not ended."""
        return self._parser.inside_pdu

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._parser.inside_message

    def next_event(self, data: ReceiveBuffer) -> Event | None:
        """Consume bytes up to the next event; None if more bytes are needed.

        Nothing is consumed while our answer is due: bytes of a hasty peer wait in the buffer.
        """
        try:
            if self.state is State.ESTABLISHED:
                return self._next_of_messages(data)
            return self._next_of_others(data)
        except ProtocolViolation as violation:
            return self.fail(str(violation))

    def accept(self, negotiated: acse.Negotiated, limits: Limits) -> bytes:
        """Return the A-ASSOCIATE-AC; `limits` apply from now on."""
        self._act(UpperLayerEvent.ACCEPT_ASKED)
        # Before this, the limits of no receiver could hold: the called AE title was not known.
        self._limits, self._contexts = limits, negotiated.contexts
        self._commitment_ids = negotiated.commitment_ids
        self._max_sent_pdu_bytes = negotiated.max_pdu_bytes
        self._parser = PDataParser(limits.pdu_bytes + SLACK_BYTES)
        return negotiated.encoded

    def report(self, context_id: int, event_type: int, data_set: bytes) -> bytes:
        """Return an N-EVENT-REPORT of storage commitment; `ReportAnswered` follows.

        Args:
            context_id: an accepted context for storage commitment.
            event_type: the Event Type ID (PS3.4 J.3.3.1.1).
            data_set: encoded as the context says.
        """
        self._report_id, self.awaits_report_answer = self._report_id % 0xFFFF + 1, True
        request = NormalizedRequest(
            *(context_id, N_EVENT_REPORT, self._report_id),
            *(str(STORAGE_COMMITMENT), COMMITMENT_INSTANCE, event_type),
        )
        pdus = data_pdus(
            [memoryview(data_set)], len(data_set), context_id, self._max_sent_pdu_bytes
        )
        return b"".join((normalized_request(request), *pdus))

    def reject(self, result: int, source: int, reason: int) -> bytes:
        """Return the A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
        self._act(UpperLayerEvent.REJECT_ASKED)
        return acse.encode_associate_rj(result, source, reason)

    def release(self) -> bytes:
        """Return the A-RELEASE-RP."""
        self._act(UpperLayerEvent.RELEASE_ANSWER_ASKED)
        return acse.A_RELEASE_RP

    def abort(self) -> bytes:
        """Return an A-ABORT of the service user; empty if there is nothing to abort."""
        if (UpperLayerEvent.ABORT_ASKED, self.state) not in TABLE:
            return b""
        self._act(UpperLayerEvent.ABORT_ASKED)
        return acse.encode_abort(SERVICE_USER)

    def close(self) -> None:
        """Note that the connection is closed."""
        if (UpperLayerEvent.CONNECTION_CLOSED, self.state) in TABLE:
            self._act(UpperLayerEvent.CONNECTION_CLOSED)

    def fail(self, why: str, reason: int = INVALID_PARAMETER) -> ProtocolError:
        """End the association because the peer violated the protocol or a deadline."""
        action = self._act(UpperLayerEvent.INVALID_PDU_CAME)
        return ProtocolError(why, _abort_of(action, reason))

    def _act(self, occurrence: UpperLayerEvent) -> Action:
        action, self.state = TABLE[occurrence, self.state]
        return action

    def _next_of_messages(self, data: ReceiveBuffer) -> Event | None:
        # DT-2 of PS3.8 table 9-10 changes no state, and nearly every event is one, so it is not
        # looked up.
        pending, self._pending = self._pending, None
        if pending is not None:
            return pending
        while True:
            found = self._parser.next(data)
            if found is None:
                break
            event = (
                self._begin_message(found)
                if isinstance(found, CommandSet)
                else self._take_fragments(found)
            )
            if event is not None:
                return event
        # The parser stops before a PDU of another type. Inside a PDU the next byte is no type.
        if self._parser.inside_pdu or data.low == data.high or data.buffer[data.low] == P_DATA_TF:
            return None
        return self._next_of_others(data)

    def _begin_message(self, found: CommandSet) -> Event | None:
        transfer_syntax_uid = self._contexts.get(found.context_id)
        # Without this check a peer could store in a transfer syntax that was not negotiated.
        if transfer_syntax_uid is None:
            raise ProtocolViolation(
                f"a message uses presentation context {found.context_id}, not accepted"
            )
        try:
            command = read_command(found.encoded, found.context_id)
        except UnreadableObject as error:
            raise ProtocolViolation(error.detail) from error
        store, self._response, self._size_bytes = command.store, command.answer, 0
        if store is not None and found.context_id in self._commitment_ids:
            # That context is for other requests: an object that came on it would be stored as one.
            self._response, store = store_response(store, CLASS_NOT_SUPPORTED), None
        self._store = store
        self._parser.expects_data = command.has_data_set
        if store is None:
            is_ours = found.context_id in self._commitment_ids
            self._normalized = command.normalized if is_ours else None
            self._answered = self._answer_of(command.response) if command.response else None
            return None if command.has_data_set else self._end_other()
        # PS3.7 9.3.1.1: both are required.
        if not (store.sop_class_uid and store.sop_instance_uid):
            raise ProtocolViolation("a C-STORE request lacks SOP class or instance UID")
        # A C-STORE without a data set: it ends at once, and is answered as an unreadable object.
        if not command.has_data_set:
            self._pending = StoreEnded(store)
        return StoreStarted(store, transfer_syntax_uid)

    def _answer_of(self, response: Response) -> ReportAnswered:
        if not self.awaits_report_answer or response.message_id != self._report_id:
            raise ProtocolViolation("a response to a request that was not sent")
        return ReportAnswered(response.status)

    def _end_other(self) -> Event:
        """Return the event of a complete message that is no C-STORE."""
        request, self._normalized = self._normalized, None
        answered, self._answered = self._answered, None
        gathered, self._gathered = self._gathered, bytearray()
        if answered is not None:
            self.awaits_report_answer = False
            return answered
        if request is None:
            return OtherRequestEnded(self._response)
        is_whole = len(gathered) == self._size_bytes
        transfer_syntax_uid = self._contexts[request.context_id]
        return NormalizedRequested(request, gathered if is_whole else None, transfer_syntax_uid)

    def _gather(self, segments: list[memoryview]) -> None:
        """Keep the next bytes of a request for storage commitment, unless there are too many."""
        if self._size_bytes > 2 * MAX_NORMALIZED_BYTES:
            raise ProtocolViolation("a request for storage commitment is too long")
        if self._size_bytes > MAX_NORMALIZED_BYTES:
            self._gathered.clear()
            return
        for segment in segments:
            self._gathered += segment

    def _take_fragments(self, found: Fragments) -> Event | None:
        segments, is_last = found
        size_bytes = sum(map(len, segments))
        self._size_bytes += size_bytes
        store = self._store
        if store is None:
            if self._normalized is not None:
                self._gather(segments)
            elif self._size_bytes > MAX_OTHER_MESSAGE_BYTES:
                raise ProtocolViolation("a message that is no C-STORE is too long")
            return self._end_other() if is_last else None
        # The standard has no limit. This one keeps a peer from filling the disk with one object.
        if self._size_bytes > self._limits.data_set_bytes:
            raise ProtocolViolation(
                f"a data set is longer than {self._limits.data_set_bytes:,} bytes"
            )
        # One event at a time: the last bytes first, the end with the next call.
        if is_last:
            self._pending = StoreEnded(store)
        return DataReceived(segments, size_bytes)

    def _next_of_others(self, data: ReceiveBuffer) -> Event | None:
        """Take a PDU of another type than P-DATA-TF, or a P-DATA-TF that is not allowed here."""
        if self.state in _ANSWERING:
            return None
        if self.state in _OVER:
            # AA-6: ignore. Also where PS3.8 table 9-10 has AA-7, which aborts again: after a
            # violation the bytes may begin inside a PDU.
            data.low = data.high
            return None
        head = data.pdu_head()
        if head is None:
            return None
        kind, length = head
        # By its head alone: the length may be up to 4 GiB, and nothing of it is waited for.
        if kind not in OF_PDU_TYPE or length > LONGEST_OTHER_PDU_BYTES:
            reason = INVALID_PARAMETER if kind in OF_PDU_TYPE else UNRECOGNIZED_PDU
            return self._fail_at(f"a PDU of type 0x{kind:02X} announces {length:,} bytes", reason)
        encoded = data.take_pdu(length)
        if encoded is None:
            return None
        if kind == _ASSOCIATE_RQ and self.state is State.AWAITING_REQUEST:
            proposal = acse.decode_associate_rq(encoded, self._limits)
            self._act(UpperLayerEvent.ASSOCIATE_RQ_CAME)
            return AssociateRequested(proposal)
        return self._take_other(kind)

    def _take_other(self, kind: int) -> Event:
        was = self.state
        action = self._act(OF_PDU_TYPE[kind])
        if action is Action.AR_2:
            return ReleaseRequested()
        if action in {Action.AA_2, Action.AA_3}:
            return Aborted()
        why = (
            ""
            if was is State.AWAITING_REQUEST
            else f"a PDU of type 0x{kind:02X} is not allowed here"
        )
        return ProtocolError(why, _abort_of(action, UNEXPECTED_PDU))

    def _fail_at(self, why: str, reason: int) -> ProtocolError:
        """Fail; without a reason before any request: the first bytes tell more about the peer."""
        return self.fail("" if self.state is State.AWAITING_REQUEST else why, reason)


def _abort_of(action: Action, reason: int) -> bytes:
    """Return the A-ABORT of an action (PS3.8 9.3.8)."""
    if action is Action.AA_1:
        return acse.encode_abort(SERVICE_USER)
    return acse.encode_abort(SERVICE_PROVIDER, reason)
