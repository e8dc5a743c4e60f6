"""Turns warnings of standard logging into events, so that the event log has them too.

Only the message of the code is kept, with numbers and the details of known errors. Texts of other
errors, and tracebacks, may hold parts of objects; they go to standard error only.
"""

from __future__ import annotations

import logging
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, EngineError
from engine.events.monitoring import Unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events.journal import Journal

LOGGER = "engine"
_JOURNAL = "engine.events.journal"
"""Its warning is that the event log can't be written, so it can't be written there either."""


class JournalHandler(logging.Handler):
    """Records warnings and errors; repetitions are recorded the 10th, 100th time and so on."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal
        self._recording = threading.local()

    def attach(self) -> Callable[[], None]:
        """Handle records from now on; returns a function that ends that."""
        logger = logging.getLogger(LOGGER)
        logger.addHandler(self)
        return lambda: logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Record one line, unless the journal itself wrote it."""
        # Python writes to `lastResort` only if a record meets no handler at all, and here it met
        # this one: standard error would be silent otherwise.
        if not logging.getLogger().handlers and logging.lastResort is not None:
            logging.lastResort.handle(record)
        # A follower of the journal that logs a warning would end up here again, without end.
        if record.name == _JOURNAL or getattr(self._recording, "busy", False):
            return
        make = partial(Unforeseen, source=record.name, what=_words(record))
        self._recording.busy = True
        try:
            # By the message before its arguments are put in: those differ each time.
            self._journal.record_repeated(make, (Unforeseen, record.name, str(record.msg)))
        finally:
            self._recording.busy = False


def _words(record: logging.LogRecord) -> str:
    arguments = record.args if isinstance(record.args, tuple) else ()
    try:
        words = str(record.msg) % tuple(map(_shown, arguments)) if arguments else str(record.msg)
    except (TypeError, ValueError):
        words = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return words
    # Type and place of the error, not its text: that may quote the object.
    *_, last = traceback.extract_tb(error.__traceback__) or [None]
    place = f" in {Path(last.filename).name} line {last.lineno}" if last else ""
    return f"{words}: {type(error).__name__}{place}"


def _shown(argument: object) -> object:
    """Return an argument if it can't hold parts of an object, else the name of its type."""
    if isinstance(argument, int | float):
        return argument
    if isinstance(argument, ConfigurationError):
        return argument.without_values()
    if isinstance(argument, EngineError):
        return argument.detail
    # Not the whole text: it has the file name, which may be made of labels.
    if isinstance(argument, OSError) and argument.strerror:
        return argument.strerror
    return type(argument).__name__
