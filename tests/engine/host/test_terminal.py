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
