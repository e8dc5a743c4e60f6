"""A queue that is damaged is set aside, and nothing that works is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import StorageDamaged, StorageUnusable
from engine.events.delivery import QueueSetAside
from engine.index.database import open_or_recreate
from engine.processing.command.queue import RunQueue
from engine.processing.forward.queue import ForwardingQueue, Position
from tests.engine.processing.command.test_programs import at_work
from tests.engine.processing.forward.yard import Running

if TYPE_CHECKING:
    from pathlib import Path

GARBAGE = b"no database at all, but long enough to be looked at" * 100
QUEUES = pytest.mark.parametrize("opening", [ForwardingQueue, RunQueue])


def damage_a_page(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(4096 * 2)
        opened.write(b"\xff" * 4096)


@QUEUES
def test_what_is_no_queue_any_more_is_kept_beside_an_empty_one(
    opening: type[ForwardingQueue | RunQueue], tmp_path: Path
) -> None:
    file = tmp_path / "queue.sqlite"
    (tmp_path / "queue.sqlite.damaged-wal").write_bytes(b"of an earlier one")
    for damage in (lambda: file.write_bytes(GARBAGE), lambda: damage_a_page(file)):
        damage()
        queue, name = open_or_recreate(opening, file)
        queue.close()
        assert name == "queue.sqlite.damaged"
        assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"queue.sqlite", "queue.sqlite.damaged"}
    queue, name = open_or_recreate(opening, file)
    queue.close()
    assert name == ""


def test_what_waits_in_a_queue_that_works_stays(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    with ForwardingQueue(file) as queue:
        queue.set_destinations([1], [1], Position(0, ""))
        queue.put([(1, 1, "1.2.3")], Position(1, "x"), [1], "2026-01-01")
    queue, name = open_or_recreate(ForwardingQueue, file)
    assert (len(queue.items()), name) == (1, "")
    queue.close()


@QUEUES
def test_a_queue_of_a_later_version_is_no_damage(
    opening: type[ForwardingQueue | RunQueue], tmp_path: Path
) -> None:
    file = tmp_path / "queue.sqlite"
    with opening(file) as queue:
        queue._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnusable, match="schema 99"):
        open_or_recreate(opening, file)


def test_an_engine_goes_on_with_empty_queues_and_tells(tmp_path: Path) -> None:
    (tmp_path / "forwarding.sqlite").write_bytes(GARBAGE)
    with Running(tmp_path) as running:
        told = running.journal.events_since(0, 10).events
    kept = [r.event.kept_as for r in told if isinstance(r.event, QueueSetAside)]
    assert kept == ["forwarding.sqlite.damaged"]
    (tmp_path / "commands.sqlite").write_bytes(GARBAGE)
    with at_work(tmp_path) as working:
        assert len(working.told(QueueSetAside)) == 1


@QUEUES
def test_a_queue_on_a_full_disk_is_not_to_be_set_aside_and_works_once_there_is_room(
    opening: type[ForwardingQueue | RunQueue], tmp_path: Path
) -> None:
    with opening(tmp_path / "queue.sqlite") as queue:
        queue._connection.execute("CREATE TABLE filler (text)")
        (pages,) = queue._connection.execute("PRAGMA page_count").fetchone()
        queue._connection.execute(f"PRAGMA max_page_count = {pages}")
        full = pytest.raises(StorageUnusable, match="database or disk is full")
        with full as raised, queue._changing() as connection:
            connection.execute("INSERT INTO filler VALUES (zeroblob(100000))")
        assert raised.value.remedy == "make room on the disk, and try again; nothing is lost"
        assert not isinstance(raised.value, StorageDamaged)
        queue._connection.execute("PRAGMA max_page_count = 1000000")
        with queue._changing() as connection:
            connection.execute("INSERT INTO filler VALUES (zeroblob(100000))")
