"""The calling side of one association, fed with bytes: no socket, no thread, no clock inside.

`next_event` returns the next event that the bytes contain. The other methods return bytes to send,
and change the state by PS3.8 table 9-10. A call in a state for which the table has no entry raises
`KeyError`. `scu` drives a connection over a socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from engine.dimse import acse
from engine.dimse.acceptor import MAX_NORMALIZED_BYTES
from engine.dimse.acse import (
    INVALID_PARAMETER,
    SERVICE_PROVIDER,
    SERVICE_USER,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
)
from engine.dimse.commands import (
    C_ECHO,
    C_STORE,
    N_EVENT_REPORT,
    NormalizedRequest,
    StoreRequest,
    echo_request,
    normalized_request,
    normalized_response,
    read_command,
    read_response,
    store_request,
)
from engine.dimse.contexts import COMMITMENT_INSTANCE, STORAGE_COMMITMENT, VERIFICATION
from engine.dimse.pdata import (
    P_DATA_TF,
    CommandSet,
    PDataParser,
    ProtocolViolation,
    data_pdus,
)
from engine.dimse.state_table import OF_PDU_TYPE, TABLE, Action, State, UpperLayerEvent
from engine.errors import AssociationBroken, ContextRefused, UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.dimse.acse import AcceptedContexts, Context
    from engine.dimse.commands import RequestCommand, Response
    from engine.dimse.pdata import Fragments, ReceiveBuffer
    from engine.model.peer import Peer

MAX_PDU_BYTES = 256 * 1024
"""The longest PDU of a peer, more than was announced; its answers are short."""

REMEDY = "check the log of the peer, and try again"
"""The remedy for most protocol errors of a peer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The association is accepted."""

    by_peer: AcceptedContexts


@dataclass(frozen=True, slots=True)
class Rejected:
    """The association is rejected; the connection must be closed."""

    encoded: bytes
    """The A-ASSOCIATE-RJ."""


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """The answer to the request that was sent last."""

    response: Response


@dataclass(frozen=True, slots=True)
class ReportReceived:
    """The peer sent an N-EVENT-REPORT of storage commitment; `answer_report` answers it."""

    request: NormalizedRequest
    data_set: bytes
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The peer asks for the release; `answer_release` or `abort` answers it."""


@dataclass(frozen=True, slots=True)
class Released:
    """The release is confirmed; the connection must be closed."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """The peer aborted; the connection must be closed."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ProtocolError:
    """The peer violated the protocol: send `response`, then close the connection."""

    why: str
    """The violation, as a sentence about the peer."""
    response: bytes
    remedy: str = REMEDY


Event = (
    Accepted
    | Rejected
    | ResponseReceived
    | ReportReceived
    | ReleaseRequested
    | Released
    | Aborted
    | ProtocolError
)

_DATA = frozenset({State.ESTABLISHED, State.AWAITING_RELEASE_RP})
"""The states in which a P-DATA-TF PDU is allowed (DT-2, AR-6)."""
_OVER = frozenset({State.AWAITING_CLOSE, State.IDLE})


class RequestorConnection:
    """The state of one outgoing connection; used by one thread."""

    def __init__(
        self, peer: Peer, contexts: Sequence[Context], provided: Sequence[str] = ()
    ) -> None:
        """Begin in Sta4: the connection is being opened.

        Args:
            peer: the peer to call.
            contexts: the contexts to propose, at most 128.
            provided: the SOP classes that we provide, in place of using them.
        """
        self.state = State.AWAITING_CONNECTION
        self.accepted = acse.AcceptedContexts({}, 0)
        """The accepted contexts; empty until the peer has accepted."""
        self._peer = peer
        self._proposed, self._provided = contexts, provided
        self._parser = PDataParser(MAX_PDU_BYTES)
        self._message_id = 0
        self._asked: int | None = None
        """The command whose response must follow; None if there is none."""
        self._report: NormalizedRequest | None = None
        """The N-EVENT-REPORT whose data set is arriving."""
        self._gathered = bytearray()
        """Its data set so far."""

    def associate(self) -> bytes:
        """Return the A-ASSOCIATE-RQ; call it once the connection is open."""
        self._act(UpperLayerEvent.CONNECTED)
        return acse.encode_associate_rq(self._peer, self._proposed, self._provided)

    def echo(self) -> bytes:
        """Return a C-ECHO-RQ.

        Raises:
            ContextRefused: if the peer has not accepted verification.
        """
        ids = [n for (uid, _), n in self.accepted.contexts.items() if uid == VERIFICATION]
        if not ids:
            raise ContextRefused("the peer does not accept C-ECHO", "send it an object instead")
        return echo_request(ids[0], self._ask(C_ECHO))

    def store(
        self,
        context: Context,
        sop_instance_uid: str,
        data_set: Iterable[memoryview],
        size_bytes: int,
    ) -> Iterator[bytes]:
        """Return the PDUs of a C-STORE, which are made one by one from `data_set`.

        Args:
            context: SOP class and transfer syntax of the object.
            sop_instance_uid: of the object.
            data_set: its encoded bytes, in pieces of any size.
            size_bytes: the number of bytes of all pieces.

        Raises:
            ContextRefused: at once, if the peer has not accepted the context.
        """
        context_id = self.accepted.contexts.get(context)
        if context_id is None:
            raise acse.refused(context)
        request = StoreRequest(context_id, self._ask(C_STORE), context[0], sop_instance_uid)
        pdus = data_pdus(data_set, size_bytes, context_id, self.accepted.max_pdu_bytes)
        return chain([store_request(request)], pdus)

    @property
    def commitment_syntax(self) -> str:
        """The transfer syntax of data sets of storage commitment.

        Raises:
            ContextRefused: if the peer has not accepted it.
        """
        return self._commitment_context()[0]

    def ask_commitment(self, field: int, type_id: int, data_set: bytes) -> Iterator[bytes]:
        """Return the PDUs of a request of storage commitment (PS3.4 J.3).

        Args:
            field: `N_ACTION`, or `N_EVENT_REPORT` if we provide it.
            type_id: the type of the action or event.
            data_set: encoded in `commitment_syntax`.

        Raises:
            ContextRefused: if the peer has not accepted it.
        """
        _, context_id = self._commitment_context()
        request = NormalizedRequest(
            *(context_id, field, self._ask(field)),
            *(str(STORAGE_COMMITMENT), COMMITMENT_INSTANCE, type_id),
        )
        pdus = data_pdus(
            [memoryview(data_set)], len(data_set), context_id, self.accepted.max_pdu_bytes
        )
        return chain([normalized_request(request)], pdus)

    def answer_report(self, report: ReportReceived, status: int) -> bytes:
        """Return the answer to an N-EVENT-REPORT of the peer."""
        self._act(UpperLayerEvent.DATA_ASKED)
        return normalized_response(report.request, status)

    def _commitment_context(self) -> tuple[str, int]:
        """Return transfer syntax and id of the context for storage commitment."""
        for (sop_class, syntax), number in self.accepted.contexts.items():
            if sop_class == STORAGE_COMMITMENT:
                return syntax, number
        raise ContextRefused(
            "the peer does not accept storage commitment", "switch it on there, or do without it"
        )

    def release(self) -> bytes:
        """Return the A-RELEASE-RQ."""
        self._act(UpperLayerEvent.RELEASE_ASKED)
        return acse.A_RELEASE_RQ

    def answer_release(self) -> bytes:
        """Return the A-RELEASE-RP for a peer that asks for the release."""
        self._act(UpperLayerEvent.RELEASE_ANSWER_ASKED)
        return acse.A_RELEASE_RP

    def abort(self) -> bytes:
        """Return an A-ABORT of the service user; empty if there is nothing to abort."""
        if (UpperLayerEvent.ABORT_ASKED, self.state) not in TABLE:
            return b""
        action = self._act(UpperLayerEvent.ABORT_ASKED)
        return acse.encode_abort(SERVICE_USER) if action is Action.AA_1 else b""

    def close(self) -> None:
        """Note that the connection is closed, by whichever side."""
        if (UpperLayerEvent.CONNECTION_CLOSED, self.state) in TABLE:
            self._act(UpperLayerEvent.CONNECTION_CLOSED)

    def next_event(self, data: ReceiveBuffer) -> Event | None:
        """Consume bytes up to the next event; None if more bytes are needed."""
        try:
            if self.state in _DATA:
                while (found := self._parser.next(data)) is not None:
                    event = (
                        self._take_command(found)
                        if isinstance(found, CommandSet)
                        else self._take_fragments(found)
                    )
                    if event is not None:
                        return event
                if self._parser.inside_pdu:
                    return None
            return self._next_of_others(data)
        except ProtocolViolation as violation:
            return self._fail(f"violated the protocol: {violation}", INVALID_PARAMETER)

    def _ask(self, command: int) -> int:
        """Note the command that is sent; return its message id."""
        self._act(UpperLayerEvent.DATA_ASKED)
        self._asked = command
        # PS3.7 E.1: a US value, and unique among the requests that are not answered: we have one.
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _act(self, occurrence: UpperLayerEvent) -> Action:
        action, self.state = TABLE[occurrence, self.state]
        return action

    def _take_command(self, found: CommandSet) -> Event | None:
        command = self._report_command(found)
        if command is None or command.normalized is None:
            return self._take_response(found)
        self._act(UpperLayerEvent.DATA_CAME)
        self._report, self._gathered = command.normalized, bytearray()
        self._parser.expects_data = command.has_data_set
        return None if command.has_data_set else self._end_report(command.normalized)

    def _report_command(self, found: CommandSet) -> RequestCommand | None:
        """Return an N-EVENT-REPORT of storage commitment; None if it is something else."""
        ids = {n for (uid, _), n in self.accepted.contexts.items() if uid == STORAGE_COMMITMENT}
        if found.context_id not in ids:
            return None
        try:
            command = read_command(found.encoded, found.context_id)
        except UnreadableObject:
            return None
        is_report = command.normalized is not None and command.normalized.field == N_EVENT_REPORT
        return command if is_report else None

    def _take_fragments(self, found: Fragments) -> Event | None:
        # Only a report has a data set: no response has one (`read_response`).
        assert self._report is not None
        segments, is_last = found
        for segment in segments:
            self._gathered += segment
        if len(self._gathered) > MAX_NORMALIZED_BYTES:
            return self._fail("sent a report that is too long", INVALID_PARAMETER)
        return self._end_report(self._report) if is_last else None

    def _end_report(self, report: NormalizedRequest) -> Event:
        self._report = None
        gathered, self._gathered = bytes(self._gathered), bytearray()
        return ReportReceived(report, gathered, self.commitment_syntax)

    def _take_response(self, found: CommandSet) -> Event:
        self._act(UpperLayerEvent.DATA_CAME)
        try:
            response = read_response(found.encoded)
        except UnreadableObject as error:
            return self._fail(f"sent an unreadable response: {error.detail}", INVALID_PARAMETER)
        # An answer to another request, or a second one, must not confirm an object.
        if (response.field, response.message_id) != (self._asked, self._message_id):
            return self._fail("sent a response to another request", INVALID_PARAMETER)
        self._asked = None
        return ResponseReceived(response)

    def _next_of_others(self, data: ReceiveBuffer) -> Event | None:
        """Take a PDU of another type than P-DATA-TF, or a P-DATA-TF that is not allowed here."""
        if self.state in _OVER:
            # AA-6: ignore. Also where PS3.8 table 9-10 has AA-7, which aborts again: after a
            # violation the bytes may begin inside a PDU.
            data.low = data.high
        head = data.pdu_head()
        if head is None:
            return None
        kind, length = head
        if kind == P_DATA_TF and self.state in _DATA:
            # Its first PDV is not complete yet: the parser takes both heads at once.
            return None
        if length > MAX_PDU_BYTES:
            what = f"sent a PDU that announces {length:,} bytes"
            return self._fail(what, INVALID_PARAMETER)
        if kind not in OF_PDU_TYPE:
            return self._fail(_misplaced(kind), UNRECOGNIZED_PDU)
        encoded = data.take_pdu(length)
        return None if encoded is None else self._take_other(kind, encoded)

    def _take_other(self, kind: int, encoded: bytes) -> Event:
        action = self._act(OF_PDU_TYPE[kind])
        if action is Action.AE_3:
            return self._take_acceptance(encoded)
        if action is Action.AE_4:
            return Rejected(encoded)
        if action in {Action.AR_2, Action.AR_8}:
            return ReleaseRequested()
        if action is Action.AR_3:
            return Released()
        if action is Action.AA_3:
            source, reason = (*encoded[8:10], 0, 0)[:2]
            return Aborted(source, reason)
        return ProtocolError(
            f"the peer {_misplaced(kind)}", acse.encode_abort(SERVICE_PROVIDER, UNEXPECTED_PDU)
        )

    def _take_acceptance(self, encoded: bytes) -> Event:
        try:
            self.accepted = acse.decode_associate_ac(encoded, self._proposed)
        except AssociationBroken as error:
            self._act(UpperLayerEvent.INVALID_PDU_CAME)
            response = acse.encode_abort(SERVICE_PROVIDER, INVALID_PARAMETER)
            return ProtocolError(error.detail, response, error.remedy)
        return Accepted(self.accepted)

    def _fail(self, what: str, reason: int) -> ProtocolError:
        """End the association because the peer violated the protocol (AA-8)."""
        self._act(UpperLayerEvent.INVALID_PDU_CAME)
        return ProtocolError(f"the peer {what}", acse.encode_abort(SERVICE_PROVIDER, reason))


def _misplaced(kind: int) -> str:
    return f"sent a PDU of type 0x{kind:02X} where another one must follow"
