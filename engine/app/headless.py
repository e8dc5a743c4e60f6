"""Runs an engine without a console until a signal ends it, and notifies the service manager.

SIGTERM and SIGINT let open associations finish, a second one aborts; SIGHUP reads the
configuration again, so that a terminal that goes away stops nothing.
"""

from __future__ import annotations

import os
import signal
import socket
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import EngineSnapshot
    from engine.app.systemd_notify import Notifier
    from engine.monitoring.monitoring import Monitoring

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOPPING = "stopping; open associations may finish, a second signal aborts them"


class RunningEngine(Protocol):
    """The part of the engine that `run` uses."""

    @property
    def monitoring(self) -> Monitoring:
        """Its health."""
        ...

    def snapshot(self) -> EngineSnapshot:
        """Return its present state."""
        ...

    def reload(self) -> None:
        """Read the configuration again."""
        ...

    def stop(self) -> None:
        """Let open associations finish, then end."""
        ...


class Signals:
    """The signals that are meant for the engine, in the order in which they arrive."""

    def __init__(self) -> None:
        self._arrived: SimpleQueue[int] = SimpleQueue()
        self._woken, self._waking = socket.socketpair()
        self._stopping = False

    def install(self) -> None:
        """Take the signals from now on; main thread only."""
        self._waking.setblocking(False)
        # A full buffer loses nothing: one byte is enough to wake, the signals are in the queue.
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            signal.signal(number, self._take)

    def next(self) -> int:
        """Wait for the next signal."""
        while self._arrived.empty():
            # A signal that the kernel gives to another thread interrupts no lock of this one.
            self._woken.recv(64)
        return self._arrived.get()

    def _take(self, number: int, _frame: object) -> None:
        if number in STOP_SIGNALS:
            if self._stopping:
                # Confirmed objects are on disk: nothing has to be closed in order.
                os._exit(128 + number)
            self._stopping = True
        self._arrived.put(number)


def run(
    engine: RunningEngine,
    signals: Signals,
    notifier: Notifier,
    say: Callable[[str], None],
    stop: Callable[[], None] | None = None,
) -> None:
    """Keep a started engine running until a signal ends it, and stop it.

    Args:
        engine: is started already.
        signals: are installed already.
        notifier: notifies the service manager, if there is one.
        say: shows a line to the user.
        stop: stops the engine and its servers; None for the engine alone.
    """
    notifier.ready(state_in_words(engine.snapshot()))
    notifier.watch(engine.monitoring.is_alive, lambda: state_in_words(engine.snapshot()))
    while signals.next() not in STOP_SIGNALS:
        notifier.reloading()
        engine.reload()
        state = state_in_words(engine.snapshot())
        notifier.ready(state)
        say(f"configuration read again: {state}")
    opened = len(engine.snapshot().associations)
    notifier.stopping(f"stopping, {opened} open associations may finish")
    say(STOPPING)
    (stop or engine.stop)()
    notifier.close()


def state_in_words(snapshot: EngineSnapshot) -> str:
    """Return one line for the service manager's status."""
    enabled = [status for status in snapshot.receivers if status.receiver.enabled]
    listening = sum(status.state == "listening" for status in enabled)
    refused = "; the configuration file is refused" if snapshot.configuration_problem else ""
    return (
        f"{listening} of {len(enabled)} receivers listening, "
        f"{len(snapshot.associations)} associations open, "
        f"{snapshot.totals.received:,} objects received{refused}"
    )
