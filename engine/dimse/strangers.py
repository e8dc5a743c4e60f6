"""Connections that never became an association: told in words, and repetitions as a count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.addresses import origin_of
from engine.dimse.greeting import recognize
from engine.events import ConnectionDropped
from engine.journal import is_told
from engine.repetitions import Budget, Repetitions

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.journal import Journal
    from engine.model.whitelist import Address

LEFT_SILENTLY = "it was closed without a word"
REPORTS_PER_MINUTE = 60
"""Of connections that ended so, from all addresses; the rest is a number."""

_ASSOCIATE_RQ = 0x01
_OTHER_PDUS = {  # PS3.8 9.3.1
    0x02: "an A-ASSOCIATE-AC",
    0x03: "an A-ASSOCIATE-RJ",
    0x04: "a P-DATA-TF",
    0x05: "an A-RELEASE-RQ",
    0x06: "an A-RELEASE-RP",
    0x07: "an A-ABORT",
}
_LONGEST_OTHER_PDU = 0x00FFFFFF


def departure(first_bytes: bytes, longest_request: int, waited_seconds: float | None) -> str:
    """Say how a connection ended that brought no A-ASSOCIATE-RQ; nothing a peer sent is in it.

    Args:
        first_bytes: the first bytes that came.
        longest_request: how many bytes an A-ASSOCIATE-RQ may have.
        waited_seconds: the deadline, if it is what ended the connection.
    """
    if not first_bytes:
        waited = waited_seconds is not None
        return f"nothing came for {waited_seconds:g} s" if waited else LEFT_SILENTLY
    length = int.from_bytes(first_bytes[2:6], "big")
    if first_bytes[0] == _ASSOCIATE_RQ and first_bytes[1:2] in {b"", b"\0"}:
        if len(first_bytes) >= 6 and length > longest_request:
            return f"its A-ASSOCIATE-RQ is longer than {longest_request:,} bytes"
        if waited_seconds is not None:
            return f"its A-ASSOCIATE-RQ was not complete after {waited_seconds:g} s"
        return "it was closed in the middle of its A-ASSOCIATE-RQ"
    if _is_other_pdu(first_bytes):
        return f"it begins with {_OTHER_PDUS[first_bytes[0]]} instead of an A-ASSOCIATE-RQ"
    return f"this is not DICOM but looks like {recognize(first_bytes)}"


def _is_other_pdu(head: bytes) -> bool:
    is_pdu = len(head) >= 6 and head[0] in _OTHER_PDUS and head[1] == 0
    return is_pdu and int.from_bytes(head[2:6], "big") <= _LONGEST_OTHER_PDU


class Strangers:
    """Tells the journal about connections without an association; any thread may use it."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._repetitions = Repetitions(clock.monotonic)
        self._budget = Budget(REPORTS_PER_MINUTE, 60, clock.monotonic)

    def dropped(
        self, address: Address, port: int, why: str, receiver: str = "", calling: str = ""
    ) -> None:
        """Note that a connection ended; it is told the 1st, 10th, 100th … time in a while."""
        times = self._repetitions.count((origin_of(address), port, why))
        # One connection without a word is any monitor's check of a port.
        if not is_told(times) or (times == 1 and why == LEFT_SILENTLY):
            return
        left_out = self._budget.take()
        if left_out is not None:
            self._journal.record(
                ConnectionDropped(
                    receiver=receiver,
                    calling_ae_title=calling,
                    address=str(address),
                    port=port,
                    why=why,
                    times=times,
                    left_out=left_out,
                )
            )
