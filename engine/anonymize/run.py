"""One run of a script on one object: its limits, lookup table, UID maps and variables."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, Protocol, Self

from pydicom.tag import BaseTag

from engine.anonymize.datasets.matcher import find, locate
from engine.anonymize.datasets.reading import text_of
from engine.anonymize.datasets.tree import root_of, roots, walk
from engine.anonymize.errors import StatementFailure
from engine.anonymize.language.paths import Path
from engine.anonymize.language.values import scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydicom.dataset import Dataset

    from engine.anonymize.datasets.tree import Hit
    from engine.anonymize.language.values import Value


ANY_KEY: Final = "*"
"""Not in XNAT: a line ``keytype/* = value`` is for all keys without a line of their own."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """The values by key type and key."""

    values: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Read a table; lines of another form are skipped, as in XNAT."""
        values: dict[tuple[str, str], str] = {}
        for line in lines:
            left, equals, value = line.partition("=")
            key_type, slash, key = left.partition("/")
            # dicomedit 9.5: a key with a slash can't be written.
            if equals and slash and "/" not in key and not line.lstrip().startswith("//"):
                values[key_type.strip(), key.strip()] = value.strip()
        return cls(values)

    def get(self, key_type: str, key: str) -> str | None:
        """Return the value of a key, or that of any key; None if there is neither."""
        return self.values.get((key_type, key), self.values.get((key_type, ANY_KEY)))


UidKey = tuple[str, str | None]
"""Scope and value of a mapped UID; None is a value as well."""


class UidMaps(Protocol):
    """Remembers UIDs by scope and value; safe to use from several threads or processes."""

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value; `make` is called for a new value. None is a value as well."""
        ...


class MemoryUidMaps:
    """Keeps UIDs in memory; for one command and for tests."""

    def __init__(self) -> None:
        self._uids: dict[UidKey, str] = {}

    def uid_for(self, scope: str, value: str | None, make: Callable[[], str]) -> str:
        """Return the UID of a value; the result of `make` is used for a new value."""
        return self._uids.setdefault((scope, value), make())


CPU_LIMIT_SECONDS: Final = 10.0
WALL_LIMIT_SECONDS: Final = 10 * CPU_LIMIT_SECONDS
"""Only for a script that waits; on a busy machine work takes longer, but no more processor time."""


class Rejected(Exception):
    """The script drops the object on purpose; never leaves this package."""


class TimeLimit(Exception):
    """The time limit that is its text is exceeded for one object; never leaves this package."""


def _drawn(_made_for: str) -> int:
    return secrets.randbits(128)


@dataclass(frozen=True, slots=True)
class ScriptContext:
    """Limits, tables and callbacks of a script; the same for many objects."""

    lookup: LookupTable = field(default_factory=LookupTable)
    uid_maps: UidMaps = field(default_factory=MemoryUidMaps)
    draw: Callable[[str], int] = _drawn
    """Gives 128 bits for a new UID. The argument is the value that the UID is for; empty: none."""
    ignore_rejection: bool = False
    cpu_limit_seconds: float = CPU_LIMIT_SECONDS
    """The processor time that a script may take for one object."""
    wall_limit_seconds: float = WALL_LIMIT_SECONDS
    """The time of day that it may take, waiting included."""
    cpu_clock: Callable[[], float] = thread_time
    """The processor time of the thread that runs the script."""
    monotonic: Callable[[], float] = monotonic
    fetch: Callable[[str], str] | None = None
    """Fetches a URL for getURL; None switches it off, as it could send patient data anywhere."""
    echo: Callable[[str], None] | None = None
    """Called with the texts of ``echo``, which may hold patient data; None drops them."""


class ScriptRun:
    """The object, the variables and the clock of one application."""

    def __init__(
        self, ds: Dataset, variables: Mapping[str, str], script_context: ScriptContext
    ) -> None:
        self.ds = ds
        self.variables: dict[str, Value] = dict(variables)
        self.script_context = script_context
        self._cpu_deadline = script_context.cpu_clock() + script_context.cpu_limit_seconds
        self._began = script_context.monotonic()
        self._may_be_over_at = self._began + min(
            script_context.cpu_limit_seconds, script_context.wall_limit_seconds
        )

    def tick(self) -> None:
        """Stop when the time is over; called between statements and elements."""
        # A thread takes no more processor time than time passes, and that clock costs a tenth.
        now, limits = self.script_context.monotonic(), self.script_context
        if now <= self._may_be_over_at:
            return
        if limits.cpu_clock() > self._cpu_deadline:
            raise TimeLimit(f"{limits.cpu_limit_seconds:g} s of processor time")
        if now > self._began + limits.wall_limit_seconds:
            raise TimeLimit(f"{limits.wall_limit_seconds:g} s")

    def read(self, path: Path) -> str | None:
        """Return the text of the element that a singular path names; None if it is absent.

        Raises:
            StatementFailure: if the path may mean several elements, or what it names has no text.
        """
        # The frequent case: no search.
        tag = path.root_tag
        if tag is not None:
            return text_of(root_of(self.ds, tag).ds, BaseTag(tag))
        hit = self.locate(path)
        if hit is None:
            return None
        if hit.item is not None:
            raise StatementFailure("an item of a sequence has no value", "name an element in it")
        return text_of(hit.level.ds, hit.tag)

    def locate(self, path: Path) -> Hit | None:
        """Find the element or item that a singular path names; raises as `read` does."""
        if not path.singular:
            remedy = "name one element, with [n] behind each sequence"
            raise StatementFailure(f"{path.text} may mean several elements", remedy)
        return locate(self.ds, path)

    def find(self, path: Path) -> list[Hit]:
        """Return all elements and items that a path means, in visiting order."""
        return find(self.ds, path, self.tick)

    def everything(self) -> Iterator[Hit]:
        """Yield every element of the object, file meta information first."""
        for level in roots(self.ds):
            yield from walk(level, self.tick)

    def text(self, value: Value) -> str | None:
        """Return an argument as text; a path is read."""
        return self.read(value) if isinstance(value, Path) else scalar(value)

    def needed(self, value: Value) -> str:
        """Return an argument as text.

        Raises:
            StatementFailure: if it is null, as an element is that is absent.
        """
        text = self.text(value)
        if text is None:
            name = value.text if isinstance(value, Path) else "an argument"
            raise StatementFailure(f"{name} has no value", "guard the statement with isPresent")
        return text
