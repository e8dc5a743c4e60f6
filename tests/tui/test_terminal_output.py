"""Output to a terminal that is read late or never."""

from __future__ import annotations

import os
import pty
import select
import termios
import tty
from typing import TYPE_CHECKING

import pytest

from tui.terminal_output import CANCEL, TerminalOutput, reopened

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Two ends of a terminal: that of its reader, and that of a program."""
    reader, program = pty.openpty()
    tty.setraw(program, termios.TCSANOW)
    yield reader, program
    os.close(reader)
    os.close(program)


def test_what_a_terminal_does_not_take_is_discarded_until_it_takes_output_again(
    ends: tuple[int, int],
) -> None:
    reader, program = ends
    own = reopened(program)
    assert own >= 0
    assert os.get_blocking(program)
    assert not os.get_blocking(own)
    resumed: list[bool] = []
    output = TerminalOutput(own, "utf-8", lambda: resumed.append(True), 0.2)
    output.write("seen")
    assert all_read(reader) == b"seen"
    output.write("x" * 1_000_000)
    output.write("never seen")
    assert resumed == []
    assert set(all_read(reader)) == {ord("x")}
    output.write("neither is that: it was made before all is written anew")
    assert resumed == [True]
    output.write("\u00e4")
    assert all_read(reader) == CANCEL + "\u00e4".encode()
    os.close(own)


def test_what_is_no_terminal_is_not_opened_anew() -> None:
    one, other = os.pipe()
    assert reopened(other) == -1
    os.close(one)
    os.close(other)


def all_read(reader: int) -> bytes:
    """Return what comes; the kernel passes it on a moment after it was written."""
    found = b""
    while select.select([reader], [], [], 0.1)[0]:
        found += os.read(reader, 65536)
    return found
