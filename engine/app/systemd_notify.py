"""Notifies systemd: ready, reloading, stopping, a status line, and watchdog pings.

The protocol of sd_notify(3): lines of NAME=VALUE in one datagram to the socket in NOTIFY_SOCKET.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

STATUS_SECONDS = 10.0
"""Interval in which the status line is made and sent if it has changed."""
_PINGS_PER_PERIOD = 3
"""More than systemd asks for, so that a late one does no harm."""


class Notifier:
    """Sends notifications to the service manager; does nothing if there is none."""

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        """Take the address of the socket, ``@`` first for an abstract one.

        Args:
            address: empty if nobody listens.
            watchdog_seconds: the longest time between two pings that the manager accepts.
        """
        # unix(7): the name of an abstract socket begins with a NUL.
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds
        self._status = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def from_environment(
        cls, environment: MutableMapping[str, str] | None = None, pid: int | None = None
    ) -> Notifier:
        """Return a notifier for ``NOTIFY_SOCKET``, which is removed: no child may inherit it."""
        variables = os.environ if environment is None else environment
        address = variables.pop("NOTIFY_SOCKET", "")
        period, wanted_of = variables.pop("WATCHDOG_USEC", ""), variables.pop("WATCHDOG_PID", "")
        ours = wanted_of in ("", str(os.getpid() if pid is None else pid))
        # Cut, as int() refuses thousands of digits.
        watched = ours and period.isascii() and period.isdecimal() and int(period[:15]) > 0
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, int(period[:15]) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """Send READY=1: start or reload is complete."""
        self._send(f"READY=1\nSTATUS={self._noted(status)}")

    def reloading(self) -> None:
        """Send RELOADING=1: the configuration is being read; `ready` follows."""
        # sd_notify(3): a reload must name its begin by this clock.
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self, status: str) -> None:
        """Send STOPPING=1."""
        self._send(f"STOPPING=1\nSTATUS={self._noted(status)}")

    def watch(self, is_alive: Callable[[], bool], status: Callable[[], str]) -> None:
        """Send watchdog pings while `is_alive` is true, and the state as STATUS=.

        Args:
            is_alive: must return soon; until it does, no ping is sent.
            status: one line; may wait for a disk, so that it is asked on another thread.
        """
        if not self._address:
            return
        self._thread = threading.Thread(target=self._send_status, args=(status,), daemon=True)
        self._thread.start()
        if self._watchdog_seconds is not None:
            period = self._watchdog_seconds / _PINGS_PER_PERIOD
            threading.Thread(target=self._ping, args=(is_alive, period), daemon=True).start()

    def close(self) -> None:
        """Stop the watchdog pings and the status."""
        self._stopping.set()

    def _ping(self, is_alive: Callable[[], bool], period: float) -> None:
        while not self._stopping.is_set():
            if is_alive():
                self._send("WATCHDOG=1")
            self._stopping.wait(period)

    def _send_status(self, status: Callable[[], str]) -> None:
        while not self._stopping.wait(STATUS_SECONDS):
            before, now = self._status, self._noted(status())
            if now != before and not self._stopping.is_set():
                self._send(f"STATUS={now}")

    def _noted(self, status: str) -> str:
        """Return a status as one line, and remember it."""
        self._status = " ".join(status.split())
        return self._status

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that does not listen any more must not stop the engine.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect(self._address)
            out.sendall(message.encode())
