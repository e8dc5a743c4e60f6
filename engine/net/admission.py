"""Limits on connections that have no association yet: in total, per address and per second.

An address may have only so many of them, and make only so many a second. If there are too many over
all addresses, the oldest silent one of the address with most of them is closed, so that one address
can't keep out the others.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from engine.events import ConnectionDropped
from engine.events.repeats import Budget, Repetitions, should_report_repeat
from engine.model.limits import Limits
from engine.model.peer import origin_of
from engine.net.protocols import describe_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events.journal import Journal
    from engine.host.clock import Clock
    from engine.model.whitelist import Address


# A connection that sends nothing is closed after `Deadlines.negotiation_seconds`; until then it
# counts here, so that silent ones do not use up the descriptors.
MAX_UNASSOCIATED = 50
MAX_UNASSOCIATED_PER_ADDRESS = 5
TOO_MANY_PENDING = "too many connections without an association are open"
DISPLACED = "it was silent, and was closed because too many connections waited"
CLOSED_WITHOUT_DATA = "it was closed without any data"
REPORTS_PER_MINUTE = 60
"""The most reports of such connections, over all addresses; further ones are counted."""

_FORGET_FROM = 4_096
"""From this number of known addresses on, those with full buckets are forgotten."""
_ASSOCIATE_RQ = 0x01
_OTHER_PDUS = {  # PS3.8 9.3.1
    0x02: "an A-ASSOCIATE-AC",
    0x03: "an A-ASSOCIATE-RJ",
    0x04: "a P-DATA-TF",
    0x05: "an A-RELEASE-RQ",
    0x06: "an A-RELEASE-RP",
    0x07: "an A-ABORT",
}
# Four printable bytes as a length would be far greater: that is another protocol.
_LONGEST_OTHER_PDU = 0x00FFFFFF


class PendingConnection(Protocol):
    """A connection that has no association yet."""

    limits: Limits
    """The limits of the site when it was accepted."""
    is_rate_limited: bool
    """Whether its address requests associations too fast."""
    request_received: bool
    """Whether its A-ASSOCIATE-RQ has arrived."""
    why: str
    """Why we end it; empty if we do not."""

    @property
    def is_silent(self) -> bool:
        """Whether no byte of a request has arrived, not counting a TLS handshake."""
        ...

    def hang_up(self) -> None:
        """Break the connection; may be called from any thread, and returns at once."""
        ...


class PendingConnections:
    """Counts the connections that have no association yet; for all threads."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        unassociated: int = MAX_UNASSOCIATED,
        unassociated_per_address: int = MAX_UNASSOCIATED_PER_ADDRESS,
    ) -> None:
        self.failed = FailedConnections(clock, journal)
        self.limits = Limits()
        """The site's limits; replaced when they change."""
        self._rates = ArrivalRates(clock)
        self._most = unassociated
        self._most_per_address = unassociated_per_address
        self._lock = threading.Condition()
        self._waiting: dict[PendingConnection, str] = {}
        """The origin that each counts for, in the order in which they came."""

    def allows(self, address: Address, port: int) -> bool:
        """Tell whether one more connection from an address is accepted; report it if not."""
        limits, counted = self.limits, origin_of(address)
        if self._rates.exceeds_rate(counted, limits):
            self.failed.record(address, port, too_fast(limits))
            return False
        with self._lock:
            has_room = Counter(self._waiting.values())[counted] < self._most_per_address
            # If all places are taken, a silent connection is closed for the newcomer: otherwise
            # silent ones would keep every scanner out. If the places of its own address are taken,
            # the newcomer is closed.
            is_full = len(self._waiting) >= self._most
            gives_way = self._oldest_silent() if has_room and is_full else None
        # Outside the lock: `hang_up` makes a system call.
        if gives_way is not None:
            gives_way.why = DISPLACED
            gives_way.hang_up()
        if not has_room:
            self.failed.record(address, port, TOO_MANY_PENDING)
        return has_room

    def _oldest_silent(self) -> PendingConnection | None:
        """Take out the longest silent connection of the address with most connections."""
        numbers = Counter(self._waiting.values())
        waiting = [one for one in self._waiting if not one.request_received]
        # The first of equals is the oldest.
        first = max(waiting, key=lambda a: (numbers[self._waiting[a]], a.is_silent), default=None)
        if first is not None:
            del self._waiting[first]
        return first

    def add(self, connection: PendingConnection, address: Address) -> None:
        """Count a connection until it has its association, and measure the rate of its address."""
        counted = origin_of(address)
        connection.limits = self.limits
        connection.is_rate_limited = not self._rates.arrive(counted, self.limits)
        with self._lock:
            self._waiting[connection] = counted

    def remove(self, connection: PendingConnection) -> None:
        """Stop counting a connection: it has its association, or is closed."""
        with self._lock:
            self._waiting.pop(connection, None)
            self._lock.notify_all()

    def wait_until_empty(self, seconds: float) -> bool:
        """Wait until no connection waits for its association; return False after that time."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._waiting, seconds)

    def hang_up(self) -> None:
        """Close the connections that wait for their association."""
        with self._lock:
            waiting = tuple(self._waiting)
        for connection in waiting:
            connection.hang_up()


def too_fast(limits: Limits) -> str:
    """Return a sentence that says that an address requests associations too fast."""
    allowed = limits.associations_per_second_per_address
    return f"its address asks for more than {allowed} associations a second"


class ArrivalRates:
    """One token bucket per address; for all threads.

    A bucket holds as many tokens as connections may come at once, and gains so many a second. Each
    connection takes one. Without a token, a request is rejected. If as many are missing as the
    bucket holds, connections are closed without an answer, until tokens have come back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """Tokens by address, and the monotonic time at which they were counted."""
        self._forget_from = _FORGET_FROM

    def exceeds_rate(self, address: str, limits: Limits) -> bool:
        """Tell whether connections of an address are closed without an answer."""
        with self._lock:
            return self._tokens(address, limits) <= -limits.association_burst_per_address

    def arrive(self, address: str, limits: Limits) -> bool:
        """Count a connection; return whether it is within the rate of its address."""
        with self._lock:
            tokens = self._tokens(address, limits) - 1
            self._buckets[address] = tokens, self._clock.monotonic()
            self._forget(limits)
        return tokens >= 0

    def _tokens(self, address: str, limits: Limits) -> float:
        full = float(limits.association_burst_per_address)
        tokens, at = self._buckets.get(address, (full, 0.0))
        gained = (self._clock.monotonic() - at) * limits.associations_per_second_per_address
        return min(full, tokens + gained)

    def _forget(self, limits: Limits) -> None:
        # An address without connections for a while has a full bucket, as an unknown one has. The
        # next clean-up is at twice the number, so that the cost for each connection stays the same.
        if len(self._buckets) < self._forget_from:
            return
        full = limits.association_burst_per_address
        self._buckets = {a: b for a, b in self._buckets.items() if self._tokens(a, limits) < full}
        self._forget_from = max(_FORGET_FROM, 2 * len(self._buckets))


class FailedConnections:
    """Reports connections that ended without an association; for all threads."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._journal = journal
        self._repetitions = Repetitions(clock.monotonic)
        self._budget = Budget(REPORTS_PER_MINUTE, 60, clock.monotonic)

    def record(
        self, address: Address, port: int, why: str, receiver: str = "", calling: str = ""
    ) -> None:
        """Record the end of a connection; the 1st, 10th, 100th … repetition is reported."""
        times = self._repetitions.count((origin_of(address), port, why))
        # A single connection without any data is a monitoring system that checks the port.
        if not should_report_repeat(times) or (times == 1 and why == CLOSED_WITHOUT_DATA):
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


def describe_end(first_bytes: bytes, longest_request: int, waited_seconds: float | None) -> str:
    """Return how a connection without an A-ASSOCIATE-RQ ended, without any text of the peer.

    Args:
        first_bytes: the first bytes that arrived.
        longest_request: the most bytes of an A-ASSOCIATE-RQ.
        waited_seconds: the deadline, if that ended the connection.
    """
    if not first_bytes:
        waited = waited_seconds is not None
        return f"nothing came for {waited_seconds:g} s" if waited else CLOSED_WITHOUT_DATA
    length = int.from_bytes(first_bytes[2:6], "big")
    # PS3.8 9.3.1: type, a reserved byte, the length in four bytes.
    if first_bytes[0] == _ASSOCIATE_RQ and first_bytes[1:2] in {b"", b"\0"}:
        if len(first_bytes) >= 6 and length > longest_request:
            return f"its A-ASSOCIATE-RQ is longer than {longest_request:,} bytes"
        if waited_seconds is not None:
            return f"its A-ASSOCIATE-RQ was not complete after {waited_seconds:g} s"
        return "it was closed in the middle of its A-ASSOCIATE-RQ"
    if _is_other_pdu(first_bytes):
        return f"it begins with {_OTHER_PDUS[first_bytes[0]]} instead of an A-ASSOCIATE-RQ"
    return f"this is not DICOM but looks like {describe_protocol(first_bytes)}"


def _is_other_pdu(head: bytes) -> bool:
    is_pdu = len(head) >= 6 and head[0] in _OTHER_PDUS and head[1] == 0
    return is_pdu and int.from_bytes(head[2:6], "big") <= _LONGEST_OTHER_PDU


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The most open connections, in total and per origin, before and after they are admitted."""

    silent: int = 64
    silent_per_origin: int = 32
    admitted: int = 128
    admitted_per_origin: int = 32

    @classmethod
    def within(cls, descriptors: int) -> Self:
        """Return limits that leave most descriptors of the process to other parts."""
        share = max(2, descriptors // 32)
        return cls(min(64, share), min(32, share // 2), min(128, 2 * share), min(32, share))


class ConnectionTable:
    """Counts connections; for all threads."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._silent: dict[TableEntry, None] = {}
        """Oldest first."""
        self._admitted: set[TableEntry] = set()

    def enter(self, origin: str, close: Callable[[], object]) -> TableEntry:
        """Count a new connection; if there are too many, a silent one is closed.

        Args:
            origin: the limit that it shares: see `engine.model.peer.origin_of`, or a process.
            close: closes the connection; may be called by any thread, and must return at once.
        """
        entered = TableEntry(self, origin, close)
        with self._lock:
            displaced = self._displaced_by(origin)
            if displaced is not None:
                del self._silent[displaced]
            self._silent[entered] = None
        if displaced is not None:
            displaced.close()
        return entered

    def admit(self, entry: TableEntry) -> bool:
        """Return whether a connection may continue; if so, it no longer counts as silent."""
        limits = self._limits
        with self._lock:
            if entry in self._admitted:
                return True
            here = sum(other.origin == entry.origin for other in self._admitted)
            is_full = len(self._admitted) >= limits.admitted or here >= limits.admitted_per_origin
            if entry not in self._silent or is_full:
                return False
            del self._silent[entry]
            self._admitted.add(entry)
        return True

    def leave(self, entry: TableEntry) -> None:
        """Stop counting a connection."""
        with self._lock:
            self._silent.pop(entry, None)
            self._admitted.discard(entry)

    def _displaced_by(self, origin: str) -> TableEntry | None:
        """Return the silent connection to close before one of an origin is counted."""
        counts = Counter(entry.origin for entry in self._silent)
        if counts[origin] >= self._limits.silent_per_origin:
            busiest = origin
        elif len(self._silent) >= self._limits.silent:
            busiest = counts.most_common(1)[0][0]
        else:
            return None
        return next(entry for entry in self._silent if entry.origin == busiest)


@dataclass(frozen=True, slots=True, eq=False)
class TableEntry:
    """One open connection."""

    table: ConnectionTable
    origin: str
    close: Callable[[], object]

    def admit(self) -> bool:
        """Return whether the connection may continue; see `ConnectionTable.admit`."""
        return self.table.admit(self)

    def leave(self) -> None:
        """Stop counting the connection."""
        self.table.leave(self)
