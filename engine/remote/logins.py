"""Log-ins: a random name that stands for the token, as a cookie, until it is not used any more."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

COOKIE = "JSESSIONID"
IDLE_SECONDS = 900.0
"""XNAT's own: a log-in ends when it was not used for so long."""
MOST_LOGINS = 1_000
"""Scripts rarely log out: the one that was not used for longest makes room."""


class Logins:
    """The log-ins of one server, in memory only; used from any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take a clock in seconds."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # In the order of their last use.
        self._used: dict[str, tuple[str, float]] = {}

    def begin(self, user: str) -> str:
        """Return the name of a new log-in of a user, which anyone may use who knows it."""
        name = secrets.token_hex(16).upper()
        with self._lock:
            while len(self._used) >= MOST_LOGINS:
                del self._used[next(iter(self._used))]
            self._used[name] = (user, self._monotonic())
        return name

    def user_of(self, name: str) -> str | None:
        """Return the user of a log-in, which counts as a use; None if there is none (any more)."""
        now = self._monotonic()
        with self._lock:
            user, used_at = self._used.pop(name, ("", None))
            if used_at is None or now - used_at > IDLE_SECONDS:
                return None
            self._used[name] = (user, now)
            return user

    def end(self, name: str) -> None:
        """End a log-in, if there is one of this name."""
        with self._lock:
            self._used.pop(name, None)


def cookie_of(scope: Scope) -> str:
    """Return the name of the log-in that a request has; empty if it has none."""
    return HTTPConnection(scope).cookies.get(COOKIE, "")
