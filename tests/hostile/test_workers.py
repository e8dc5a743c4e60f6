"""What a script makes of an object is bounded in memory and in size (V9)."""

from __future__ import annotations

import os
import resource
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.anonymize.language.values import MOST_CHARACTERS
from engine.errors import ProcessingFailed
from engine.model.anonymization import Anonymization, ScriptScope
from engine.workers import resources
from engine.workers.pool import Workers
from engine.workers.resources import is_too_large, target_of
from engine.workers.scripts import ScriptJob, ScriptRunner, ScriptVerdict, run_script
from tests.engine.cli.test_cli_route import dicom_file

if TYPE_CHECKING:
    from pathlib import Path

    from engine.workers.scripts import ScriptWorkers

START = ('version "6.1"', 'a := "0123456789abcdef"')
DOUBLED = "a := concatenate[a, a]"
STORED = "(0040,A160) := a\n"
DOUBLING = "\n".join((*START, *[DOUBLED] * 24, STORED))
LABELS = ("NEURO", "S1", "E1")


def edit(folder: Path, script: str, workers: ScriptWorkers | None = None) -> Path:
    source, target = folder / "source.dcm", folder / "target.dcm"
    source.write_bytes(dicom_file())
    target.touch()
    steps = (Anonymization(ScriptScope.SITE, script, 1),)
    with (
        closing(ScriptRunner(folder / "state.sqlite", workers)) as runner,
        source.open("rb") as original,
        target.open("rb+") as copy,
    ):
        runner.run_scripts(original.fileno(), copy.fileno(), steps, LABELS)
    return target


def test_a_script_that_doubles_a_text_fails_before_it_takes_memory(tmp_path: Path) -> None:
    workers: ScriptWorkers = Workers(run_script, processes=1, memory_bytes=1024**3)
    with pytest.raises(
        ProcessingFailed, match=f"line 23: a text is longer than {MOST_CHARACTERS:,}"
    ):
        edit(tmp_path, DOUBLING, workers)
    assert (tmp_path / "target.dcm").stat().st_size == 0


def test_an_object_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "MOST_GROWTH_BYTES", 1000)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 500)
    target.touch()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.raises(OSError, match="too large") as failed,
        target_of(str(target), str(source)) as fd,
    ):
        assert os.write(fd, b"x" * 2000) == 1500
        os.write(fd, b"x")
    assert is_too_large(failed.value)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
    assert not is_too_large(OSError(28, "No space left on device"))


def test_a_result_is_never_written_through_a_link(tmp_path: Path) -> None:
    source, target, victim = (tmp_path / name for name in ("source", "target", "victim"))
    source.touch()
    victim.write_text("kept")
    target.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), target_of(str(target), str(source)):
        pass
    assert victim.read_text() == "kept"


def test_a_result_that_is_too_large_is_the_scripts_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "MOST_GROWTH_BYTES", 400_000)
    job_source = tmp_path / "source.dcm"
    job_source.write_bytes(dicom_file())
    (tmp_path / "target.dcm").touch()
    text = "\n".join((*START, *[DOUBLED] * 15, STORED))
    result = run_script(
        ScriptJob(
            str(job_source),
            str(tmp_path / "target.dcm"),
            (Anonymization(ScriptScope.SITE, text, 1),),
            LABELS,
            str(tmp_path / "state.sqlite"),
        )
    )
    assert (result.verdict, result.why) == (
        ScriptVerdict.FAILED,
        "what it makes of the object is too large",
    )
