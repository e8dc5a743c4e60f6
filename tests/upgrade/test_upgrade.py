"""A data directory of an earlier version: all of it is as it was, and work goes on in it.

Each was made by the version before a change of what is kept, with everything in it that an engine
keeps: `december` by that of December 2026, `before-state` by the last one without a state database.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine import __version__
from engine.host.data_format import FORMAT, DataFormat, read_format
from engine.model.session import SessionStatus
from engine.settings import EngineSettings
from tests.crash.dock import make, running
from tests.crash.verdict import faults_of_index
from tests.docs.run_blocks import BLOCK
from tests.fakes import FixedClock
from tests.upgrade.make_data_directory import said_by, store, study

if TYPE_CHECKING:
    from tests.crash.dock import Dock

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/how-to/upgrade.md"
S = SessionStatus
VERSIONS = ("december", "before-state")


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def data(tmp_path: Path, version: str) -> Path:
    with tarfile.open(HERE / f"{version}.tar.xz") as archive:
        # The archive is ours; the first releases of Python 3.11 know no filter.
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)
        archive.extractall(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def said(version: str) -> dict[str, Any]:
    """Return what was in it when it was made."""
    told: dict[str, Any] = json.loads((HERE / f"{version}.json").read_text())
    return told


@pytest.fixture
def clock(said: dict[str, Any]) -> FixedClock:
    """Return the time a moment after the earlier engine had stopped."""
    return FixedClock(datetime.fromisoformat(said.pop("at")) + timedelta(seconds=5))


def test_what_is_packed_is_what_was_said_of_it(data: Path, said: dict[str, Any]) -> None:
    said.pop("at")
    assert said_by(data) == said


def test_everything_is_as_it_was_once_a_later_engine_has_run(
    data: Path, said: dict[str, Any], clock: FixedClock
) -> None:
    settings, written = EngineSettings(data), (data / "config.json").read_bytes()
    before = versions_of(data)
    earlier = [file for file in settings.earlier_state_files if file.exists()]
    with running(data, clock, lambda _: None) as dock:
        assert list(faults_of_index(keeping(dock), live=False)) == []
    found = said_by(data)
    for kind in said:
        assert found[kind] == said[kind], kind
    assert all(file.with_name(f"{file.name}.before-state").exists() for file in earlier)
    assert not any(file.exists() for file in earlier)
    # It had no number, as before 1.0; its copy is for those who go back.
    assert read_format(settings) == DataFormat(FORMAT, __version__)
    assert (data / "config.json.format-0").read_bytes() == written
    go_back(data)
    assert (data / "config.json").read_bytes() == written
    assert not settings.format_file.exists()
    assert before.items() <= versions_of(data).items()


def versions_of(data: Path) -> dict[str, int]:
    """Return the versions of the tables of both databases, as far as they exist."""
    found = {}
    for path in (data / "index.sqlite", data / "state.sqlite"):
        if path.exists():
            with closing(sqlite3.connect(path)) as connection:
                found[path.name] = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def go_back(data: Path) -> None:
    """Give the commands of the page for those who go back to the older program."""
    (block,) = (b for _, b in BLOCK.findall(PAGE.read_text("utf-8")) if "schema-" in b)
    script = block.replace("/srv/dock", str(data))
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True)


def test_what_had_begun_goes_on_under_a_later_engine(data: Path, clock: FixedClock) -> None:
    with running(data, clock, lambda _: None) as dock:
        store(dock, make(17, **study("NEURO", "R1")), make(18))
        dock.fall_silent()
        dock.engine.sessions.restore(dock.session("T1").id, "carla")
        dock.look()
        found = {s.label: (s.status, s.objects) for s in dock.engine._index.sessions()}
        assert found["R1"] == (S.READY, 2)
        assert found["Q1"] == (S.ARCHIVED, 1)
        assert found["T1"] == (S.READY, 1)
        assert found["E1"] == (S.READY, 4)
        (copies,) = dock.engine.forwarding.destinations()
        assert copies.queued == 1
        dock.engine.undo("carla")
        assert list(faults_of_index(keeping(dock), live=False)) == []


def keeping(dock: Dock) -> Any:
    engine: Any = dock.engine
    return engine._session_service
