"""Files that the watch writes once a minute: replaced at once, and never through a link."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from engine.host.data_directory import replace_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_is_replaced_and_has_the_mode_that_was_asked_for(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "metrics.prom"
    file.write_text("a longer text before")
    before = os.umask(0)
    try:
        replace_file(file, b"after", mode)
    finally:
        os.umask(before)
    assert file.read_text() == "after"
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    (tmp_path / ".metrics.prom.new").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        replace_file(tmp_path / "metrics.prom", b"ours")
    assert elsewhere.read_text() == "somebody's"


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("somebody's")
    (tmp_path / "metrics.prom").symlink_to(elsewhere)
    replace_file(tmp_path / "metrics.prom", b"ours")
    assert elsewhere.read_text() == "somebody's"
    assert not (tmp_path / "metrics.prom").is_symlink()


def test_a_file_is_the_owners_alone_if_nothing_else_is_asked_for(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        replace_file(tmp_path / "watch.json", b"{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "watch.json").stat().st_mode) == 0o600
