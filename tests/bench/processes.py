"""A receiver's process: started, watched for the words it says, stopped, and its output kept."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_RETRY_SECONDS = 0.02
_KEPT_CHARACTERS = 400


class Failed(Exception):
    """A receiver ended, did not listen in time, or did not keep what it confirmed."""


class Process:
    """A running receiver; what it says to standard error goes to a file."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        with (folder / "output.txt").open("w") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        self.pid = self._process.pid
        self._said: list[str] = []
        self._heard = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(folder / "errors.txt",))
        self._reader.start()

    def wait_for_lines(self, word: str, count: int) -> None:
        """Return when that many lines with the word have been said.

        Raises:
            Failed: if that does not happen in time, or can't happen any more.
        """
        with self._heard:
            self._heard.wait_for(
                lambda: self._ended or self._lines_with(word) >= count, START_SECONDS
            )
            if self._lines_with(word) < count:
                raise Failed(f"it does not say {word!r}: {self._last_words()}")

    def wait_for_port(self, port: int) -> None:
        """Return when the port answers.

        Raises:
            Failed: if that does not happen in time, or the process ends.
        """
        for _ in range(int(START_SECONDS / _RETRY_SECONDS)):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                return
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_RETRY_SECONDS)
                self._reader.join()
                break
        raise Failed(f"it does not listen: {self._last_words()}")

    def stop(self) -> None:
        """End it in good order, or by force if it does not come to an end."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self, path: Path) -> None:
        stream = self._process.stderr
        assert stream is not None
        with stream, path.open("w") as log:
            for line in stream:
                log.write(line)
                self._hear(line)
        self._hear("", ended=True)

    def _hear(self, line: str, *, ended: bool = False) -> None:
        with self._heard:
            self._said.append(line)
            self._ended = ended
            self._heard.notify_all()

    def _lines_with(self, word: str) -> int:
        return sum(word in line for line in self._said)

    def _last_words(self) -> str:
        return "".join(self._said)[-_KEPT_CHARACTERS:].strip() or "nothing said"


@contextmanager
def process(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[Process]:
    """Run a receiver until the block ends."""
    started = Process(command, folder, environment)
    try:
        yield started
    finally:
        started.stop()
