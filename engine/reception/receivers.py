"""Opens and closes ports by the configured receivers, and reports the observed state.

`apply` takes the desired state, `states_of` returns the observed ones. Only differences are acted
on: a receiver that did not change keeps its socket and its associations.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING

from engine.api import ListenFailure, ReceiverState
from engine.errors import ListenError, PortInUse
from engine.events import ReceiverFailed, ReceiverListening, ReceiverStopped, SocketUnused
from engine.net.ports import find_holder, listening_address, shown_address
from engine.reception.listener import PortListener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings
    from engine.model.tls import Certificate, TlsSettings
    from engine.reception.listener import AcceptedConnection, ListenerContext

CERTIFICATE_CHECK_SECONDS = 60 * 60
"""Each hour, because revocation lists may be valid for a few hours only."""
RETRY_SECONDS = (5, 10, 30, 60, 120, 300, 600)
"""Pauses between attempts to bind a port; the last one repeats."""

_ABORT_SECONDS = 2
"""Time for objects that are being stored, then for the peers to close."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObservedState:
    """The observed state of a receiver."""

    state: ReceiverState
    since: datetime
    address: str = ""
    failure: ListenFailure | None = None
    certificate: Certificate | None = None
    """The certificate in force."""
    certificate_problem: str = ""
    """Why changed TLS files are not in force; empty if they are."""


@dataclass(slots=True)
class _PortState:
    """A wanted port: its listener, and why it does not listen, if so."""

    listener: PortListener
    since: datetime
    failure: ListenFailure | None = None
    retry_at: float = 0.0
    check_at: float = 0.0
    """When the TLS files are checked next."""

    @property
    def tls(self) -> TlsSettings | None:
        """The TLS that it was opened with."""
        return self.listener.tls.settings if self.listener.tls else None


class Receivers:
    """The listeners of all ports; for all threads."""

    def __init__(self, listener_context: ListenerContext, on_change: Callable[[], None]) -> None:
        """Begin without a port.

        Args:
            listener_context: the objects that all ports share.
            on_change: called after a port was bound or failed outside `apply`.
        """
        self._context = listener_context
        self._clock, self._journal = listener_context.clock, listener_context.journal
        self._associations = listener_context.associations
        self._reactor = listener_context.services.reactor
        self._pending = listener_context.pending
        self._inherited = listener_context.inherited
        self._on_change = on_change
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._ports: dict[tuple[str, int], _PortState] = {}
        self._retired: list[PortListener] = []
        """Closed listeners whose connections may still be open."""
        self._not_listening_since: dict[str, datetime] = {}
        self._allowed = True
        self._drain_until: dict[str, float] = {}
        """When open associations of a removed receiver are aborted, by its label."""
        self._closed = False
        self._supervisor = threading.Thread(target=self._supervise, name="receivers", daemon=True)
        self._supervisor.start()

    def apply(self, receivers: Sequence[Receiver], site: SiteSettings) -> None:
        """Open and close ports for the enabled receivers; returns when that is done."""
        wanted = _wanted(receivers, site) if site.receivers_allowed else {}
        with self._lock:
            if self._closed:
                return
            before = self._labels()
            self._pending.limits = site.limits
            # First of all, so that no caller associates by old settings while ports open and close.
            self._admit(receivers, wanted)
            # Closed before others are opened: a receiver may have moved to another address of the
            # same port.
            for key in [key for key in self._ports if key not in wanted]:
                self._close_port(key)
            for key, by_title in wanted.items():
                if key in self._ports and self._ports[key].tls != _tls_of(by_title):
                    # Open associations continue; new callers get the new TLS.
                    self._close_port(key)
                if key not in self._ports:
                    self._open_port(key, by_title)
            self._close_unused_sockets(receivers, site)
            self._allowed = site.receivers_allowed
            self._note_idle(receivers)
            self._drain(before, site.limits.drain_seconds)

    def retry(self, port: int) -> None:
        """Retry a failed port at once."""
        with self._lock:
            for (_, number), wanted in self._ports.items():
                if number == port and wanted.failure is not None:
                    self._start(wanted)
                    self._report_change()

    def state_of(self, receiver: Receiver) -> ObservedState:
        """Return the observed state of a receiver."""
        (state,) = self.states_of((receiver,))
        return state

    def states_of(self, receivers: Sequence[Receiver]) -> Sequence[ObservedState]:
        """Return the observed state of each receiver, in their order."""
        with self._lock:
            # Once for all of them: there may be hundreds of ports.
            served = {
                (title, port): wanted
                for (_, port), wanted in self._ports.items()
                for title in wanted.listener.receivers
            }
            return [self._observed(r, served.get((str(r.ae_title), r.port))) for r in receivers]

    def _observed(self, receiver: Receiver, wanted: _PortState | None) -> ObservedState:
        if wanted is None:
            since = self._not_listening_since.get(receiver.label, self._clock.now())
            not_allowed = receiver.enabled and not self._allowed
            state = ReceiverState.NOT_ALLOWED if not_allowed else ReceiverState.DISABLED
            return ObservedState(state, since)
        if wanted.failure is not None:
            return ObservedState(ReceiverState.FAILED, wanted.failure.since, failure=wanted.failure)
        listener, tls = wanted.listener, wanted.listener.tls
        return ObservedState(
            ReceiverState.LISTENING,
            wanted.since,
            shown_address(listener.address, listener.port),
            certificate=tls.certificate if tls else None,
            certificate_problem=tls.problem if tls else "",
        )

    def retry_all(self) -> None:
        """Retry all failed ports at once."""
        with self._lock:
            ports = {port for (_, port), wanted in self._ports.items() if wanted.failure}
        for port in ports:
            self.retry(port)

    def dead(self) -> tuple[str, ...]:
        """Return the names of threads that should run and do not.

        Takes no lock: a thread that hangs may hold it.
        """
        if self._closed:
            return ()
        dead = []
        if not self._supervisor.is_alive():
            dead.append("the supervisor of ports")
        if self._reactor.is_dead():
            dead.append("the loop that serves all associations")
        return tuple(dead)

    def listening_on(self, port: int) -> tuple[str, ...]:
        """Return the AE titles of the receivers that listen on a port."""
        with self._lock:
            listening = [w for (_, p), w in self._ports.items() if p == port and w.failure is None]
            return tuple(
                sorted(title for wanted in listening for title in wanted.listener.receivers)
            )

    def stop_accepting(self) -> None:
        """Free all ports; open associations continue."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
            for key, wanted in list(self._ports.items()):
                self._close_port(key)
                for receiver in wanted.listener.receivers.values():
                    self._journal.record(ReceiverStopped(receiver=receiver.label))
        # Without the lock, which the supervisor needs to see that it must end.
        self._supervisor.join()

    def answer_pending(self, seconds: float) -> None:
        """Wait until connections without an association have got one, for `seconds` at most."""
        self._pending.wait_until_empty(seconds)

    def abort_all(self) -> None:
        """Abort every association that is still open, close all connections, and end the loop."""
        with self._lock:
            listeners = tuple(self._retired)

        def end_all(end: Callable[[AcceptedConnection], None]) -> None:
            for listener in listeners:
                for connection in listener.connections():
                    end(connection)

        # First politely: an object that is being stored is answered. Then all that are still open.
        for end in (methodcaller("abort"), methodcaller("close")):
            self._reactor.call_and_wait(partial(end_all, end), _ABORT_SECONDS)
            with self._context.closing:
                self._context.closing.wait_for(
                    lambda: not any(listener.connections() for listener in listeners),
                    _ABORT_SECONDS,
                )
        self._reactor.stop()

    def _admit(
        self, receivers: Sequence[Receiver], wanted: Mapping[tuple[str, int], dict[str, Receiver]]
    ) -> None:
        """Let the ports accept associations for the wanted receivers only, from now on.

        That includes connections that are open already. An association that was accepted before
        this counts as open after it.
        """
        before = {key: port.listener.receivers for key, port in self._ports.items()}
        with self._associations.admission:
            for key, port in self._ports.items():
                by_title: Mapping[str, Receiver] = wanted.get(key, {})
                # A caller that has connected with the old TLS must not reach a receiver of the new
                # one.
                port.listener.receivers = by_title if port.tls == _tls_of(by_title) else {}
            self._associations.configure(receivers)
        for key, those in before.items():
            self._report_changed_settings(self._ports[key], those)

    def _report_changed_settings(self, port: _PortState, before: Mapping[str, Receiver]) -> None:
        after = port.listener.receivers
        for title in before.keys() - after.keys():
            self._journal.record(ReceiverStopped(receiver=before[title].label))
        for title in after.keys() - before.keys():
            if port.failure is None:
                self._report_listening(after[title], port.listener)
            else:
                self._report_failed(after[title], port.failure)

    def _open_port(self, key: tuple[str, int], by_title: dict[str, Receiver]) -> None:
        listener = PortListener(*key, self._context, _tls_of(by_title))
        self._ports[key] = _PortState(listener, self._clock.now())
        self._ports[key].listener.receivers = by_title
        self._start(self._ports[key])

    def _start(self, wanted: _PortState) -> None:
        listener = wanted.listener
        try:
            listener.start()
        except ListenError as error:
            self._note_failure(wanted, error)
            return
        except Exception as error:
            # The border to one receiver's port and files: the other receivers continue.
            _logger.exception("port %d could not be opened", listener.port)
            what, remedy = f"{type(error).__name__}: {error}", "see the log, and retry"
            self._note_failure(wanted, ListenError(listener.address, listener.port, what, remedy))
            return
        wanted.failure, wanted.since = None, self._clock.now()
        for receiver in listener.receivers.values():
            self._report_listening(receiver, listener)
        if listener.tls is not None:
            listener.tls.warn()
            wanted.check_at = self._clock.monotonic() + CERTIFICATE_CHECK_SECONDS
            self._wake.notify_all()

    def _note_failure(self, wanted: _PortState, error: ListenError) -> None:
        before, now = wanted.failure, self._clock.now()
        in_use = isinstance(error, PortInUse)
        holder = find_holder(error.port, error.address) if in_use else None
        since, attempts = (before.since, before.attempts + 1) if before else (now, 1)
        pause = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
        retry_at = now + timedelta(seconds=pause)
        failure = ListenFailure(error.detail, error.remedy, since, attempts, holder, retry_at)
        wanted.failure, wanted.retry_at = failure, self._clock.monotonic() + pause
        self._wake.notify_all()
        if before is None or before.reason != failure.reason:
            for receiver in wanted.listener.receivers.values():
                self._report_failed(receiver, failure)

    def _close_port(self, key: tuple[str, int]) -> None:
        wanted = self._ports.pop(key)
        wanted.listener.stop()
        self._retired = [r for r in self._retired if r.connections()]
        self._retired.append(wanted.listener)

    def _report_listening(self, receiver: Receiver, listener: PortListener) -> None:
        shown = shown_address(listener.address, listener.port)
        self._journal.record(ReceiverListening(receiver=receiver.label, address=shown))

    def _report_failed(self, receiver: Receiver, failure: ListenFailure) -> None:
        self._journal.record(
            ReceiverFailed(receiver=receiver.label, reason=failure.reason, remedy=failure.remedy)
        )

    def _report_change(self) -> None:
        """Call `on_change`; its errors must not end the supervisor."""
        try:
            self._on_change()
        except Exception:
            _logger.exception("the new state of a port could not be passed on")

    def _labels(self) -> frozenset[str]:
        """Return the labels of the receivers that listen or should."""
        ports = self._ports.values()
        return frozenset(r.label for p in ports for r in p.listener.receivers.values())

    def _note_idle(self, receivers: Sequence[Receiver]) -> None:
        served, now = self._labels(), self._clock.now()
        idle = [r.label for r in receivers if r.label not in served]
        self._not_listening_since = {
            label: self._not_listening_since.get(label, now) for label in idle
        }

    def _drain(self, before: frozenset[str], seconds: int) -> None:
        """Set the time at which associations of removed receivers are aborted."""
        served, deadline = self._labels(), self._clock.monotonic() + seconds
        kept = {label: at for label, at in self._drain_until.items() if label not in served}
        self._drain_until = dict.fromkeys(before - served, deadline) | kept
        self._wake.notify_all()

    def _supervise(self) -> None:
        """Retry ports, check certificates and abort drained associations, each when it is due."""
        # The lock is free only while it waits: `apply` and this never change ports at the same
        # time.
        with self._wake:
            while not self._closed:
                now = self._clock.monotonic()
                for wanted in tuple(self._ports.values()):
                    with self._surviving():
                        self._supervise_port(wanted, now)
                with self._surviving():
                    self._abort_due(now)
                failed = [w.retry_at for w in self._ports.values() if w.failure is not None]
                checks = [w.check_at for w in self._ports.values() if w.tls and w.failure is None]
                due = min((*failed, *self._drain_until.values(), *checks), default=None)
                self._wake.wait(None if due is None else max(0.0, due - self._clock.monotonic()))

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Log an error with one port or association; the others are still supervised."""
        try:
            yield
        except Exception:
            _logger.exception("a port or association could not be cared for")

    def _supervise_port(self, wanted: _PortState, now: float) -> None:
        """Retry a failed port; check TLS files, and warn before they expire.

        The next time is set first, so that after an error the retry is not at once.
        """
        if wanted.failure is not None:
            if wanted.retry_at <= now:
                wanted.retry_at = now + RETRY_SECONDS[-1]
                self._start(wanted)
                self._report_change()
        elif wanted.listener.tls is not None and wanted.check_at <= now:
            wanted.check_at = now + CERTIFICATE_CHECK_SECONDS
            wanted.listener.tls.refresh()
            wanted.listener.tls.warn()

    def _close_unused_sockets(self, receivers: Sequence[Receiver], site: SiteSettings) -> None:
        places = {
            (listening_address(r.bind_address or site.bind_address), r.port) for r in receivers
        }
        for unused in self._inherited.close_unused(places) if self._inherited else ():
            self._journal.record(SocketUnused(name=unused.name, why=unused.why))

    def _abort_due(self, now: float) -> None:
        due = {label for label, until in self._drain_until.items() if until <= now}
        # If this fails, it is retried, but not at once.
        self._drain_until |= dict.fromkeys(due, now + RETRY_SECONDS[0])
        for live in self._associations.live() if due else ():
            if live.receiver.label in due:
                why = f"{live.receiver.label} is switched off and its time to finish is over"
                with self._surviving():
                    self._associations.abort(live, why)
        self._drain_until = {k: v for k, v in self._drain_until.items() if k not in due}


def _tls_of(by_title: Mapping[str, Receiver]) -> TlsSettings | None:
    """Return the TLS of a port; the model ensures that its receivers agree."""
    return next((receiver.tls for receiver in by_title.values()), None)


def _wanted(
    receivers: Sequence[Receiver], site: SiteSettings
) -> dict[tuple[str, int], dict[str, Receiver]]:
    """Return the enabled receivers by AE title for each local address and port."""
    wanted: dict[tuple[str, int], dict[str, Receiver]] = {}
    for receiver in receivers:
        if receiver.enabled:
            address = listening_address(receiver.bind_address or site.bind_address)
            by_title = wanted.setdefault((address, receiver.port), {})
            by_title[str(receiver.ae_title)] = receiver
    return wanted
