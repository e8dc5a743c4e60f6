"""Programs in terminals of their own, which may be read, typed into and hung up."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LINES = 120, 40
ALTERNATE_SCREEN_OFF = b"\x1b[?1049l"


class Terminal:
    """A Python program in a terminal; use it in a `with` block."""

    def __init__(
        self,
        arguments: Sequence[str],
        home: Path,
        variables: Mapping[str, str] | None = None,
        *,
        signals: bool = True,
        folder: Path | None = None,
    ) -> None:
        """Start it, with nothing of this user's own settings.

        Args:
            arguments: for Python.
            home: where it looks for settings.
            variables: further ones of its environment.
            signals: whether the kernel tells the program by SIGHUP when the terminal is gone.
            folder: its current directory; that of the tests if None.
        """
        self._terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", LINES, COLUMNS, 0, 0))
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "COLUMNS": str(COLUMNS),
            "LINES": str(LINES),
            "XDG_CONFIG_HOME": str(home),
            **(variables or {}),
        }
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_take_terminal if signals else None,
        )
        self._name = os.ttyname(slave)
        os.close(slave)
        self.output = b""
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._emulator = pyte.ByteStream(self._screen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal >= 0:
            self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def shows(self, words: str, seconds: float = 30, *, but_not: str = "\0") -> bool:
        """Read what is drawn until some words are on the screen, and others are not."""
        end = time.monotonic() + seconds
        while not self._is_shown(words) or self._is_shown(but_not):
            if time.monotonic() >= end or not self._read():
                return False
        return True

    def _is_shown(self, words: str) -> bool:
        return any(words in line for line in self._screen.display)

    def read_until(self, wanted: bytes, seconds: float = 30) -> bool:
        """Read what is written until some bytes appear; forget what was before them.

        Words are found by `shows` only: of them, too, no more is written than differs.
        """
        end = time.monotonic() + seconds
        while wanted not in self.output and time.monotonic() < end and self._read():
            pass
        before, found, after = self.output.partition(wanted)
        self.output = after if found else before
        return bool(found)

    def _read(self) -> bool:
        """Read what comes within a moment; tell whether the program may still write."""
        if select.select([self._terminal], [], [], 0.2)[0]:
            try:
                part = os.read(self._terminal, 65536)
            except OSError:
                return False
            self.output += part
            self._emulator.feed(part)
        return True

    def wait(self, seconds: float = 20) -> int:
        """Read on until the program has ended, and return its exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read_until(b"\0", 0.2)
        return self.process.wait(0)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._terminal, keys)

    def fill(self) -> None:
        """Write as much as the terminal takes while nobody reads: no program can write more."""
        other_end = os.open(self._name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while os.write(other_end, b" " * 4096):
                pass
        with suppress(BlockingIOError):
            while os.write(other_end, b" "):
                pass
        os.close(other_end)

    def hang_up(self) -> None:
        """Take the terminal away."""
        os.close(self._terminal)
        self._terminal = -1


def child_of(pid: int) -> int:
    """Return the child of a process: the console, if the process is the one in front of it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _take_terminal() -> None:
    """Make the terminal the one that controls the new session, as a login does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def processor_seconds(pid: int) -> float:
    """Return how much processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
