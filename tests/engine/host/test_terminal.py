"""What a command says, and when it is seen."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

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
