"""A requestor of storage commitment: what pynetdicom makes of PS3.4 annex J, over real TCP."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    from pynetdicom.association import Association

SECONDS = 20
_ANSWER = bytes.fromhex("0000 0001 02000000 0081")
"""The command field of an N-EVENT-REPORT-RSP (PS3.7 10.3.1.2)."""


class Told(NamedTuple):
    """A report."""

    transaction_uid: str
    event_type: int
    committed: set[str]
    failed: dict[str, int]


class Reports:
    """The reports that have come, on whatever association."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        """What they are answered with."""
        self._unanswered: queue.Queue[Told] = queue.Queue()
        self._come: queue.Queue[Told] = queue.Queue()

    def take(self, event: Any) -> tuple[int, None]:
        """Take a report of pynetdicom."""
        ds = event.event_information
        committed = {
            str(one.ReferencedSOPInstanceUID) for one in ds.get("ReferencedSOPSequence", [])
        }
        failed = {
            str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
            for one in ds.get("FailedSOPSequence", [])
        }
        self._unanswered.put(Told(str(ds.TransactionUID), event.event_type, committed, failed))
        return self.status, None

    def note_sent(self, event: Any) -> None:
        """Take a PDU that pynetdicom has sent."""
        sent = event.pdu
        if isinstance(sent, P_DATA_TF) and _ANSWER in sent.encode():
            self._come.put(self._unanswered.get_nowait())

    @property
    def handlers(self) -> Any:
        """What pynetdicom must call."""
        return [(evt.EVT_N_EVENT_REPORT, self.take), (evt.EVT_PDU_SENT, self.note_sent)]

    def next(self) -> Told:
        """Wait for the next one, and until it is answered.

        Whoever releases before sees pynetdicom answer after its A-RELEASE-RQ, which is an error.
        """
        return self._come.get(timeout=SECONDS)

    def is_empty(self) -> bool:
        """Tell whether all that have come were taken."""
        return self._come.empty()


def request(references: Iterable[tuple[str, str]], transaction_uid: str = "") -> Dataset:
    """Return the data set of a request."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid or generate_uid()
    items = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        items.append(item)
    ds.ReferencedSOPSequence = Sequence(items)
    return ds


@contextmanager
def association(
    port: int, calling: str, reports: Reports, sop_classes: Iterable[str] = ()
) -> Iterator[Association]:
    """Yield an open association that asks for commitment, and may store."""
    ae = AE(ae_title=calling)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = SECONDS
    ae.add_requested_context(StorageCommitmentPushModel)
    for uid in sop_classes:
        ae.add_requested_context(uid)
    made = ae.associate("127.0.0.1", port, ae_title="XNAT", evt_handlers=reports.handlers)
    transport = made.dul.socket
    broken = transport.socket if transport is not None else None
    try:
        assert made.is_established
        yield made
    finally:
        if made.is_established:
            made.release()
        if broken is not None:
            broken.close()  # pynetdicom leaves the socket of a broken connection open


def ask(made: Association, ds: Dataset, *, action: int = 1, instance: str = "") -> int:
    """Send a request and return the status of its answer."""
    status, _ = made.send_n_action(
        ds, action, StorageCommitmentPushModel, UID(instance) or StorageCommitmentPushModelInstance
    )
    return int(status.Status)


@contextmanager
def listening(
    port: int, ae_title: str, reports: Reports, tls: ssl.SSLContext | None = None
) -> Iterator[None]:
    """Take reports on associations that the provider opens, over TLS if there is a context."""
    ae = AE(ae_title=ae_title)
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = ae.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=reports.handlers, ssl_context=tls
    )
    assert server is not None
    try:
        yield
    finally:
        server.shutdown()
