"""A damaged state database is set aside, and what can be read of it is used on."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StorageUnusable
from engine.events.delivery import QueueSetAside, StateLost
from engine.model.study_route import StudyRoute
from engine.state import salvage
from engine.state.routes import StudyRoutes
from engine.state.schema import STATE, Damages, repair
from engine.state.uid_maps import SqliteUidMaps
from tests.crash.dock import running
from tests.crash.scenarios import configure
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from pathlib import Path

GARBAGE = b"no database at all, but long enough to be looked at" * 100
UIDS = 2_000
AT = datetime(2026, 8, 24, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite"
    with StudyRoutes(path) as routes:
        routes.add([StudyRoute("1.2.3", "P")], "anna", AT)
    with closing(STATE.open(path)) as connection, connection:
        rows = [("a", f"{number:06}", 0, f"9.{number}") for number in range(UIDS)]
        connection.executemany("INSERT INTO uid_maps VALUES (?, ?, ?, ?)", rows)
    return path


def uids(path: Path) -> list[str]:
    with closing(STATE.open(path)) as connection:
        query = "SELECT value FROM uid_maps ORDER BY value"
        return [value for (value,) in connection.execute(query)]


def damage(path: Path) -> None:
    """Destroy the page that has a row from the middle of the UIDs."""
    content = bytearray(path.read_bytes())
    at = content.index(f"{UIDS // 2:06}".encode()) // 4096 * 4096
    content[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(content)


def test_a_file_that_is_whole_stays(state: Path) -> None:
    before = state.read_bytes()
    repair(state)
    assert state.read_bytes() == before
    assert {path.name for path in state.parent.iterdir()} == {"state.sqlite"}


def test_there_is_one_afterwards_where_none_was(tmp_path: Path) -> None:
    repair(tmp_path / "state.sqlite")
    assert uids(tmp_path / "state.sqlite") == []


def test_all_rows_but_those_of_a_damaged_page_are_used_on(state: Path) -> None:
    damage(state)
    damaged = state.read_bytes()
    repair(state)
    kept = uids(state)
    assert UIDS * 0.8 < len(kept) < UIDS
    assert (kept[0], kept[-1]) == ("000000", f"{UIDS - 1:06}")
    with StudyRoutes(state) as routes:
        assert len(routes.all()) == 1
    with Damages(state) as damages:
        assert damages.all() == (("state.sqlite.damaged", len(kept) + 1),)
    assert state.with_name("state.sqlite.damaged").read_bytes() == damaged
    assert state.stat().st_mode & 0o777 == 0o600


def test_what_is_no_database_any_more_is_kept_beside_an_empty_one(state: Path) -> None:
    for _ in range(2):
        state.write_bytes(GARBAGE)
        repair(state)
        assert uids(state) == []
        with Damages(state) as damages:
            assert damages.all() == (("state.sqlite.damaged", 0),)
    assert {p.name for p in state.parent.iterdir()} == {"state.sqlite", "state.sqlite.damaged"}


def test_a_file_of_a_later_version_is_no_damage(state: Path) -> None:
    with closing(STATE.open(state)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnusable, match="schema 99"):
        repair(state)


def test_a_kill_between_the_new_names_is_made_good_by_whoever_opens_the_file_next(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(state)
    log = state.with_name("state.sqlite-wal")
    log.write_bytes(b"of the damaged file")

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(salvage, "complete_replacement", killed)
        patched.setattr("engine.state.salvage.SUFFIXES", ("",))
        repair(state)
    assert not state.exists()
    with closing(SqliteUidMaps(state)) as maps:
        assert maps.uid_for("a", "000000", lambda: "new") == "9.0"
    assert len(uids(state)) > UIDS * 0.8
    assert state.with_name("state.sqlite.damaged-wal").exists()


def test_a_disk_that_is_full_leaves_the_damaged_file_in_its_place(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(state)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(salvage, "flush", full)
        with pytest.raises(StorageUnusable, match="No space left"):
            repair(state)
    assert state.exists()
    repair(state)
    assert len(uids(state)) > UIDS * 0.8


def test_an_engine_goes_on_and_tells_once_what_was_damaged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    configure(data)
    told: list[QueueSetAside] = []
    for _ in range(2):
        (data / "forwarding.sqlite").write_bytes(GARBAGE)
        (data / "state.sqlite").write_bytes(GARBAGE)
        for _ in range(2):
            with running(data, FixedClock(), lambda _: None) as dock:
                engine: Any = dock.engine
                found = [r.event for r in engine._journal.events_since(0, 100).events]
                told += [event for event in found if isinstance(event, QueueSetAside)]
                assert dock.engine.study_routes.list().total == 0
    names = sorted(event.kept_as for event in told)
    assert names == ["forwarding.sqlite.damaged"] * 2 + ["state.sqlite.damaged"] * 2
    assert told[0].sentence().endswith("0 rows of it could be read and are used on, any others"
                                       " are lost")  # fmt: skip
    lost = []
    for path in data.glob("state.sqlite*"):
        path.unlink()
    for _ in range(2):
        with running(data, FixedClock(), lambda _: None) as dock:
            engine = dock.engine
            found = [r.event for r in engine._journal.events_since(0, 100).events]
            lost.append(StateLost() in found)
    assert lost == [True, False]
