"""The tables of `state.sqlite`, and how it is opened: made, filled from earlier files, repaired."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StorageDamaged
from engine.state import earlier
from engine.state.database import PrivateFile, PrivateTables
from engine.state.salvage import carry_over, complete_replacement, replacing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path


SCHEMA_VERSION = 2
UID_MAPS = """
CREATE TABLE IF NOT EXISTS uid_maps (
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    is_null INTEGER NOT NULL,
    uid TEXT NOT NULL,
    PRIMARY KEY (scope, value, is_null)
) WITHOUT ROWID
"""
# The UNIQUE of the outbox: NULLs count as different, so items without a row are always added.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS study_routes (
    study_instance_uid TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    subject TEXT NOT NULL,
    session TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS study_labels (
    project TEXT NOT NULL,
    subject TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (project, subject, study_instance_uid),
    UNIQUE (project, label)
) WITHOUT ROWID;
{UID_MAPS};
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    target INTEGER NOT NULL,
    row INTEGER,
    row_at TEXT NOT NULL DEFAULT '',
    what TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    due_at TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (kind, target, row, row_at)
);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (kind, target, failed, due_at, id);
CREATE TABLE IF NOT EXISTS outbox_targets (
    kind TEXT NOT NULL,
    target INTEGER NOT NULL,
    mark INTEGER,
    mark_at TEXT NOT NULL DEFAULT '',
    sent INTEGER NOT NULL DEFAULT 0,
    bytes_sent INTEGER NOT NULL DEFAULT 0,
    last_sent_at TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    last_error_at TEXT NOT NULL DEFAULT '',
    next_attempt_at TEXT NOT NULL DEFAULT '',
    asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damages (
    kept_as TEXT PRIMARY KEY,
    rows INTEGER NOT NULL
) WITHOUT ROWID;
"""


# Requests for storage commitment and their results as JSON; the outbox has when one is delivered.
_STEPS = {
    2: """
        CREATE TABLE commitments (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            transaction_uid TEXT NOT NULL,
            calling_ae_title TEXT NOT NULL,
            called_ae_title TEXT NOT NULL,
            receiver TEXT NOT NULL,
            association TEXT NOT NULL,
            asked_at TEXT NOT NULL,
            objects INTEGER NOT NULL,
            asked TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'asked',
            failed INTEGER NOT NULL DEFAULT 0,
            failures TEXT NOT NULL DEFAULT '[]',
            changed_at TEXT NOT NULL
        );
        CREATE INDEX commitments_by_transaction ON commitments (calling_ae_title, transaction_uid);
        CREATE INDEX commitments_by_state ON commitments (state, changed_at);
    """,
}


class StateFile(PrivateFile):
    """`state.sqlite`; whoever opens it first takes over what earlier versions left beside it."""

    def open(self, path: Path) -> sqlite3.Connection:
        """Return a connection for all threads; the file is made if it is not there.

        Raises:
            StorageUnusable: if it can't be used, a later version made it, or an engine of an
                earlier version still uses the files that are to be taken over.
        """
        with self.in_words():
            complete_replacement(path)
        return super().open(path)

    def _is_behind(self, connection: sqlite3.Connection, path: Path) -> bool:
        return super()._is_behind(connection, path) or earlier.is_there(path)

    def _take_over(self, connection: sqlite3.Connection, path: Path) -> Callable[[], None]:
        return earlier.take_over(connection, path)


_DEFINITION = (
    "the state database",
    _SCHEMA,
    SCHEMA_VERSION,
    "check the disk, and keep the file: nothing else has what is in it",
    _STEPS,
)
# A response to a sender, a row that the index forgets or a changed patient's UID relies on it. All
# connections flush each transaction, also those of forward copies, which could be made again: the
# pages of a transaction without a flush of its own are lost if the next flush fails, and with them
# each later transaction in the log.
STATE = StateFile(*_DEFINITION)


def repair(path: Path) -> None:
    """Read the whole file, and put what can be read of a damaged one into a new one in its place.

    The damaged one stays as ``state.sqlite.damaged``. Called by whoever holds the engine lock.

    Raises:
        StorageUnusable: if there can't be one, for another reason than damage.
    """
    with suppress(StorageDamaged), closing(STATE.open(path)) as connection:
        STATE.check(connection)
        return
    with (
        STATE.in_words(),
        replacing(path) as part,
        closing(PrivateFile(*_DEFINITION).open(part)) as target,
    ):
        with target:
            carry_over(path, target)
        # The file alone takes the place of the other, without its log.
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # The part was opened as a plain file: what earlier versions left is taken over here.
    STATE.open(path).close()


class Damage(NamedTuple):
    """A file that was found damaged."""

    kept_as: str
    """What it is called now."""
    rows: int
    """How many of its rows could be read, and are used on."""


class Damages(PrivateTables):
    """Damaged files that were found and are not reported yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(STATE, path)

    def all(self) -> tuple[Damage, ...]:
        """Return the damages that are not reported yet."""
        with self._reading() as connection:
            rows = connection.execute("SELECT kept_as, rows FROM damages").fetchall()
        return tuple(map(Damage._make, rows))

    def forget(self, damage: Damage) -> None:
        """Note that a damage was reported."""
        with self._changing() as connection:
            connection.execute("DELETE FROM damages WHERE kept_as = ?", (damage.kept_as,))
