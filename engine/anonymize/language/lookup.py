"""Lookup tables: lines ``keytype/key = value`` that a script reads with ``lookup`` (9.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANY_KEY: Final = "*"
"""Our own: a line ``keytype/* = value`` gives the value of keys without a line."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """The values by key type and key."""

    values: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read a table; lines of another form are passed over, as XNAT does."""
        values: dict[tuple[str, str], str] = {}
        for line in lines:
            left, equals, value = line.partition("=")
            key_type, slash, key = left.partition("/")
            if equals and slash and "/" not in key and not line.lstrip().startswith("//"):
                values[key_type.strip(), key.strip()] = value.strip()
        return cls(values)

    def get(self, key_type: str, key: str) -> str | None:
        """Return the value of a key, or that of any key; None if there is neither."""
        return self.values.get((key_type, key), self.values.get((key_type, ANY_KEY)))
