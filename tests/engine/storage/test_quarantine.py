"""The quarantine: what is kept, how much of it, and that it never fails a reception."""

from __future__ import annotations

import errno
import json
import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StorageUnusable
from engine.storage.incoming import IncomingArea, PartFile
from engine.storage.quarantine import RECOUNT_SECONDS, Quarantine, QuarantineRoom
from tests.conftest import zone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASON = {"reason": "the data set is empty", "status": "0xC000", "sop_instance_uid": '1.2"\n\x1b'}


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def area(tmp_path: Path) -> Iterator[IncomingArea]:
    made = IncomingArea(tmp_path / "incoming", "boot-1")
    yield made
    assert list((tmp_path / "incoming" / "boot-1").iterdir()) == []
    made.close()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def quarantine(tmp_path: Path, clock: StoppedClock) -> Iterator[Quarantine]:
    made = opened(tmp_path / "quarantine", clock)
    yield made
    made.close()


def opened(root: Path, clock: StoppedClock) -> Quarantine:
    return Quarantine(root, QuarantineRoom(root, 1_000, clock), clock)


def part(area: IncomingArea, content: bytes = b"refused") -> PartFile:
    made = area.create_part()
    made.writev([content])
    return made


@pytest.mark.usefixtures("in_utc")
def test_a_refused_object_is_kept_with_the_reason(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine
) -> None:
    assert quarantine.keep(part(area), REASON)
    folder = tmp_path / "quarantine" / "20260102"
    assert sorted(path.name for path in folder.iterdir()) == ["000001.dcm", "000001.json"]
    assert (folder / "000001.dcm").read_bytes() == b"refused"
    record = (folder / "000001.json").read_text()
    assert json.loads(record) == REASON
    assert "\x1b" not in record
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_a_refused_object_lies_under_the_local_day(tmp_path: Path, area: IncomingArea) -> None:
    with zone("America/St_Johns"):
        quarantine = opened(tmp_path / "quarantine", StoppedClock())
        assert quarantine.keep(part(area), REASON)
        quarantine.close()
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == ["20260101"]


@pytest.mark.usefixtures("in_utc")
def test_numbers_go_on_after_a_restart(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine, clock: StoppedClock
) -> None:
    quarantine.keep(part(area), REASON)
    later = opened(tmp_path / "quarantine", clock)
    assert later.keep(part(area), REASON)
    later.close()
    assert (tmp_path / "quarantine" / "20260102" / "000002.dcm").exists()


def test_when_there_is_no_room_the_object_is_discarded(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine
) -> None:
    assert quarantine.keep(part(area, bytes(500)), REASON)
    assert not quarantine.keep(part(area, bytes(500)), REASON)
    assert len(list((tmp_path / "quarantine").rglob("*.dcm"))) == 1


def test_what_earlier_runs_kept_counts(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine, clock: StoppedClock
) -> None:
    quarantine.keep(part(area, bytes(500)), REASON)
    later = opened(tmp_path / "quarantine", clock)
    assert not later.keep(part(area, bytes(500)), REASON)
    later.close()


@pytest.mark.usefixtures("in_utc")
def test_room_that_somebody_makes_is_noticed_after_a_while(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine, clock: StoppedClock
) -> None:
    quarantine.keep(part(area, bytes(500)), REASON)
    (tmp_path / "quarantine" / "20260102" / "000001.dcm").unlink()
    assert not quarantine.keep(part(area, bytes(500)), REASON)
    clock.seconds += RECOUNT_SECONDS
    assert quarantine.keep(part(area, bytes(500)), REASON)


@pytest.mark.parametrize("call", ["open", "link", "mkdir", "write", "dup"])
def test_a_full_disk_is_no_error_but_nothing_is_kept(
    tmp_path: Path,
    area: IncomingArea,
    quarantine: Quarantine,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "full")

    refused = part(area, bytes(500))
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        assert not quarantine.keep(refused, REASON)
    assert [path for path in (tmp_path / "quarantine").rglob("*") if path.is_file()] == []
    assert quarantine.keep(part(area, bytes(500)), REASON)


@pytest.mark.usefixtures("in_utc")
def test_a_planted_link_is_not_followed(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (tmp_path / "quarantine" / "20260102").symlink_to(foreign)
    assert not quarantine.keep(part(area), REASON)
    assert list(foreign.iterdir()) == []


@pytest.mark.usefixtures("in_utc")
@pytest.mark.parametrize("planted", ["link", "file"])
@pytest.mark.parametrize("suffix", ["json", "dcm"])
def test_what_has_the_name_of_a_record_or_an_object_is_neither_followed_nor_overwritten(
    tmp_path: Path, area: IncomingArea, quarantine: Quarantine, planted: str, suffix: str
) -> None:
    day = tmp_path / "quarantine" / "20260102"
    day.mkdir()
    foreign = tmp_path / "foreign"
    foreign.write_text("kept")
    name = day / f"000001.{suffix}"
    if planted == "link":
        name.symlink_to(foreign)
    else:
        name.write_text("kept")
    assert not quarantine.keep(part(area), REASON)
    assert (foreign.read_text(), name.read_text()) == ("kept", "kept")
    assert quarantine.keep(part(area), REASON)
    assert {path.name for path in day.iterdir()} == {name.name, "000002.dcm", "000002.json"}


class Watched(QuarantineRoom):
    """A room whose count is only changed by whoever has its lock."""

    _count: int = 0

    @property
    def _used_bytes(self) -> int:
        return self._count

    @_used_bytes.setter
    def _used_bytes(self, count: int) -> None:
        assert self._lock.locked() or not hasattr(self, "_numbers")  # or it is being made
        self._count = count


def test_what_is_kept_is_counted_by_one_thread_at_a_time(
    tmp_path: Path, area: IncomingArea, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    room = Watched(tmp_path / "quarantine", 1_000, clock)
    quarantine = Quarantine(tmp_path / "quarantine", room, clock)
    assert quarantine.keep(part(area), REASON)
    used = room._used_bytes
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        assert not quarantine.keep(part(area), REASON)
    assert room._used_bytes == used
    clock.seconds = RECOUNT_SECONDS
    assert not quarantine.keep(part(area, bytes(2_000)), REASON)
    quarantine.close()


def test_a_quarantine_that_cannot_exist_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("")
    with pytest.raises(StorageUnusable):
        opened(tmp_path / "quarantine", StoppedClock())


@pytest.mark.timeout(10)
def test_a_quarantine_that_becomes_something_else_while_it_is_opened_is_said_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "quarantine")
    monkeypatch.setattr(type(tmp_path), "mkdir", lambda *_, **__: None)
    with pytest.raises(StorageUnusable):
        opened(tmp_path / "quarantine", StoppedClock())
