"""Map, reference, manual page and table of contents are drawn from the code as it is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.session import QUEUED, TRANSITIONS, SessionStatus
from tests.interop.test_files_made import MODES

DOCS = Path(__file__).parents[2] / "docs"
ROW = re.compile(r"^\| (`.*?) \| (\d{4}) \|", re.MULTILINE)


@pytest.mark.parametrize("program", ["developers/draw_map.py", "reference/draw.py"])
def test_what_is_drawn_is_that_of_today(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set by an engine for its processes; an earlier test may have run one in this process.
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    command = [sys.executable, str(DOCS / program), "--check"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (check.returncode, check.stderr) == (0, "")


def test_the_page_of_files_has_each_file_of_the_data_directory_with_its_mode() -> None:
    rows = ROW.findall((DOCS / "reference" / "files.md").read_text())
    listed = [(path, int(mode, 8)) for paths, mode in rows for path in re.findall("`(.*?)`", paths)]
    assert {_example(path): mode for path, mode in listed if _mode(path) not in (None, mode)} == {}
    kinds = {kind for kind, _ in MODES if any(re.fullmatch(kind, _example(p)) for p, _ in listed)}
    assert kinds == {kind for kind, _ in MODES}


def test_the_picture_of_the_life_cycle_shows_changes_that_there_are() -> None:
    page = (DOCS / "explanation" / "session-life-cycle.md").read_text()
    arrows = re.findall(r"^    ([A-Z]+) --> ([A-Z]+)", page, re.MULTILINE)
    assert len(arrows) >= 20
    wrong = [(a, b) for a, b in arrows if SessionStatus(b) not in _next(SessionStatus(a))]
    assert wrong == []


def _next(status: SessionStatus) -> set[SessionStatus]:
    """Return the states that follow; the picture has none in which a request waits."""
    passed = {SessionStatus.RECEIVING_INTERRUPT, *QUEUED}
    following = TRANSITIONS[status]
    return set(following).union(*(TRANSITIONS[waiting] for waiting in following & passed))


def _mode(path: str) -> int | None:
    return next((mode for kind, mode in MODES if re.fullmatch(kind, _example(path))), None)


def _example(path: str) -> str:
    return re.sub(r"<\w+>", "1", path)
