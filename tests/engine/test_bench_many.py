"""The benchmark of a million files, with few: it asserts that no file is lost or done twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import many

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_run_that_is_killed_goes_on_to_the_last_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_SAMPLE_SECONDS", 0.02)
    killed, rest = many.resumed(tmp_path / "killed", 800)
    done, left = (int(row[1].replace(",", "")) for row in (killed, rest))
    assert done + left == 800
    assert float(rest[2]) > 0


def test_all_files_are_imported_and_sent(tmp_path: Path) -> None:
    assert [row[:2] for row in many.sent(tmp_path, [40])] == [
        ["import", "40"],
        ["send --jobs 4", "40"],
    ]
