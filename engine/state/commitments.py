"""Requests for storage commitment: kept from the moment they are accepted, with their results.

The result is delivered from the outbox, in which each request that is not done has one item.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from engine.api.commitments import CommitmentState
from engine.errors import StorageUnusable
from engine.state.database import stamp
from engine.state.outbox import Outbox, OutboxItem, OutboxKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

TARGET = 0
"""The number under which all of them are in the outbox."""
MOST_WAITING = 1000
"""Requests that are not done; further ones are refused."""
MOST_OBJECTS = 1_000_000
"""SOP instances of those, and as many of done ones are kept; a million takes 100 MB."""
DUPLICATE_TRANSACTION = 0x0131
"""Failure Reason: another request has the Transaction UID already (PS3.3 C.14.1.1)."""

_OPEN = (CommitmentState.ASKED, CommitmentState.WAITING)
_DONE = (CommitmentState.DELIVERED, CommitmentState.GIVEN_UP)

References = tuple[tuple[str, str], ...]
"""SOP class and instance UIDs."""


class NewCommitment(NamedTuple):
    """A request as it came."""

    transaction_uid: str
    calling_ae_title: str
    called_ae_title: str
    receiver: str
    association: str
    references: References


class Commitment(NamedTuple):
    """A request, and its result if there is one."""

    id: int
    transaction_uid: str
    calling_ae_title: str
    called_ae_title: str
    receiver: str
    association: str
    """On which it came last."""
    asked_at: str
    """UTC, ISO 8601."""
    references: References
    state: CommitmentState
    failures: Mapping[int, int]
    """Failure Reasons by the position of the reference."""


class CommitmentItem(NamedTuple):
    """A request whose result is to be delivered, and how that went so far."""

    id: int
    commitment: int
    queued_at: str
    """UTC, ISO 8601."""
    attempts: int


class CommitmentRow(NamedTuple):
    """A request in a list."""

    id: int
    transaction_uid: str
    calling_ae_title: str
    receiver: str
    asked_at: str
    state: CommitmentState
    objects: int
    failed: int
    changed_at: str
    attempts: int
    due_at: str
    reason: str


class TooManyCommitments(StorageUnusable):
    """So many requests wait that no further one is taken."""


_COLUMNS = (
    "id, transaction_uid, calling_ae_title, called_ae_title, receiver, association, asked_at,"
    " asked, state, failures"
)
_ROWS = (
    "SELECT c.id, c.transaction_uid, c.calling_ae_title, c.receiver, c.asked_at, c.state,"
    " c.objects, c.failed, c.changed_at, COALESCE(o.attempts, 0), COALESCE(o.due_at, ''),"
    " COALESCE(o.reason, '') FROM commitments c LEFT JOIN outbox o"
    f" ON o.kind = '{OutboxKind.COMMITMENT}' AND o.target = {TARGET} AND o.row = c.id"
)


class Commitments(Outbox[CommitmentItem]):
    """The requests; every method may be called from any thread and any process."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OutboxKind.COMMITMENT, _item_of)

    def put(self, new: NewCommitment, at: datetime) -> int:
        """Keep a request; it is on the disk when this returns.

        The same request again, such as one whose answer was lost, is not another one. Another
        request with its Transaction UID fails as a whole (0x0131).

        Returns:
            The number of the request.

        Raises:
            TooManyCommitments: if too many wait already.
        """
        asked, now = json.dumps(new.references), stamp(at)
        with self._changing() as connection:
            same = (new.calling_ae_title, new.transaction_uid)
            known = connection.execute(
                "SELECT id, asked FROM commitments WHERE calling_ae_title = ?"
                " AND transaction_uid = ? ORDER BY id",
                same,
            ).fetchall()
            again = next((number for number, before in known if before == asked), None)
            if again is not None:
                self._ask_again(connection, again, now, new.association)
                return int(again)
            self._require_room(connection, len(new.references))
            failures = dict.fromkeys(range(len(new.references)), DUPLICATE_TRANSACTION)
            number = connection.execute(
                "INSERT INTO commitments (transaction_uid, calling_ae_title, called_ae_title,"
                " receiver, association, asked_at, objects, asked, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*new[:5], now, len(new.references), asked, now),
            ).lastrowid
            assert number is not None
            if known:
                _note_result(connection, number, failures, now)
            self._queue(connection, number, now)
        return number

    def ask_again(self, number: int, at: datetime) -> None:
        """Look a request up once more, and deliver its result at once."""
        with self._changing() as connection:
            self._ask_again(connection, number, stamp(at), "")

    def get(self, number: int) -> Commitment | None:
        """Return a request; None if there is none with this number."""
        query = f"SELECT {_COLUMNS} FROM commitments WHERE id = ?"
        with self._reading() as connection:
            row = connection.execute(query, (number,)).fetchone()
        if row is None:
            return None
        *about, asked, state, failures = row
        references = tuple((one, other) for one, other in json.loads(asked))
        found = CommitmentState(state), dict(json.loads(failures))
        return Commitment._make((*about, references, *found))

    def note_result(self, number: int, failures: Mapping[int, int], at: datetime) -> None:
        """Note which references of a request are not committed, and why."""
        with self._changing() as connection:
            _note_result(connection, number, failures, stamp(at))

    def delivered(self, number: int, at: datetime) -> None:
        """Note that the requestor has the result."""
        delete = "DELETE FROM outbox WHERE kind = ? AND row = ?"
        with self._changing() as connection:
            connection.execute(delete, (OutboxKind.COMMITMENT, number))
            _set_state(connection, number, CommitmentState.DELIVERED, stamp(at))

    def give_up(self, item: CommitmentItem, reason: str, at: datetime) -> None:
        """Note that the result is not delivered any more, until somebody asks for it."""
        self.fail(item.id, reason)
        with self._changing() as connection:
            _set_state(connection, item.commitment, CommitmentState.GIVEN_UP, stamp(at))

    def make_due(self, numbers: Sequence[int], at: datetime) -> None:
        """Let the results of some requests be delivered from a moment on."""
        update = "UPDATE outbox SET due_at = ? WHERE kind = ? AND row = ? AND failed = 0"
        with self._changing() as connection:
            values = [(stamp(at), OutboxKind.COMMITMENT, number) for number in numbers]
            connection.executemany(update, values)

    def waiting_of(self, calling_ae_title: str, receiver: str) -> tuple[int, ...]:
        """Return the numbers of a caller's requests that are not done."""
        query = (
            "SELECT id FROM commitments WHERE calling_ae_title = ? AND receiver = ?"
            " AND state IN (?, ?)"
        )
        with self._reading() as connection:
            rows = connection.execute(query, (calling_ae_title, receiver, *_OPEN)).fetchall()
        return tuple(row[0] for row in rows)

    def waiting(self) -> int:
        """Return how many requests are not done."""
        query = "SELECT COUNT(*) FROM commitments WHERE state IN (?, ?)"
        with self._reading() as connection:
            return int(connection.execute(query, _OPEN).fetchone()[0])

    def callers(self) -> frozenset[tuple[str, str]]:
        """Return caller and receiver of all requests that are not done."""
        query = "SELECT DISTINCT calling_ae_title, receiver FROM commitments WHERE state IN (?, ?)"
        with self._reading() as connection:
            return frozenset(connection.execute(query, _OPEN).fetchall())

    def newest(self, limit: int) -> tuple[CommitmentRow, ...]:
        """Return the requests, newest first."""
        with self._reading() as connection:
            rows = connection.execute(f"{_ROWS} ORDER BY c.id DESC LIMIT ?", (limit,)).fetchall()
        return tuple(map(_row_of, rows))

    def row(self, number: int) -> CommitmentRow | None:
        """Return one request as in a list; None if there is none with this number."""
        with self._reading() as connection:
            row = connection.execute(f"{_ROWS} WHERE c.id = ?", (number,)).fetchone()
        return None if row is None else _row_of(row)

    def forget_done(self, before: datetime) -> None:
        """Forget the requests that were done before a moment, and those beyond `MOST_OBJECTS`."""
        # The newest are summed up first, so that the oldest go.
        query = (
            "SELECT id FROM (SELECT id, changed_at, SUM(objects) OVER (ORDER BY id DESC) AS total"
            " FROM commitments WHERE state IN (?, ?)) WHERE changed_at < ? OR total > ?"
        )
        with self._changing() as connection:
            gone = connection.execute(query, (*_DONE, stamp(before), MOST_OBJECTS)).fetchall()
            connection.executemany("DELETE FROM commitments WHERE id = ?", gone)
            kind = OutboxKind.COMMITMENT
            delete = f"DELETE FROM outbox WHERE kind = '{kind}' AND row = ?"
            connection.executemany(delete, gone)

    def _require_room(self, connection: sqlite3.Connection, objects: int) -> None:
        query = "SELECT COUNT(*), COALESCE(SUM(objects), 0) FROM commitments WHERE state IN (?, ?)"
        waiting, known = connection.execute(query, _OPEN).fetchone()
        if waiting >= MOST_WAITING or known + objects > MOST_OBJECTS:
            detail = f"{waiting:,} requests for storage commitment wait already"
            raise TooManyCommitments(detail, "see: dicomdock commitments")

    def _queue(self, connection: sqlite3.Connection, number: int, now: str) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO outbox (kind, target, row, row_at, what, queued_at)"
            " VALUES (?, ?, ?, '', '', ?)",
            (OutboxKind.COMMITMENT, TARGET, number, now),
        )

    def _ask_again(
        self, connection: sqlite3.Connection, number: int, now: str, association: str
    ) -> None:
        connection.execute(
            "UPDATE commitments SET association = ?, failed = 0, failures = '[]' WHERE id = ?",
            (association, number),
        )
        _set_state(connection, number, CommitmentState.ASKED, now)
        self._queue(connection, number, now)


def _note_result(
    connection: sqlite3.Connection, number: int, failures: Mapping[int, int], now: str
) -> None:
    connection.execute(
        "UPDATE commitments SET failed = ?, failures = ? WHERE id = ?",
        (len(failures), json.dumps(list(failures.items())), number),
    )
    _set_state(connection, number, CommitmentState.WAITING, now)


def _set_state(
    connection: sqlite3.Connection, number: int, state: CommitmentState, now: str
) -> None:
    connection.execute(
        "UPDATE commitments SET state = ?, changed_at = ? WHERE id = ?", (state, now, number)
    )


def _item_of(item: OutboxItem) -> CommitmentItem:
    assert item.row is not None
    return CommitmentItem(item.id, item.row, item.queued_at, item.attempts)


def _row_of(row: Sequence[object]) -> CommitmentRow:
    values = CommitmentRow._make(row)
    return values._replace(state=CommitmentState(values.state))
