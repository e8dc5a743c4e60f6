"""Brings the listeners into line with the configured receivers, and says how far that got.

Desired state comes in through `apply`, observed state goes out through `state_of`. Only the
difference is acted upon: a receiver that did not change keeps its socket and its associations.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.dimse.listener import PortListener
from engine.dimse.ports import find_holder, listening_address, shown_address
from engine.errors import ListenError, PortInUse
from engine.events import ReceiverFailed, ReceiverListening, ReceiverStopped
from engine.view import ListenFailure, ReceiverState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from engine.clock import Clock
    from engine.dimse.acceptance import Capacity
    from engine.dimse.associations import Associations
    from engine.dimse.reception import Reception
    from engine.journal import Journal
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings

RETRY_SECONDS = (5, 10, 30, 60, 120, 300, 600)
"""Pauses between attempts to bind a port that can't be bound; the last one repeats."""


@dataclass(frozen=True, slots=True)
class ObservedState:
    """What a receiver really does."""

    state: ReceiverState
    since: datetime
    address: str = ""
    failure: ListenFailure | None = None


@dataclass(slots=True)
class _Port:
    """A wanted port: its listener, or why there is none yet."""

    listener: PortListener
    since: datetime
    failure: ListenFailure | None = None
    retry_at: float = 0.0


class Receivers:
    """The listeners of all ports; every method may be called from any thread."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        associations: Associations,
        reception: Reception,
        capacity: Callable[[], Capacity],
        on_change: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._associations = associations
        self._reception = reception
        self._capacity = capacity
        self._on_change = on_change
        """Called after a port was bound or failed without `apply` being called."""
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._ports: dict[tuple[str, int], _Port] = {}
        self._retired: list[PortListener] = []
        """Listeners without a socket whose associations may still be open."""
        self._disabled_since: dict[str, datetime] = {}
        self._closed = False
        self._retrier = threading.Thread(target=self._retry_failed, name="port-retry", daemon=True)
        self._retrier.start()

    def apply(self, receivers: Sequence[Receiver], site: SiteSettings) -> None:
        """Make the listening ports those of the enabled receivers; return when it is so."""
        address = listening_address(site.bind_address)
        wanted: dict[tuple[str, int], dict[str, Receiver]] = {}
        for receiver in receivers:
            if receiver.enabled:
                by_title = wanted.setdefault((address, receiver.port), {})
                by_title[str(receiver.ae_title)] = receiver
        with self._lock:
            for key in [key for key in self._ports if key not in wanted]:
                self._close_port(key)
            for key, by_title in wanted.items():
                self._serve(key, by_title)
            now = self._clock.now()
            self._disabled_since = {
                r.label: self._disabled_since.get(r.label, now) for r in receivers if not r.enabled
            }

    def retry(self, port: int) -> None:
        """Try at once to bind a port that failed."""
        with self._lock:
            for (_, number), wanted in self._ports.items():
                if number == port and wanted.failure is not None:
                    self._start(wanted)
                    self._on_change()

    def state_of(self, receiver: Receiver) -> ObservedState:
        """Return what the receiver really does."""
        with self._lock:
            for (address, port), wanted in self._ports.items():
                if port == receiver.port and str(receiver.ae_title) in wanted.listener.receivers:
                    if wanted.failure is not None:
                        return ObservedState(
                            ReceiverState.FAILED, wanted.failure.since, failure=wanted.failure
                        )
                    shown = shown_address(address, port)
                    return ObservedState(ReceiverState.LISTENING, wanted.since, shown)
            since = self._disabled_since.get(receiver.label, self._clock.now())
        return ObservedState(ReceiverState.DISABLED, since)

    def listening_on(self, port: int) -> tuple[str, ...]:
        """Return the AE titles that are answered on a port."""
        with self._lock:
            listening = [w for (_, p), w in self._ports.items() if p == port and w.failure is None]
            return tuple(
                sorted(title for wanted in listening for title in wanted.listener.receivers)
            )

    def stop_accepting(self) -> None:
        """Free all ports; open associations go on."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
            for key in list(self._ports):
                self._close_port(key)
        self._retrier.join()

    def abort_all(self) -> None:
        """Abort every association that is still open."""
        with self._lock:
            retired = tuple(self._retired)
        for listener in retired:
            listener.abort_all()

    def _serve(self, key: tuple[str, int], by_title: dict[str, Receiver]) -> None:
        wanted = self._ports.get(key)
        if wanted is None:
            wanted = _Port(self._new_listener(*key), self._clock.now())
            self._ports[key] = wanted
            wanted.listener.receivers = by_title
            self._start(wanted)
            return
        before, wanted.listener.receivers = wanted.listener.receivers, by_title
        for title in before.keys() - by_title.keys():
            self._journal.record(ReceiverStopped(receiver=before[title].label))
        if wanted.failure is None:
            for title in by_title.keys() - before.keys():
                self._tell_listening(by_title[title], wanted.listener)

    def _new_listener(self, address: str, port: int) -> PortListener:
        return PortListener(
            address,
            port,
            associations=self._associations,
            reception=self._reception,
            capacity=self._capacity,
        )

    def _start(self, wanted: _Port) -> None:
        listener = wanted.listener
        try:
            listener.start()
        except ListenError as error:
            self._note_failure(wanted, error)
            return
        wanted.failure, wanted.since = None, self._clock.now()
        for receiver in listener.receivers.values():
            self._tell_listening(receiver, listener)

    def _note_failure(self, wanted: _Port, error: ListenError) -> None:
        before, now = wanted.failure, self._clock.now()
        holder = find_holder(wanted.listener.port) if isinstance(error, PortInUse) else None
        failure = ListenFailure(error.detail, error.remedy, now, holder=holder)
        if before is not None:
            failure = replace(failure, since=before.since, attempts=before.attempts + 1)
        wanted.failure = failure
        pause = RETRY_SECONDS[min(failure.attempts, len(RETRY_SECONDS)) - 1]
        wanted.retry_at = self._clock.monotonic() + pause
        self._wake.notify_all()
        if before is None or before.reason != failure.reason:
            for receiver in wanted.listener.receivers.values():
                self._journal.record(
                    ReceiverFailed(
                        receiver=receiver.label, reason=error.detail, remedy=error.remedy
                    )
                )

    def _close_port(self, key: tuple[str, int]) -> None:
        wanted = self._ports.pop(key)
        wanted.listener.stop()
        for receiver in wanted.listener.receivers.values():
            self._journal.record(ReceiverStopped(receiver=receiver.label))
        self._retired = [r for r in self._retired if r.has_associations()]
        self._retired.append(wanted.listener)

    def _tell_listening(self, receiver: Receiver, listener: PortListener) -> None:
        shown = shown_address(listener.address, listener.port)
        self._journal.record(ReceiverListening(receiver=receiver.label, address=shown))

    def _retry_failed(self) -> None:
        with self._wake:
            while not self._closed:
                failed = [w for w in self._ports.values() if w.failure is not None]
                due = [w for w in failed if w.retry_at <= self._clock.monotonic()]
                for wanted in due:
                    self._start(wanted)
                    self._on_change()
                if not due:
                    pauses = [w.retry_at - self._clock.monotonic() for w in failed]
                    self._wake.wait(max(0.01, min(pauses)) if pauses else None)
