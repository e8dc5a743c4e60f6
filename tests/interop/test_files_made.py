"""Every file that an engine makes: for whom it is, and that no link leads it elsewhere."""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.app.support_bundle import collect, write_bundle
from engine.errors import EngineError
from engine.model.processor import Location, Processor
from engine.processing.command.runner import Outputs
from engine.settings import EngineSettings
from tests.crash.dock import A_DAY, BEFORE_ARCHIVE, ON_RECEIPT, make, running
from tests.crash.scenarios import configure, store_all
from tests.fakes import FixedClock
from tests.running import calls_of
from tests.serving import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.dock import Dock

WAIT_SECONDS = 20.0
MODES = (
    (r"(config|sender-hours|clock|last-backup)\.json(\.lock|\.bak\.\d)?", 0o600),
    (r"format\.json", 0o640),
    (r"config\.history/\d+(-changes-of-\d+)?\.json", 0o600),
    (r"engine\.lock|trace\.key|sessions\.bell", 0o600),
    (r"[a-z-]+\.sqlite(-wal|-shm)?", 0o600),
    (r"(control|commands)\.sock", 0o660),
    (r"(incoming/\w+|restore\.part|before-restore-\w+)/", 0o700),
    (r"quarantine/\d+/\d+\.(dcm|json)", 0o600),
    (r"logs/(events|audit)\.jsonl", 0o600),
    (r"logs/metrics\.prom", 0o640),
    (r"logs/commands/", 0o700),
    (r"logs/commands/[\d-]+\.txt", 0o600),
    (r"(prearchive|archive|trash)/.*\.(dcm|xml)", 0o640),
    (r"(.*/)?", 0o750),
)
"""By what a path is, relative to the data directory; folders end with a slash."""


FAILING = Processor(
    0,
    "failing",
    "command",
    location=Location.AFTER_SESSION_COMPLETE,
    parameters=(("program", "/bin/ls"), ("arguments", "/nowhere")),
)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def live(data: Path, bundle: Path, *, scripts: bool) -> dict[str, int]:
    """Let an engine do all that it can do, and return every path that there was, with its mode."""
    configure(data)
    with running(data, FixedClock(), lambda _: None) as dock:
        with served(dock.engine, data / "control.sock"):
            seen = _all_kinds_of_work(dock, scripts=scripts)
        settings = EngineSettings(data)
        files = collect(settings, dock.engine._configuration, None)
        write_bundle(bundle, files, FixedClock().now())
        return seen | modes(data)


def _all_kinds_of_work(dock: Dock, *, scripts: bool) -> dict[str, int]:
    engine: Any = dock.engine
    engine.processors.save(FAILING, "test")
    raw = next(r for r in engine._configuration.receivers if str(r.ae_title) == "RAW")
    engine.save_receiver(replace(raw, custom_processing=True), "test")
    cardio: dict[str, Any] = {"StudyDescription": "CARDIO", "PatientID": "C1"}
    direct: dict[str, Any] = {"PatientID": "D1", "StudyInstanceUID": "1.3"}
    store_all(dock, make(1), make(2, sr=True), make(1, content=1), make(3, **cardio))
    store_all(dock, make(4, "DIRECT", **direct), make(5, "LATEST", PatientID="L1"))
    dock.replace(make(5, "LATEST", PatientID="L1"), make(5, "LATEST", content=1, PatientID="L1"))
    dock.store(replace(make(6), sop_instance_uid="1.2.3.7"))  # goes into quarantine
    if scripts:
        store_all(dock, make(8, "SITE", PatientName=ON_RECEIPT, PatientID="S1"))
        values: dict[str, Any] = {
            "StudyDescription": "SCRUBBED",
            "PatientName": BEFORE_ARCHIVE,
            "PatientID": "S2",
        }
        store_all(dock, make(9, "SITE", **values))
    with calls_of(Outputs, "keep") as kept:
        dock.fall_silent()
        kept.acquire(timeout=WAIT_SECONDS)
    store_all(dock, make(3, content=1, **cardio))
    dock.fall_silent()
    engine.sessions.delete(dock.session("E1").id, "test")
    dock.look()
    engine._watching._watch.check()
    engine.undo("test")
    seen = modes(dock.data)
    dock.pass_time(40 * A_DAY)
    dock.look()
    return seen


def modes(data: Path) -> dict[str, int]:
    """Return all paths, relative to the data directory; folders with a slash at the end."""
    found = {""}
    for folder, folders, names in os.walk(data):
        here = Path(folder).relative_to(data).as_posix()
        found |= {f"{here}/{name}".removeprefix("./") for name in names}
        found |= {f"{here}/{name}/".removeprefix("./") for name in folders}
    return {path: stat.S_IMODE((data / path).lstat().st_mode) for path in found}


def mode_of(path: str) -> int | None:
    return next((mode for pattern, mode in MODES if re.fullmatch(pattern, path)), None)


@pytest.mark.timeout(120)
def test_whatever_the_umask_every_file_is_for_those_that_it_is_meant_for(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar.gz"
    with umask(0):
        found = live(tmp_path / "data", bundle, scripts=True)
    assert {p: oct(mode) for p, mode in found.items() if mode != mode_of(p)} == {}
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    kinds = {pattern for pattern, _ in MODES if any(re.fullmatch(pattern, p) for p in found)}
    assert kinds == {pattern for pattern, _ in MODES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the paths that an engine makes in each of its lives.

    Of those in a folder that differ in digits only, as the revisions of a history, it is one.
    """
    top = tmp_path_factory.mktemp("made")
    lives = [live(top / name, top / f"{name}.gz", scripts=False) for name in ("one", "two")]
    both = sorted(set(lives[0]) & set(lives[1]) - {""}, reverse=True)
    return sorted({re.sub(r"\d", "0", path): path for path in both}.values())


PARTS = 4


@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_link_in_the_place_of_any_file_or_folder_leads_nothing_elsewhere(
    tmp_path: Path, made: list[str], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flush in ("fsync", "fdatasync"):  # most of an engine's life, and of no matter here
        monkeypatch.setattr(os, flush, lambda _: None)
    monkeypatch.setattr("tests.interop.test_files_made.WAIT_SECONDS", 0)
    led = {}
    for number, path in enumerate(made[part::PARTS]):
        data, outside = tmp_path / f"{number}", tmp_path / f"{number}-outside"
        outside.mkdir()
        planted = data / path.rstrip("/")
        planted.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        planted.symlink_to(outside if path.endswith("/") else outside / "made")
        with suppress(EngineError, OSError, AssertionError):
            live(data, tmp_path / f"{number}.gz", scripts=False)
        if there := sorted(p.relative_to(outside).as_posix() for p in outside.rglob("*")):
            led[path] = there[:1]
    assert led == {}
