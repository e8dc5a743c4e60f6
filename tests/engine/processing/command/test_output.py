"""Outputs of programs are written to files of their own and to nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine.model.session import SessionStatus
from engine.processing.command.queue import QueuedRun
from engine.processing.command.runner import Outputs

RUN = QueuedRun(1, 1, "2026-01-01", 3, SessionStatus.READY, 0)


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_an_output_is_not_written_through_a_link_that_comes_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    unlink = Path.unlink

    def unlink_and_lose_the_race(path: Path, *arguments: Any, **named: Any) -> None:
        unlink(path, *arguments, **named)
        getattr(path, link)(elsewhere)

    monkeypatch.setattr(Path, "unlink", unlink_and_lose_the_race)
    assert Outputs(tmp_path / "logs" / "commands").keep(RUN, "Doe^Jane") == ""
    assert elsewhere.read_text() == "somebody's"


def test_an_output_of_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "logs" / "commands")
    outputs.keep(RUN, "a longer text before")
    name = outputs.keep(RUN, "after")
    assert (tmp_path / name).read_text() == "after\n"


def test_an_output_is_the_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        name = Outputs(tmp_path / "commands").keep(RUN, "Doe^Jane")
    finally:
        os.umask(umask)
    assert (tmp_path / "commands").stat().st_mode & 0o777 == 0o700
    assert tmp_path.parent.joinpath(name).stat().st_mode & 0o777 == 0o600
