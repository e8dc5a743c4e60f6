"""A storage SCU: what the demonstration sends itself with, over real TCP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pynetdicom import AE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from pydicom.dataset import Dataset

TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom to call, and under which name."""

    address: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    source: str = ""
    """The local address to call from; empty leaves it to the system."""


class SendingAssociation:
    """An association as requestor; use it in a `with` block, which releases it."""

    def __init__(
        self,
        destination: Destination,
        sop_classes: Iterable[str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        ae = AE(ae_title=destination.calling_ae_title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = timeout_seconds
        for sop_class_uid in sop_classes:
            ae.add_requested_context(sop_class_uid)
        self._association = ae.associate(
            destination.address,
            destination.port,
            ae_title=destination.called_ae_title,
            bind_address=(destination.source, 0) if destination.source else None,
        )
        transport = self._association.dul.socket
        self._socket = transport.socket if transport is not None else None

    @property
    def is_established(self) -> bool:
        """Whether objects can be sent."""
        return self._association.is_established

    @property
    def is_rejected(self) -> bool:
        """Whether the receiver refused the association."""
        return self._association.is_rejected

    def send(self, ds: Dataset) -> int | None:
        """Send one object and return its status; None if the association broke."""
        try:
            response = self._association.send_c_store(ds)
        except RuntimeError:  # pynetdicom's way to say that the association is gone
            return None
        return int(response.Status) if "Status" in response else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._association.is_established:
            self._association.release()
        if self._socket is not None:
            self._socket.close()  # pynetdicom leaves the socket of a broken connection open
