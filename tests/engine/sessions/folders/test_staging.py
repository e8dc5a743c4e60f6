"""Copies for the archive: never over or through what is there, and no more after a failure."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ProcessingFailed
from engine.index.operations import Plan
from engine.model.anonymization import Anonymization, ScriptScope
from engine.model.session import SessionArea, SessionStatus
from engine.sessions.folders import staging
from engine.sessions.folders.staging import NoScripts, part_in_place, stage, staging_of
from engine.storage.files import make_folder
from tests.engine.index.depot import Depot, depot_in
from tests.engine.sessions.test_archive import ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
STEP = Anonymization(ScriptScope.PROJECT, "a script", 7)


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


class Copying(NoScripts):
    """Copies each object as it is."""

    def run(
        self, source: Path, target: Path, step: Anonymization, labels: tuple[str, str, str]
    ) -> bool:
        target.write_bytes(source.read_bytes())
        return True


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_copy_is_never_written_over_or_through_what_is_there(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    row = depot.session(ready(depot))
    folder, file = depot.areas.folder(row), "SCANS/4/DICOM/1.dcm"
    outside, place = depot.root / "outside", staging_of(folder) / "objects" / file

    def plant(path: Path, *, roots: Sequence[Path]) -> None:
        make_folder(path, roots=roots)
        outside.write_bytes(b"mine")
        if kind == "link":
            place.symlink_to(outside)
        else:
            place.write_bytes(b"mine")

    monkeypatch.setattr(staging, "make_folder", plant)
    with pytest.raises(FileExistsError):
        stage(Copying(), STEP, row, folder, [file], roots=depot.areas.roots)
    assert place.read_bytes() == outside.read_bytes() == b"mine"


def test_of_an_anonymization_that_is_taken_back_what_is_done_stays_done(tmp_path: Path) -> None:
    for name in ("in place", "not yet", "not removed"):
        (tmp_path / name).touch()
    inode = (tmp_path / "in place").stat().st_ino
    plan = Plan(
        *(SessionArea.ARCHIVE, "NEURO-01/arc001/E1", SessionStatus.ARCHIVED, "NEURO-01"),
        edited={"in place": inode, "not yet": inode, "gone": inode},
        rejected={"removed": 1, "not removed": 2},
    )
    done = part_in_place(tmp_path, plan)
    assert done == replace(plan, edited={"in place": inode}, rejected={"removed": 1})


def test_copies_that_an_earlier_attempt_left_are_made_anew(depot: Depot) -> None:
    row = depot.session(ready(depot))
    folder, file = depot.areas.folder(row), "SCANS/4/DICOM/1.dcm"
    stage(Copying(), STEP, row, folder, [file], roots=depot.areas.roots)
    (staging_of(folder) / "objects/left over").write_bytes(b"old")
    staged = stage(Copying(), STEP, row, folder, [file], roots=depot.areas.roots)
    assert (staged.folder / file).read_bytes() == (folder / file).read_bytes()
    assert not (staged.folder / "left over").exists()


def test_a_dangling_link_in_the_place_of_a_copy_makes_no_file_elsewhere(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = depot.session(ready(depot))
    folder, file = depot.areas.folder(row), "SCANS/4/DICOM/1.dcm"

    def plant(path: Path, *, roots: Sequence[Path]) -> None:
        make_folder(path, roots=roots)
        (path / "1.dcm").symlink_to(depot.root / "outside")

    monkeypatch.setattr(staging, "make_folder", plant)
    with pytest.raises(OSError, match=r"exists|symbolic"):
        stage(Copying(), STEP, row, folder, [file], roots=depot.areas.roots)
    assert not (depot.root / "outside").exists()


class HeldPool(ThreadPoolExecutor):
    """Lets every run but the first wait until the pool is told to end."""

    ending = threading.Event()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        self.ending.set()
        super().shutdown(wait=wait)


def test_after_a_failure_no_further_object_is_begun(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(9):
        depot.receive()
    row = depot.session(ready(depot))
    folder, files = depot.areas.folder(row), depot.ledger.stored_files(row.id)
    begun: list[str] = []

    class Failing(Copying):
        def run(self, source: Path, *arguments: Any) -> bool:
            begun.append(source.name)
            if source.name == "1.dcm":
                raise ProcessingFailed("a script line 2: it can't")
            HeldPool.ending.wait(10)
            return super().run(source, *arguments)

    HeldPool.ending.clear()
    monkeypatch.setattr(staging, "ThreadPoolExecutor", HeldPool)
    with pytest.raises(ProcessingFailed, match="line 2"):
        stage(Failing(), STEP, row, folder, files, roots=depot.areas.roots)
    assert len(begun) <= 1 + staging.AT_ONCE < len(files)


def test_a_project_without_a_script_is_never_asked_to_run_one(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError):
        NoScripts().run(tmp_path, tmp_path, STEP, ("", "", ""))


def test_a_copy_has_the_mode_of_an_object(depot: Depot) -> None:
    row = depot.session(ready(depot))
    folder = depot.areas.folder(row)
    old = os.umask(0o777)
    try:
        files = ["SCANS/4/DICOM/1.dcm"]
        staged = stage(Copying(), STEP, row, folder, files, roots=depot.areas.roots)
    finally:
        os.umask(old)
    assert (staged.folder / files[0]).stat().st_mode & 0o777 == 0o640
