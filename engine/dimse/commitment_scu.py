"""Asks a peer for storage commitment of what it was sent, and waits for its report.

The report may come on the association of the request, or on one that the peer opens: then somebody
must listen for it (PS3.4 J.3.3). `ReportListener` accepts such associations, one at a time.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from pydicom.uid import generate_uid

from engine.dimse.acceptor import (
    Aborted,
    AcceptorConnection,
    AssociateRequested,
    NormalizedRequested,
    OtherRequestEnded,
    ProtocolError,
    ReleaseRequested,
)
from engine.dimse.acse import Service, negotiate
from engine.dimse.commands import (
    N_ACTION,
    N_EVENT_REPORT,
    SUCCESS,
    normalized_response,
    status_in_words,
)
from engine.dimse.commitment import (
    REASONS,
    REQUEST_ACTION,
    CommitmentReport,
    CommitmentRequest,
    Reference,
    decode_report,
    encode_request,
)
from engine.dimse.pdata import ReceiveBuffer
from engine.errors import AssociationBroken, UnreadableObject
from engine.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from engine.dimse.scu import OutgoingAssociation

_UNRECOGNIZED_OPERATION, _POLL_SECONDS = 0x0211, 0.2
_BUFFER_BYTES = 640 * 1024


class CommitmentResult:
    """What a peer says of the objects that it was asked for."""

    def __init__(self, references: Sequence[Reference], report: CommitmentReport | None) -> None:
        """Take what was asked, and the report; None if none has come."""
        self.references = tuple(references)
        self._committed = set(report.committed) if report else set[Reference]()
        self._failed = dict(report.failed) if report else {}
        self._has_come = report is not None

    @property
    def committed(self) -> int:
        """The number of committed objects."""
        return sum(reference in self._committed for reference in self.references)

    @property
    def is_complete(self) -> bool:
        """Whether all objects are committed."""
        return self.committed == len(self.references)

    def why_not(self, reference: Reference) -> str:
        """Return why an object is not committed; empty if it is."""
        if reference in self._committed and reference not in self._failed:
            return ""
        if not self._has_come:
            return "no report has come"
        reason = self._failed.get(reference)
        if reason is None:
            return "the report does not name it"
        return f"0x{reason:04X} ({REASONS.get(reason, 'unknown reason')})"


def ask(
    association: OutgoingAssociation,
    references: Sequence[Reference],
    seconds: float,
    listener: ReportListener | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> CommitmentResult:
    """Ask for storage commitment, and wait for the report.

    Args:
        association: for which `COMMITMENT_CONTEXTS` were proposed.
        references: what the peer was sent.
        seconds: the longest wait for the report.
        listener: where the peer may report on an association of its own.
        is_over: asked a few times a second; if it returns true, the report is not waited for.

    Raises:
        ContextRefused: if the peer does no storage commitment.
        AssociationBroken: if it does not answer, or refuses the request.
    """
    request = CommitmentRequest(str(generate_uid(prefix=None)), tuple(references))
    report: CommitmentReport | None = None
    # From before the request: the report may be faster than the answer to it.
    with nullcontext() if listener is None else listener.expecting(request.transaction_uid):
        _require_accepted(association, request)
        until = time.monotonic() + seconds
        while report is None and time.monotonic() < until and not is_over():
            if listener is not None:
                report = listener.report_of(request.transaction_uid)
            if report is None:
                report = _next_report(association, request.transaction_uid, until, listener)
    return CommitmentResult(references, report)


def _require_accepted(association: OutgoingAssociation, request: CommitmentRequest) -> None:
    answer = association.ask_commitment(
        N_ACTION, REQUEST_ACTION, lambda syntax: encode_request(request, syntax)
    )
    if answer.status != SUCCESS:
        comment = f": {answer.comment}" if answer.comment else ""
        detail = f"the peer refuses storage commitment: {status_in_words(answer.status)}{comment}"
        raise AssociationBroken(detail, "see its log")


def _next_report(
    association: OutgoingAssociation,
    transaction_uid: str,
    until: float,
    listener: ReportListener | None,
) -> CommitmentReport | None:
    """Wait for a report on the association, for a moment."""
    pause = min(_POLL_SECONDS, max(0.0, until - time.monotonic()))
    if listener is not None and not association.is_open:
        listener.wait(pause)
        return None
    try:
        came = association.next_report(pause)
    except AssociationBroken:
        if listener is None:
            raise
        return None
    return _read(came.data_set, came.transfer_syntax_uid, transaction_uid) if came else None


def _read(
    data_set: bytes | bytearray, transfer_syntax_uid: str, transaction_uid: str
) -> CommitmentReport | None:
    with suppress(UnreadableObject):
        report = decode_report(data_set, transfer_syntax_uid)
        # A peer may have older ones that it could not deliver.
        return report if report.transaction_uid == transaction_uid else None
    return None


class ReportListener:
    """Takes reports on a port; in a `with` block, which ends it. Any thread may wait for one."""

    def __init__(self, port: int) -> None:
        """Listen on all addresses.

        Raises:
            OSError: if the port can't be bound.
        """
        self._lock = threading.Condition()
        self._reports: dict[str, CommitmentReport | None] = {}
        """By the transactions that are waited for; None if no report has come."""
        self._socket = socket.create_server(("", port))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    @contextmanager
    def expecting(self, transaction_uid: str) -> Iterator[None]:
        """Keep the report on a request in this block; others are answered, and not kept."""
        with self._lock:
            self._reports[transaction_uid] = None
        try:
            yield
        finally:
            with self._lock:
                del self._reports[transaction_uid]

    def report_of(self, transaction_uid: str) -> CommitmentReport | None:
        """Return the report on a request; None if none has come."""
        with self._lock:
            return self._reports.get(transaction_uid)

    def wait(self, seconds: float) -> None:
        """Wait for the next report."""
        with self._lock:
            self._lock.wait(seconds)

    def _run(self) -> None:
        self._socket.settimeout(_POLL_SECONDS)
        while not self._is_over.is_set():
            with suppress(OSError):
                connected, _ = self._socket.accept()
                with connected:
                    self._serve(connected)

    def _serve(self, connected: socket.socket) -> None:
        connected.settimeout(_POLL_SECONDS)
        limits = Limits()
        acceptor, data = AcceptorConnection(limits), ReceiveBuffer(_BUFFER_BYTES)
        while not self._is_over.is_set():
            event = acceptor.next_event(data)
            if event is None:
                data.begin(data.rest())
                with suppress(TimeoutError):
                    size = connected.recv_into(data.view[data.high :])
                    if not size:
                        return
                    data.high += size
            elif isinstance(event, AssociateRequested):
                negotiated = negotiate(event.proposal, limits.pdu_bytes, Service.REPORTS)
                connected.sendall(acceptor.accept(negotiated, limits))
            elif isinstance(event, NormalizedRequested):
                connected.sendall(self._answer(event))
            elif isinstance(event, OtherRequestEnded):
                connected.sendall(event.response)
            elif isinstance(event, ReleaseRequested):
                connected.sendall(acceptor.release())
                return
            elif isinstance(event, Aborted | ProtocolError):
                return

    def _answer(self, event: NormalizedRequested) -> bytes:
        """Return the answer to a report, which is kept."""
        if event.request.field != N_EVENT_REPORT or event.data_set is None:
            return normalized_response(event.request, _UNRECOGNIZED_OPERATION)
        try:
            report = decode_report(event.data_set, event.transfer_syntax_uid)
        except UnreadableObject as error:
            return normalized_response(event.request, 0x0115, error.detail)
        with self._lock:
            if report.transaction_uid in self._reports:
                self._reports[report.transaction_uid] = report
            self._lock.notify_all()
        return normalized_response(event.request, SUCCESS)
