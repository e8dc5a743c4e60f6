"""Deadlines of a peer: records when bytes arrive, and returns what is overdue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from engine.dimse.acceptor import AcceptorConnection
    from engine.model.limits import Limits
    from engine.settings import EngineSettings

MIN_BYTES_PER_SECOND = 1000
"""A PDU that arrives with at least this rate may take longer than its deadline."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take."""

    negotiation_seconds: float = 10.0
    """From the connection to the complete A-ASSOCIATE-RQ."""
    pdu_seconds: float = 30.0
    """For one PDU, unless it arrives with a kilobyte per second; also to read our answer."""
    handshake_seconds: float = 10.0
    """From the connection to the end of the TLS handshake, on TLS ports."""

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Return those that an engine is started with."""
        return cls(settings.negotiation_seconds, settings.pdu_seconds, settings.handshake_seconds)


class MessageTimes:
    """Times of the peer of an established association, in monotonic seconds."""

    def __init__(self, now: float, deadlines: Deadlines) -> None:
        self._pdu_seconds = deadlines.pdu_seconds
        self._heard = self._pdu_began = self._message_began = now
        self._pdus = 0
        self._pdu_bytes = 0
        """Bytes of the present PDU, or of several since it was last looked at."""
        self._is_inside_pdu = self._is_inside_message = False

    def note_received(self, now: float, size_bytes: int) -> None:
        """Note received bytes, before they are served."""
        if not self._is_inside_message:
            self._message_began = now
        self._pdu_bytes += size_bytes

    def note_served(self, now: float, acceptor: AcceptorConnection, *, has_rest: bool) -> None:
        """Note that received bytes were served; the peer's idle time begins only now.

        Args:
            now: the time.
            acceptor: knows whether a PDU or message has begun and not ended.
            has_rest: whether bytes are left that are not consumed.
        """
        self._heard = now
        # A PDU begins with the first byte of its head, which is counted only when it is complete.
        pdus = acceptor.pdus + (has_rest and not acceptor.inside_pdu)
        if pdus != self._pdus:
            self._pdus, self._pdu_began, self._pdu_bytes = pdus, now, 0
        self._is_inside_pdu = has_rest or acceptor.inside_pdu
        self._is_inside_message = has_rest or acceptor.inside_message

    def note_resumed(self, now: float) -> None:
        """Note that the peer is read again: the time since it was last heard was ours, not its."""
        ours, self._heard = now - self._heard, now
        # PDU and message have not begun later, but their time stood still.
        self._pdu_began += ours
        self._message_began += ours

    def overdue_at(self, limits: Limits) -> float:
        """Return when the first of the peer's deadlines ends."""
        return min(at for at, _ in self._overdue(limits))

    def overdue(self, now: float, limits: Limits) -> str:
        """Return a sentence about what took too long; empty if nothing did."""
        return next((why for at, why in self._overdue(limits) if at <= now), "")

    def _overdue(self, limits: Limits) -> list[tuple[float, str]]:
        """Return when each running deadline ends, with the reason for the log."""
        ends = []
        if self._is_inside_pdu:
            # Longer with each byte: a slow link may be slow, but one byte now and then ends.
            longest = max(self._pdu_seconds, self._pdu_bytes / MIN_BYTES_PER_SECOND)
            at = self._pdu_began + longest
            # The deadline is the same in both cases; the reason in the log is not.
            has_stopped = at - self._heard >= self._pdu_seconds / 2
            what = "stopped in the middle of a PDU" if has_stopped else "sends a PDU too slowly"
            ends.append((at, f"the peer {what}"))
        if self._is_inside_message:
            longest = limits.message_seconds
            ends.append((self._message_began + longest, f"a message takes longer than {longest} s"))
        ends.append(
            (self._heard + limits.idle_seconds, f"nothing arrived for {limits.idle_seconds} s")
        )
        return ends
