"""What a command says, and when it is seen."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.host import terminal

if TYPE_CHECKING:
    import pytest


class Somebody:
    """Reads at a terminal what there is, and answers yes."""

    def __init__(self, shown: io.BytesIO) -> None:
        self._shown = shown
        self.read_before = b""

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self.read_before = self._shown.getvalue()
        return "yes\n"


def test_what_was_said_before_a_question_is_seen_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    somebody = Somebody(shown)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown))
    monkeypatch.setattr(sys, "stdin", somebody)
    terminal.print_text("1 difference")
    terminal.confirm("Restore it?", already=False)
    assert somebody.read_before == b"1 difference\n"


def test_a_table_fits_a_terminal_and_is_whole_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = "1.2.826.0.1.3680043.8.498." + "7" * 60 + ".4711"
    heads = ("ID", "SOP INSTANCE UID", "PROJECT", "REASON")
    row = (12, uid, "NEURO", "the peer did not answer in time, so that it is tried again " * 3)
    terminal.print_table(heads, [row])
    whole = capsys.readouterr().out
    assert uid in whole
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for columns in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        terminal.print_table(heads, [row])
        head, line = capsys.readouterr().out.splitlines()
        assert max(len(head), len(line)) <= columns
        assert line.startswith("12  1.2.826")
        assert "…7" in line
        assert ".4711  NEURO    the peer" in line
        assert line.endswith("…")
    monkeypatch.setenv("COLUMNS", "500")
    terminal.print_table(heads, [row])
    assert capsys.readouterr().out == whole


def test_of_many_problems_the_first_are_said_and_the_others_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [Problem(f"f{number}", "x", "is wrong", "write y") for number in range(83)]
    error = ConfigurationError(*problems)
    terminal.print_error(error, as_json=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["The configuration is not valid:", "  f0 'x': is wrong"]
    assert lines[-1] == "  … and 73 more problems; solve these first"
    assert len(lines) == 2 + 2 * 10
    assert error.detail.endswith("; and 73 more problems")
    terminal.print_error(error, as_json=True)
    assert len(json.loads(capsys.readouterr().err)["error"]["problems"]) == 83
