"""Mapped UIDs of a job: all come from one place, in batches.

A script that maps a UID in a worker process gets the UID that the task brought along. If there is
none, the file is not written. The worker goes on with its other files, and returns all values that
were asked for; `UidBook` gives each a UID, and the files are done again.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.anonymize.run import UidKey


class UidBook(Protocol):
    """Gives out mapped UIDs; used by the coordinator's thread only."""

    def settle(self, wanted: Mapping[UidKey, str]) -> Mapping[UidKey, str]:
        """Return the UID of each value: that of an earlier call, else the proposed one."""
        ...


class ProposingUidMaps:
    """The UID maps of one task: proposes UIDs for values that it does not know."""

    def __init__(self, known: Mapping[UidKey, str]) -> None:
        self._known = known
        self.wanted: dict[UidKey, str] = {}
        """What the whole task asked for."""
        self.is_open = False
        """Whether a UID that the current file got is only a proposal."""

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value, or a proposal."""
        known = self._known.get((scope, value))
        if known is not None:
            return known
        self.is_open = True
        return self.wanted.setdefault((scope, value), make())


class Draw:
    """Draws the 128 bits of new UIDs from the key of a job and from what they are for.

    So a file that is done again, on any host, becomes the same file, byte for byte.
    """

    def __init__(self, key: bytes, source: str) -> None:
        self._key, self._source = key, source
        self._drawn = 0

    def __call__(self, made_for: str) -> int:
        """Return the bits for a value; without one, the next bits for this file."""
        text = made_for
        if not text:
            self._drawn += 1
            text = f"/{self._drawn}/{self._source}"
        digest = hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), "sha256")
        return int.from_bytes(digest[:16], "big")
