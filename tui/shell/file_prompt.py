"""Asks for a DICOM file to try something on; the console reads it, as its own user."""

from __future__ import annotations

import asyncio
import os
from itertools import islice
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Footer, Input, Static

from engine.errors import EngineError, UnreadableObject
from engine.model.file_sample import MOST_BYTES, FileSample
from tui.shell.engine_app import EngineScreen
from tui.text import cut_middle, safe
from tui.widgets.completion import COMPLETES, name_begun
from tui.widgets.routing_preview import FILE_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult

    Check = Callable[[FileSample], Awaitable[None]]

Answer = tuple[str, FileSample | None]
MOST_ENTRIES = 5_000
"""Of a folder: more are not looked at to complete a name."""
PATH_CELLS = 60
TRY_FILE = Binding(FILE_KEY, "try_file", "Try a file", show=False, id="dialog.try_file")
SENTENCE = (
    "The path of a DICOM file that you may read on this host. Its header is tried, nothing is "
    "stored. Left empty, recent objects are tried again."
)
# What became a FIFO or terminal since we looked must neither block us nor become ours.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def read_sample(typed: str) -> FileSample:
    """Return the beginning of a file; runs on a worker thread.

    Raises:
        UnreadableObject: if there is no such file, or it can't be read.
    """
    try:
        path = Path(typed).expanduser()
        # To open a FIFO or device may do something already, such as to wake a writer.
        _expect_file(typed, path.stat().st_mode)
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unusable(typed, "does not exist", f"type the path of a file; {COMPLETES}") from error
    except PermissionError as error:
        remedy = "let your user read it, or choose another file"
        raise _unusable(typed, "may not be read", remedy) from error
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _unusable(typed, f"can't be read: {why}", "choose another file") from error
    try:
        status = os.fstat(descriptor)
        _expect_file(typed, status.st_mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return FileSample(file.read(MOST_BYTES), status.st_size)
    except OSError as error:
        why = f"can't be read: {error.strerror}"
        raise _unusable(typed, why, "choose another file") from error
    finally:
        os.close(descriptor)


def _expect_file(typed: str, mode: int) -> None:
    if not S_ISREG(mode):
        kind = "is a folder" if S_ISDIR(mode) else "is no regular file"
        raise _unusable(typed, kind, "choose a file")


def _unusable(typed: str, why: str, remedy: str) -> UnreadableObject:
    return UnreadableObject(f"file “{cut_middle(safe(typed), PATH_CELLS)}” {why}", remedy)


def path_begun(typed: str) -> str:
    """Return the path of the first file or folder that begins so; runs on a worker thread."""
    folder, _, name = typed.rpartition("/")
    if "/" not in typed or not name:
        return ""
    try:
        with os.scandir(Path(f"{folder}/").expanduser()) as entries:
            seen = [entry for entry in islice(entries, MOST_ENTRIES) if entry.name.isprintable()]
            names = sorted(f"{e.name}/" if e.is_dir() else e.name for e in seen)
    except (OSError, ValueError, RuntimeError):
        return ""
    found = name_begun(name, names)
    return f"{folder}/{found}" if found else ""


class PathSuggester(Suggester):
    """Completes paths; a folder is read on a thread."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the longer path."""
        return await asyncio.to_thread(path_begun, value) or None


class FilePrompt(ModalScreen[Answer], EngineScreen[Answer]):
    """Returns a path and what was read of it, nothing for an empty path; escape returns None."""

    AUTO_FOCUS = "#file"
    BINDINGS = [Binding("escape", "dismiss", "Cancel", key_display="esc")]

    def __init__(self, path: str, check: Check, *, blink: bool) -> None:
        """Take the path to begin with.

        Args:
            path: the last one.
            check: raises `EngineError` if a file can't be tried.
            blink: whether the cursor blinks.
        """
        super().__init__()
        self._path = path
        self._check = check
        self._blink = blink
        self._busy = False

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content("Try a file")
            box.border_subtitle = Content(f"{COMPLETES}   ⏎ try   esc cancel")
            yield Static(SENTENCE, markup=False, classes="sentence")
            field = Input(self._path, id="file", compact=True, suggester=PathSuggester())
            field.cursor_blink = self._blink
            yield field
            yield Static("", id="file-problem", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    @on(Input.Changed, "#file")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._say("")

    @on(Input.Submitted, "#file")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._busy:  # a second answer would close the dialog below
            self._busy = True
            self.ask(self._try, event.value.strip())

    async def _try(self, typed: str) -> None:
        if not typed:
            self.dismiss(("", None))
            return
        self._say("reading …")
        try:
            sample = await asyncio.to_thread(read_sample, typed)
            await self._check(sample)
        except EngineError as error:
            self._busy = False
            self._say(f"✗ {safe(error.detail)}\n→ {safe(error.remedy)}")
        else:
            self.dismiss((typed, sample))

    def _say(self, words: str) -> None:
        problem = self.query_one("#file-problem", Static)
        problem.update(words)
        problem.set_class(words.startswith("✗"), "-bad")
