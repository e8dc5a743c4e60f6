"""Writes to a terminal that may take nothing: then output is discarded, and nothing waits for it.

Textual writes on a thread that blocks as long as nobody reads the terminal. Its queue fills up, the
console blocks too, and hears neither keys nor signals.
"""

from __future__ import annotations

import os
import select
import stat
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

from tui.ascii_symbols import ASCII, needs_ascii

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

PATIENCE_SECONDS = 1.0
"""A terminal that takes nothing for so long is not read by anybody at the moment."""
CANCEL = b"\x18\x1b[0m"
"""Ends a sequence that was cut in the middle (ECMA-48: CAN), and its attributes."""


class TerminalOutput:
    """A file for text on a terminal; belongs to the thread that writes."""

    def __init__(
        self,
        descriptor: int,
        encoding: str,
        taken_again: Callable[[], object],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Write to a terminal.

        Args:
            descriptor: of the terminal, opened so that writing does not block.
            encoding: of what it takes.
            taken_again: called once the terminal takes output again; all has to be written anew.
            patience_seconds: after that without progress, output is discarded.
        """
        self._encoding = encoding
        self._descriptor = descriptor
        self._taken_again = taken_again
        self._patience_seconds = patience_seconds
        self._is_stuck = False

    def write(self, text: str) -> None:
        """Write, or discard what the terminal does not take in time."""
        if self._is_stuck:
            if self._takes(0):
                self._is_stuck = not self._write(CANCEL)
                self._taken_again()
            return
        self._is_stuck = not self._write(text.encode(self._encoding, "backslashreplace"))

    def flush(self) -> None:
        """Do nothing: all is written at once."""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def _write(self, data: bytes) -> bool:
        """Write; return whether all was taken."""
        until = time.monotonic() + self._patience_seconds
        while data:
            try:
                taken = os.write(self._descriptor, data)
            except BlockingIOError:
                if not self._takes(until - time.monotonic()):
                    return False
            except OSError:
                return False  # it is gone, which `TerminalWatch` notices
            else:
                data = data[taken:]
                until = time.monotonic() + self._patience_seconds
        return True

    def _takes(self, seconds: float) -> bool:
        return bool(select.select([], [self._descriptor], [], max(0.0, seconds))[1])


class PatientDriver(LinuxDriver):
    """Textual's driver, with output that never blocks for long."""

    _own_descriptor = -1

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._is_ascii = needs_ascii(app.symbols, os.environ)
        usual: TextIO | None = self._file
        if usual is None:
            return
        self._own_descriptor = reopened(usual.fileno())
        if self._own_descriptor >= 0:
            repaint = partial(app.call_later, app.action_repaint)
            output: Any = TerminalOutput(self._own_descriptor, usual.encoding, repaint)
            self._file = output

    def write(self, data: str) -> None:
        """Write, with the symbols that the terminal can show."""
        super().write(data.translate(ASCII) if self._is_ascii else data)

    def close(self) -> None:
        """Close what was opened, after the last output."""
        super().close()
        if self._own_descriptor >= 0:
            os.close(self._own_descriptor)
            self._own_descriptor = -1


def reopened(descriptor: int) -> int:
    """Open a terminal once more so that writing to it does not block; -1 if that can't be.

    The flag would count for everybody who shares the descriptor: also the shell, which is waiting.
    """
    try:
        own = os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:  # no terminal, or one of another user, as after `su`
        return -1
    if _device(own) != _device(descriptor):
        os.close(own)
        return -1
    return own


def _device(descriptor: int) -> int | None:
    found = os.fstat(descriptor)
    return found.st_rdev if stat.S_ISCHR(found.st_mode) else None
