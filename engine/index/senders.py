"""The senders that were ever seen: counted in the index once per association, and each hour.

`engine.reception.associations` makes the notes; the writer of the index adds them up. The number of
senders is limited, as a peer may invent AE titles. Senders without any object make room first, then
those that were not seen for longest.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from engine.api.senders import (
    HOURS_KEPT,
    HOURS_OF_A_DAY,
    HourVolume,
    Sender,
    SenderDetail,
    SenderOrder,
)
from engine.errors import NotFound
from engine.state.database import stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

MOST_SENDERS = 5_000
"""More are dropped: a peer may call itself anything."""
LONGEST_PAGE = 1_000
_LONGEST_TEXT = 300
_MAX_CONTEXTS = 20


class SenderNote(NamedTuple):
    """Counts and texts that are added to a sender's row."""

    calling_ae_title: str
    address: str
    at: str
    """UTC, ISO 8601."""
    receiver: str
    associations: int = 0
    aborted: int = 0
    rejected: int = 0
    rejection: str = ""
    objects: int = 0
    bytes: int = 0
    failed: int = 0
    error: str = ""
    implementation: str = ""
    implementation_class_uid: str = ""
    contexts_proposed: int = 0
    contexts_refused: int = 0
    refused_contexts: str = "[]"
    """A list in JSON."""
    hour: str = ""
    """When the objects came; empty if there are none."""


def sender_note(
    who: tuple[str, str], at: datetime, receiver: str, what: Mapping[str, str | int]
) -> SenderNote:
    """Return a note with texts that are short and that SQLite takes.

    Args:
        who: calling AE title and address.
        at: when.
        receiver: ``AE:port``.
        what: further fields of the note by name.
    """
    texts = {name: _plain(v) if isinstance(v, str) else v for name, v in what.items()}
    return SenderNote(
        _plain(who[0]),
        _plain(who[1]),
        stamp(at),
        _plain(receiver),
        **texts,  # type: ignore[arg-type]
    )


def contexts_in_words(contexts: Sequence[str]) -> str:
    """Return refused presentation contexts as a note has them."""
    return json.dumps([_plain(words) for words in contexts[:_MAX_CONTEXTS]])


def hour_of(at: datetime) -> str:
    """Return the hour that a moment is in, as the index keeps it."""
    return stamp(at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))


# ?15 is the number of proposed contexts: only a note of a negotiation has them and the
# implementation.
_ADD = """
    INSERT INTO senders (calling_ae_title, address, first_seen, last_seen, receiver, associations,
        aborted, rejected, last_rejection, last_rejection_at, objects, bytes, failed, last_error,
        last_error_at, implementation, implementation_class_uid, contexts_proposed,
        contexts_refused, refused_contexts)
    VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, CASE WHEN ?8 <> '' THEN ?3 END, ?9, ?10, ?11, ?12,
        CASE WHEN ?12 <> '' THEN ?3 END, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT (calling_ae_title, address) DO UPDATE SET
        last_seen = MAX(last_seen, ?3), receiver = ?4, associations = associations + ?5,
        aborted = aborted + ?6, rejected = rejected + ?7,
        last_rejection = CASE WHEN ?8 <> '' THEN ?8 ELSE last_rejection END,
        last_rejection_at = CASE WHEN ?8 <> '' THEN ?3 ELSE last_rejection_at END,
        objects = objects + ?9, bytes = bytes + ?10, failed = failed + ?11,
        last_error = CASE WHEN ?12 <> '' THEN ?12 ELSE last_error END,
        last_error_at = CASE WHEN ?12 <> '' THEN ?3 ELSE last_error_at END,
        implementation = CASE WHEN ?15 > 0 THEN ?13 ELSE implementation END,
        implementation_class_uid = CASE WHEN ?15 > 0 THEN ?14 ELSE implementation_class_uid END,
        contexts_refused = CASE WHEN ?15 > 0 THEN ?16 ELSE contexts_refused END,
        refused_contexts = CASE WHEN ?15 > 0 THEN ?17 ELSE refused_contexts END,
        contexts_proposed = CASE WHEN ?15 > 0 THEN ?15 ELSE contexts_proposed END
"""
_ADD_HOUR = """
    INSERT INTO sender_hours VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (calling_ae_title, address, hour) DO UPDATE SET
        objects = objects + excluded.objects, bytes = bytes + excluded.bytes,
        failed = failed + excluded.failed
"""
# MAX(0, …): a negative LIMIT is none in SQLite, and would drop all.
_DROP = """
    DELETE FROM senders WHERE (calling_ae_title, address) IN (
        SELECT calling_ae_title, address FROM senders
        ORDER BY objects > 0, last_seen LIMIT MAX(0, (SELECT COUNT(*) FROM senders) - ?))
"""
_DROP_HOURS = """
    DELETE FROM sender_hours WHERE hour < ?
        OR NOT EXISTS (SELECT 1 FROM senders WHERE senders.address = sender_hours.address
            AND senders.calling_ae_title = sender_hours.calling_ae_title)
"""


def add_notes(connection: sqlite3.Connection, notes: Sequence[SenderNote]) -> None:
    """Add notes to the senders' rows, in the transaction of the index's writer."""
    if not notes:
        return
    connection.executemany(_ADD, [note[:-1] for note in notes])
    hours = [(n[0], n[1], n.hour, n.objects, n.bytes, n.failed) for n in notes if n.hour]
    connection.executemany(_ADD_HOUR, hours)
    # By the times of the notes: the writer may be late.
    newest = datetime.fromisoformat(max(note.at for note in notes))
    dropped = 0
    if connection.execute("SELECT COUNT(*) FROM senders").fetchone()[0] > MOST_SENDERS:
        dropped = connection.execute(_DROP, (MOST_SENDERS,)).rowcount
    first_kept = hour_of(newest - timedelta(hours=HOURS_KEPT))
    if dropped or any(connection.execute(_OLD_HOUR, (first_kept,))):
        connection.execute(_DROP_HOURS, (first_kept,))


_OLD_HOUR = "SELECT 1 FROM sender_hours WHERE hour < ? LIMIT 1"
_COLUMNS = (
    "calling_ae_title, address, first_seen, last_seen, associations, aborted, rejected,"
    " last_rejection, last_rejection_at, objects, failed, bytes, last_error, last_error_at,"
    " receiver, implementation, implementation_class_uid, contexts_proposed, contexts_refused,"
    " refused_contexts"
)
_ORDERS: Mapping[SenderOrder, str] = {
    SenderOrder.LAST_SEEN: "last_seen",
    SenderOrder.CALLING_AE_TITLE: "calling_ae_title COLLATE NOCASE",
    SenderOrder.ADDRESS: "address",
    SenderOrder.OBJECTS: "objects",
    SenderOrder.BYTES: "bytes",
    SenderOrder.REJECTED: "rejected",
    SenderOrder.FAILED: "failed",
}


def sender_page(
    connection: sqlite3.Connection,
    text: str,
    order: SenderOrder,
    *,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[tuple[Sender, ...], int]:
    """Return some of the senders and how many there are."""
    where, values = "", list[object]()
    if text:
        columns = ("calling_ae_title", "address", "implementation")
        # instr, not LIKE: % and _ in the text are no wildcards.
        where = "WHERE " + " OR ".join(f"instr(lower({c}), lower(?))" for c in columns)
        values = [_plain(text)] * len(columns)
    way = "DESC" if descending else "ASC"
    total = connection.execute(f"SELECT COUNT(*) FROM senders {where}", values).fetchone()[0]
    sql = (
        f"SELECT {_COLUMNS} FROM senders {where}"
        f" ORDER BY {_ORDERS[order]} {way}, calling_ae_title, address LIMIT ? OFFSET ?"
    )
    page = (min(max(0, limit), LONGEST_PAGE), max(0, offset))
    return tuple(map(_sender, connection.execute(sql, (*values, *page)))), total


def day_volumes(
    connection: sqlite3.Connection, now: datetime
) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the bytes of each of the last 24 hours, by calling AE title and address."""
    begins = [hour_of(now - timedelta(hours=n)) for n in range(HOURS_OF_A_DAY - 1, -1, -1)]
    places = {hour: place for place, hour in enumerate(begins)}
    volumes: dict[tuple[str, str], list[int]] = {}
    sql = "SELECT calling_ae_title, address, hour, bytes FROM sender_hours WHERE hour >= ?"
    for title, address, hour, size in connection.execute(sql, begins[:1]):
        if hour in places:
            day = volumes.setdefault((title, address), [0] * HOURS_OF_A_DAY)
            day[places[hour]] = size
    return {who: tuple(day) for who, day in volumes.items()}


def sender_detail(
    connection: sqlite3.Connection, calling_ae_title: str, address: str, now: datetime
) -> SenderDetail:
    """Return a sender with its volume by hour, up to the present hour.

    Raises:
        NotFound: if no such sender is known.
    """
    who = (_plain(calling_ae_title), address)
    sql = f"SELECT {_COLUMNS} FROM senders WHERE calling_ae_title = ? AND address = ?"
    row = connection.execute(sql, who).fetchone()
    if row is None:
        raise NotFound(
            f"no sender {calling_ae_title[:40]!r} at {address[:60]} is known",
            "look at the list again",
        )
    hours = (
        "SELECT hour, objects, bytes, failed FROM sender_hours"
        " WHERE calling_ae_title = ? AND address = ?"
    )
    found = {hour: volume for hour, *volume in connection.execute(hours, who)}
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins = (last - timedelta(hours=back) for back in range(HOURS_KEPT - 1, -1, -1))
    volumes = tuple(HourVolume(at, *found.get(stamp(at), (0, 0, 0))) for at in begins)
    sender = _sender(row)
    return SenderDetail(sender, volumes, _receivers(connection, sender))


def _receivers(connection: sqlite3.Connection, sender: Sender) -> tuple[str, ...]:
    # A sender's row has only the last receiver; sessions know the earlier ones.
    sql = "SELECT DISTINCT receiver FROM sessions WHERE calling_ae_title = ? ORDER BY receiver"
    found = (receiver for (receiver,) in connection.execute(sql, (sender.calling_ae_title,)))
    return tuple(dict.fromkeys(filter(None, (sender.receiver, *found))))


def _sender(row: Sequence[object]) -> Sender:
    values = dict(zip(_COLUMNS.replace(" ", "").split(","), row, strict=True))
    for name in ("first_seen", "last_seen", "last_rejection_at", "last_error_at"):
        values[name] = datetime.fromisoformat(str(values[name])) if values[name] else None
    values["refused_contexts"] = tuple(json.loads(str(values["refused_contexts"])))
    return Sender(**values)  # type: ignore[arg-type]


def _plain(text: str) -> str:
    # SQLite takes no lone surrogates, and a peer chooses the length.
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()
