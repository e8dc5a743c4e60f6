"""The progress of long commands: seldom enough, and never on stdout."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from engine.cli.progress import Progress

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Time:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_each_ten_seconds_with_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    time = Time()
    progress = Progress("sessions read", time)
    for done in range(401):
        time.seconds = done / 10
        progress(done, 2_000)
    progress.end()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{done} of 2,000 sessions read, 10/s, {left} left"
        for done, left in ((100, "3 min"), (200, "3 min"), (300, "3 min"), (400, "3 min"))
    ]


def test_a_terminal_has_one_line_that_goes_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, time = Terminal(), Time()
    monkeypatch.setattr("sys.stderr", terminal)
    progress = Progress("sessions read", time)
    for time.seconds in (0.1, 0.6, 1.2):
        progress(int(time.seconds * 10), 24)
    progress.end()
    assert terminal.getvalue() == (
        "\r\x1b[K6 of 24 sessions read, 10/s, 2 s left"
        "\r\x1b[K12 of 24 sessions read, 10/s, 1 s left\r\x1b[K"
    )
