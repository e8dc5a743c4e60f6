"""Maps UIDs to their replacements, so that studies stay linked (dicomedit 9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class UidMaps(Protocol):
    """Remembers UIDs by scope and value; safe to use from several threads or processes."""

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value; `make` gives it at first sight. None is a value as well."""
        ...


class MemoryUidMaps:
    """Remembers as long as it lives; for one run of the command line and for tests."""

    def __init__(self) -> None:
        self._uids: dict[tuple[str, str | None], str] = {}

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value; `make` gives it at first sight."""
        return self._uids.setdefault((scope, value), make())
