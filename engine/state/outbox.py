"""The outbox: what is to be sent, run or reported, in one table for all kinds, until it is done.

Forward copies and commands have targets, known by the numbers of their processors. Who does the
work reads what is due, and removes it, lets it wait or gives it up; how long it waits and when it
is given up is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from engine.state.database import PrivateTables, stamp
from engine.state.schema import STATE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path


FIRST_SECONDS = 2.0
# Beyond any longest wait; a float would overflow after a thousand failures.
_MOST_DOUBLINGS = 30


def delay_seconds(failures: int, longest_seconds: float, chance: float) -> float:
    """Return how long to wait after some failures in a row.

    Args:
        failures: how many there were, from 1 on; each doubles the time.
        longest_seconds: what it never exceeds.
        chance: from 0 to 1; half of the time depends on it, so that not all try at once.
    """
    doubled = FIRST_SECONDS * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest_seconds) * (0.5 + 0.5 * chance)


class RetryRule(NamedTuple):
    """When an item is tried again."""

    longest_seconds: float
    """The longest wait."""
    most_attempts: int | None = None
    """After so many it is given up; None if only its age counts."""


class OutboxKind(StrEnum):
    """What is done with an item."""

    FORWARD = "forward"
    COMMAND = "command"
    ALERT = "alert"
    COMMITMENT = "commitment"


class NewItem(NamedTuple):
    """What is to be done for one target."""

    target: int
    """The number of a processor; 0 for alerts and commitments, whose targets have none."""
    row: int | None
    """The row of the index that asks for it, if one does: then it is queued once."""
    row_at: str
    """When the row was made, if another index may have a row of that number."""
    what: str
    """Whatever its kind needs; nothing about patients but UIDs, and no secrets."""
    queued_at: str
    """UTC, ISO 8601."""


class OutboxItem(NamedTuple):
    """What is to be done for one target, and how it went so far."""

    id: int
    target: int
    row: int | None
    row_at: str
    what: str
    queued_at: str
    """UTC, ISO 8601."""
    attempts: int
    """How often it failed."""
    begun: int
    """How often it was begun, where that is noted; more than 0 after a kill in the middle of it."""
    reason: str
    """What went wrong last."""


_COLUMNS = ", ".join(OutboxItem._fields)
Item = TypeVar("Item")


class TargetRow(NamedTuple):
    """What is known of one target."""

    id: int
    sent: int
    bytes_sent: int
    last_sent_at: str
    last_error: str
    last_error_at: str
    next_attempt_at: str
    asked: int
    queued: int
    failed: int
    oldest_queued_at: str


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of the index that was followed for a target."""

    sequence: int
    at: str
    """When its object came, by which another index shows that it is another."""


class Outbox(PrivateTables, Generic[Item]):
    """The items of one kind; every method may be called from any thread and any process.

    Every method raises `StorageUnusable` if the file can't be used.
    """

    def __init__(self, path: Path, kind: OutboxKind, item_of: Callable[[OutboxItem], Item]) -> None:
        super().__init__(STATE, path)
        self._kind = kind
        self._item_of = item_of

    def add(
        self,
        items: Iterable[NewItem],
        mark: Position | None = None,
        followed: Iterable[int] = (),
    ) -> None:
        """Queue items, and note how far the index was followed, in one transaction.

        Args:
            items: what is to be done; what is queued already is not queued again.
            mark: the last row of the index that was looked at.
            followed: the targets for which it was.
        """
        rows = [(self._kind, *item) for item in items]  # which may ask the index
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO outbox (kind, target, row, row_at, what, queued_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )
            if mark is not None:
                connection.executemany(
                    # A mark never goes back, and a paused target gets none: NULL < ? is not true.
                    "UPDATE outbox_targets SET mark = ?, mark_at = ?"
                    " WHERE kind = ? AND target = ? AND mark < ?",
                    [(mark.sequence, mark.at, self._kind, t, mark.sequence) for t in followed],
                )

    def items(self) -> tuple[Item, ...]:
        """Return everything that waits or was given up, oldest first."""
        return self._items("kind = ? ORDER BY id", self._kind)

    def due(self, target: int, now: datetime, limit: int, latest: datetime) -> tuple[Item, ...]:
        """Return what may be done now, the longest waiting first.

        Args:
            target: for whom.
            now: the time.
            limit: of how many items.
            latest: what is due only after that may be done now: the clock was ahead when it was
                noted.
        """
        where = (
            "kind = ? AND target = ? AND failed = 0 AND (due_at <= ? OR due_at > ?)"
            " ORDER BY due_at, id LIMIT ?"
        )
        return self._items(where, self._kind, target, stamp(now), stamp(latest), limit)

    def next_due(self, target: int) -> datetime | None:
        """Return when the next item may be done; None if none waits."""
        query = "SELECT MIN(due_at) FROM outbox WHERE kind = ? AND target = ? AND failed = 0"
        with self._reading() as connection:
            (found,) = connection.execute(query, (self._kind, target)).fetchone()
        return datetime.fromisoformat(found) if found else None

    def begin(self, target: int, running: Collection[int]) -> Item | None:
        """Return the oldest item, noted as begun, as it was before; None if there is no other.

        Args:
            target: for whom.
            running: the items that are under way.
        """
        marks = ", ".join("?" * len(running))
        query = (
            f"SELECT {_COLUMNS} FROM outbox WHERE kind = ? AND target = ? AND failed = 0"
            f" AND id NOT IN ({marks}) ORDER BY id LIMIT 1"
        )
        with self._changing() as connection:
            row = connection.execute(query, (self._kind, target, *running)).fetchone()
            if row is None:
                return None
            connection.execute("UPDATE outbox SET begun = begun + 1 WHERE id = ?", (row[0],))
        return self._item_of(OutboxItem(*row))

    def end(self, *items: int) -> None:
        """Forget what is done."""
        with self._changing() as connection:
            _remove(connection, items)

    def sent(self, target: int, items: Sequence[int], size_bytes: int, at: datetime) -> None:
        """Forget what a target has now, and count it."""
        with self._changing() as connection:
            _remove(connection, items)
            connection.execute(
                "UPDATE outbox_targets SET sent = sent + ?, bytes_sent = bytes_sent + ?,"
                " last_sent_at = ?, next_attempt_at = '' WHERE kind = ? AND target = ?",
                (len(items), size_bytes, stamp(at), self._kind, target),
            )

    def postpone(self, item: int, until: datetime, reason: str, *, attempts: int = 1) -> None:
        """Defer an item, with the reason; `attempts` is added to its count."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE outbox SET attempts = attempts + ?, due_at = ?, reason = ? WHERE id = ?",
                (attempts, stamp(until), reason, item),
            )

    def try_again(
        self, item: int, attempts: int, reason: str, now: datetime, rule: RetryRule, chance: float
    ) -> bool:
        """Defer an item that failed, longer after each failure, or give it up.

        Args:
            item: which one.
            attempts: how often it failed, this time included.
            reason: what went wrong.
            now: the time.
            rule: how often and how long.
            chance: see `delay_seconds`.

        Returns:
            Whether it was given up.
        """
        if rule.most_attempts is not None and attempts >= rule.most_attempts:
            self.fail(item, reason)
            return True
        seconds = delay_seconds(attempts, rule.longest_seconds, chance)
        self.postpone(item, now + timedelta(seconds=seconds), reason)
        return False

    def fail(self, item: int, reason: str) -> None:
        """Give an item up until a person decides on it."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE outbox SET failed = 1, attempts = attempts + 1, reason = ? WHERE id = ?",
                (reason, item),
            )

    def expire(self, target: int, before: datetime, reason: str, now: datetime) -> int:
        """Give up the items queued before a moment; return their number.

        What was queued after `now`, by a clock that was ahead, counts as queued now.
        """
        future = (
            "UPDATE outbox SET queued_at = ?1 WHERE kind = ?2 AND target = ?3 AND failed = 0"
            " AND queued_at > ?1"
        )
        with self._changing() as connection:
            connection.execute(future, (stamp(now), self._kind, target))
            return connection.execute(
                "UPDATE outbox SET failed = 1, reason = ? || CASE reason WHEN '' THEN ''"
                " ELSE ': ' || reason END"
                " WHERE kind = ? AND target = ? AND failed = 0 AND queued_at < ?",
                (reason, self._kind, target, stamp(before)),
            ).rowcount

    def failed(self, target: int | None, limit: int) -> tuple[Item, ...]:
        """Return what was given up, the newest first."""
        where = "kind = ?1 AND failed = 1 AND (?2 IS NULL OR target = ?2) ORDER BY id DESC LIMIT ?3"
        return self._items(where, self._kind, target, limit)

    def retry(self, target: int, items: Sequence[int], at: datetime) -> int:
        """Queue anew what was given up, all or some, and ask for an attempt at once."""
        update = "UPDATE outbox SET failed = 0, attempts = 0, due_at = '', queued_at = ?"
        with self._changing() as connection:
            changed = self._change_some(connection, update, (stamp(at),), target, items)
            values = (self._kind, target)
            waiting = "UPDATE outbox SET due_at = '' WHERE kind = ? AND target = ? AND failed = 0"
            connection.execute(waiting, values)
            connection.execute(
                "UPDATE outbox_targets SET asked = asked + 1, next_attempt_at = ''"
                " WHERE kind = ? AND target = ?",
                values,
            )
        return changed

    def drop(self, target: int, items: Sequence[int] = (), *, waiting: bool = False) -> int:
        """Forget what was given up, or else what waits: all or some; return how many items."""
        with self._changing() as connection:
            return self._change_some(
                connection, "DELETE FROM outbox", (), target, items, failed=not waiting
            )

    def keep_only(self, targets: Collection[int]) -> int:
        """Forget the items of targets that are gone; return how many those were."""
        marks = ", ".join("?" * len(targets))
        delete = f"DELETE FROM outbox WHERE kind = ? AND target NOT IN ({marks})"
        with self._changing() as connection:
            return connection.execute(delete, (self._kind, *targets)).rowcount

    def refer(self, rows: Iterable[tuple[int | None, int]]) -> None:
        """Note which rows of another index some items mean, as pairs of row and item."""
        with self._changing() as connection:
            connection.executemany("UPDATE OR REPLACE outbox SET row = ? WHERE id = ?", rows)

    def forget_waits(self) -> None:
        """Make every waiting item and every target due at once, as at the start of an engine."""
        with self._changing() as connection:
            waiting = "UPDATE outbox SET due_at = '' WHERE kind = ? AND failed = 0"
            connection.execute(waiting, (self._kind,))
            targets = "UPDATE outbox_targets SET next_attempt_at = '' WHERE kind = ?"
            connection.execute(targets, (self._kind,))

    def set_targets(self, known: Iterable[int], following: Iterable[int], mark: Position) -> int:
        """Note which targets there are, and which of them take new items.

        Args:
            known: all targets; what waits for any other is dropped.
            following: those that are enabled; one that was not takes items from now on.
            mark: where the index is now.

        Returns:
            How many items were dropped.
        """
        wanted, kind = set(following), self._kind
        with self._changing() as connection:
            query = "SELECT target FROM outbox_targets WHERE kind = ?"
            before = {row[0] for row in connection.execute(query, (kind,))}
            gone = [(kind, target) for target in before - set(known)]
            connection.executemany("DELETE FROM outbox_targets WHERE kind = ? AND target = ?", gone)
            delete = "DELETE FROM outbox WHERE kind = ? AND target = ?"
            dropped = connection.executemany(delete, gone)
            connection.executemany(
                "INSERT INTO outbox_targets (kind, target, mark, mark_at) VALUES (?, ?, ?, ?)"
                # A target that was enabled before keeps its mark, so that it misses no row.
                " ON CONFLICT (kind, target) DO UPDATE SET mark = COALESCE(mark, excluded.mark),"
                " mark_at = CASE WHEN mark IS NULL THEN excluded.mark_at ELSE mark_at END",
                [(kind, target, mark.sequence, mark.at) for target in wanted],
            )
            connection.executemany(
                "INSERT INTO outbox_targets (kind, target) VALUES (?, ?)"
                " ON CONFLICT (kind, target) DO UPDATE SET mark = NULL, mark_at = ''",
                [(kind, target) for target in set(known) - wanted],
            )
        return max(dropped.rowcount, 0)

    def marks(self) -> dict[int, Position]:
        """Return how far the index was followed, by target; none for those that are paused."""
        query = (
            "SELECT target, mark, mark_at FROM outbox_targets WHERE kind = ? AND mark IS NOT NULL"
        )
        with self._reading() as connection:
            rows = connection.execute(query, (self._kind,))
            return {row[0]: Position(row[1], row[2]) for row in rows}

    def restart(self, mark: Position) -> None:
        """Follow another index from where it is now."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE outbox_targets SET mark = ?, mark_at = ?"
                " WHERE kind = ? AND mark IS NOT NULL",
                (mark.sequence, mark.at, self._kind),
            )

    def note_trouble(self, target: int, error: str, at: datetime, until: datetime | None) -> None:
        """Note what went wrong with a target, and when it is tried again."""
        values = (error, stamp(at), stamp(until) if until else "", self._kind, target)
        with self._changing() as connection:
            connection.execute(
                "UPDATE outbox_targets SET last_error = ?, last_error_at = ?, next_attempt_at = ?"
                " WHERE kind = ? AND target = ?",
                values,
            )

    def targets(self) -> dict[int, TargetRow]:
        """Return what is known of each target."""
        query = (
            "SELECT t.target, t.sent, t.bytes_sent, t.last_sent_at, t.last_error, t.last_error_at,"
            " t.next_attempt_at, t.asked, COALESCE(SUM(NOT o.failed), 0), COALESCE(SUM(o.failed),"
            " 0), COALESCE(MIN(CASE WHEN NOT o.failed THEN o.queued_at END), '')"
            " FROM outbox_targets t LEFT JOIN outbox o ON o.kind = t.kind AND o.target = t.target"
            " WHERE t.kind = ? GROUP BY t.target"
        )
        with self._reading() as connection:
            rows = connection.execute(query, (self._kind,))
            return {row[0]: TargetRow._make(row) for row in rows}

    def asked(self, target: int) -> int:
        """Return how often somebody asked for an attempt at once."""
        query = "SELECT asked FROM outbox_targets WHERE kind = ? AND target = ?"
        with self._reading() as connection:
            row = connection.execute(query, (self._kind, target)).fetchone()
        return int(row[0]) if row else 0

    def _items(self, where: str, *values: int | str | None) -> tuple[Item, ...]:
        query = f"SELECT {_COLUMNS} FROM outbox WHERE {where}"
        with self._reading() as connection:
            rows = connection.execute(query, values).fetchall()
        return tuple(self._item_of(OutboxItem(*row)) for row in rows)

    def _change_some(
        self,
        connection: sqlite3.Connection,
        statement: str,
        values: tuple[int | str, ...],
        target: int,
        items: Sequence[int],
        *,
        failed: bool = True,
    ) -> int:
        """Apply a statement to what failed or waits, and of that to some items if any are named."""
        statement += " WHERE kind = ? AND target = ? AND failed = ?"
        values = (*values, self._kind, target, failed)
        if not items:
            return connection.execute(statement, values).rowcount
        each = [(*values, item) for item in items]
        return connection.executemany(f"{statement} AND id = ?", each).rowcount


def _remove(connection: sqlite3.Connection, items: Iterable[int]) -> None:
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(item,) for item in items])
