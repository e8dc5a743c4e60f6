"""The snapshot for whoever asks again and again: only the rows that have changed.

A snapshot of 500 receivers has half a megabyte, and a console asks four times a second. So the
engine numbers the changes of each row, the console names the version that it has, and the answer
holds the rows that are newer. Single values, which are few, are in each answer.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.api import EngineSnapshot, EngineView

# The fields of a snapshot that are rows, and what names a row.
_ROWS: Mapping[str, Callable[[Any], object]] = {
    "receivers": lambda status: status.receiver.id,
    "associations": lambda association: association.id,
    "ended_associations": lambda association: association.id,
    "processes": lambda process: process.number,
}


@dataclass(frozen=True, slots=True)
class SnapshotChanges:
    """What has changed in the snapshot of an engine since a version of it."""

    version: str
    """The version that these changes lead to."""
    since: str
    """The version that they apply to; empty if they are the whole snapshot."""
    snapshot: EngineSnapshot
    """All values, and of the rows those that are new or changed."""
    rows: Mapping[str, tuple[str, ...]]
    """The keys of all rows in their order, by field, if a row came, went or moved."""


class SnapshotChangesView(Protocol):
    """A further method of the control API, for consoles."""

    def snapshot_changes(self, since: str = "") -> SnapshotChanges:
        """Return what has changed in the snapshot since a version; all if it is not known.

        Args:
            since: the `version` of the answer before.
        """
        ...


@dataclass(slots=True)
class _Section:
    """The rows of one field, each with the number of the change that it came with."""

    key_of: Callable[[Any], object]
    taken: tuple[object, ...] = ()
    keys: tuple[str, ...] = ()
    keys_changed: int = 0
    changed: int = 0
    rows: dict[str, tuple[object, int]] = field(default_factory=dict)

    def take(self, taken: tuple[object, ...], change: int) -> bool:
        """Take the rows of a new snapshot; return whether they differ from those before."""
        # As most rows are the very objects of before, this costs microseconds for hundreds of them.
        if taken == self.taken:
            return False
        self.taken, self.changed = taken, change
        rows = {str(self.key_of(row)): row for row in taken}
        known, keys = self.rows, tuple(rows)
        if keys != self.keys:
            self.keys, self.keys_changed = keys, change
            self.rows = {key: known[key] for key in keys if key in known}
        for key, row in rows.items():
            before = known.get(key)
            if before is None or before[0] != row:
                self.rows[key] = row, change
        return True

    def since(self, change: int) -> tuple[Any, ...]:
        """Return the rows that came with later changes, in their order."""
        # Most answers: nothing has changed.
        if self.changed <= change:
            return ()
        rows = (self.rows[key] for key in self.keys)
        return tuple(row for row, came_with in rows if came_with > change)


class SnapshotTracker:
    """Numbers the changes of an engine's snapshot, for any number of consoles; for all threads."""

    def __init__(self, engine: EngineView) -> None:
        """Take the engine; it is asked for its snapshot for each answer."""
        self._engine = engine
        self._lock = threading.Lock()
        # Another run of the engine counts anew, and must not take the versions of this one for its.
        self._run = secrets.token_hex(4)
        self._change = 0
        self._sections = {name: _Section(key) for name, key in _ROWS.items()}

    def snapshot_changes(self, since: str = "") -> SnapshotChanges:
        """Return what has changed in the snapshot since a version; all if it is not known."""
        with self._lock:
            snapshot = self._engine.snapshot()
            self._note(snapshot)
            known, sections = self._number_of(since), self._sections.items()
            return SnapshotChanges(
                f"{self._run}.{self._change}",
                since if known else "",
                replace(snapshot, **_rows({name: one.since(known) for name, one in sections})),
                {name: one.keys for name, one in sections if one.keys_changed > known},
            )

    def _note(self, snapshot: EngineSnapshot) -> None:
        change = self._change + 1
        for name, section in self._sections.items():
            if section.take(getattr(snapshot, name), change):
                self._change = change

    def _number_of(self, version: str) -> int:
        """Return the number of the change that led to a version; 0 if it is not known."""
        run, _, number = version.partition(".")
        is_known = run == self._run and number.isascii() and number.isdecimal()
        # No longer than our own, as the length of what is read as a number is up to the caller.
        if not is_known or len(number) > len(str(self._change)):
            return 0
        return int(number) if int(number) <= self._change else 0


def _rows(rows: dict[str, tuple[Any, ...]]) -> Any:
    """Return rows by field as arguments of `replace`, whose types a checker can't follow."""
    return rows


class ChangesLost(Exception):
    """Changes that do not apply to the snapshot that is there: the next ones must be all."""


class FollowedSnapshot:
    """The snapshot of an engine in another process, kept up with its changes; not locked."""

    def __init__(self) -> None:
        self._snapshot: EngineSnapshot | None = None
        self.version = ""
        """The version that is there; empty if there is none."""

    def apply(self, changes: SnapshotChanges) -> EngineSnapshot:
        """Return the snapshot as it is with the changes.

        Raises:
            ChangesLost: if they apply to another version; nothing is kept then.
        """
        before, version = self._snapshot, self.version
        # Whatever is wrong with the changes, the next question is for the whole.
        self._snapshot, self.version = None, ""
        if not changes.since:
            before = None
        elif changes.since != version:
            raise ChangesLost
        try:
            self._snapshot = _with_changes(before, changes)
        except KeyError:
            raise ChangesLost from None
        self.version = changes.version
        return self._snapshot


def _with_changes(before: EngineSnapshot | None, changes: SnapshotChanges) -> EngineSnapshot:
    whole = {}
    for name, key in _ROWS.items():
        old = getattr(before, name) if before is not None else ()
        new = getattr(changes.snapshot, name)
        if before is not None and not new and name not in changes.rows:
            whole[name] = old
            continue
        rows = {str(key(row)): row for row in (*old, *new)}
        whole[name] = tuple(rows[key] for key in changes.rows.get(name, rows))
    return replace(changes.snapshot, **_rows(whole))
