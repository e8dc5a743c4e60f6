"""Watches the configuration file for changes by editors and other processes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from watchfiles import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

POLL_SECONDS = 2.0
"""Interval of the polls that find changes on file systems without inotify, such as NFS."""

_DEBOUNCE_MS = 500
_STEP_MS = 200
"""How often watchfiles polls its own thread; a stop takes that long."""

_logger = logging.getLogger(__name__)


def watch_file(path: Path, on_change: Callable[[], None]) -> Callable[[], None]:
    """Watch another file in the same way; return the function that ends it."""
    watcher = ConfigurationWatcher(path, on_change)
    watcher.start()
    return watcher.stop


class ConfigurationWatcher:
    """Calls back, from a thread of its own, after the file was written, replaced or deleted.

    It watches the file, not its directory, where every row of the index would wake it. Two changes
    may be one call, and a call need not mean a change.
    """

    def __init__(
        self,
        path: Path,
        on_change: Callable[[], None],
        also: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        """Take the file, what to call, and further files.

        Changes of those are found by polling, also if links lead to other files: Kubernetes
        replaces the link to a folder.
        """
        self._path = path.absolute()
        self._on_change = on_change
        self._also = also
        self._stopping = threading.Event()
        self._seen: tuple[tuple[int, ...] | None, ...] = ()
        self._thread = threading.Thread(target=self._run, name="config-watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch; changes from now on are noticed."""
        self._seen = self._fingerprint()
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; after this there is no further call."""
        self._stopping.set()
        # The callback may stop its own watcher: a thread can't join itself.
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        failure = ""
        while not self._stopping.is_set():
            try:
                if self._path.exists():
                    self._watch()
                    continue
            except Exception as error:
                # No inotify watches left, or the callback failed: poll instead.
                if failure != repr(error):
                    _logger.exception("watching %s failed; trying again", self._path)
                failure = repr(error)
            if not self._stopping.wait(POLL_SECONDS):
                self._look(touched=False)

    def _watch(self) -> None:
        """Watch until the file has changed: by then its name may belong to another inode."""
        for changes in watch(
            self._path,
            # The default filter ignores whatever is below folders such as .venv or node_modules.
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=round(POLL_SECONDS * 1000),
            # Without events too: file systems such as NFS send none.
            yield_on_timeout=True,
            stop_event=self._stopping,
            raise_interrupt=False,
            recursive=False,
        ):
            self._look(touched=bool(changes))
            if changes:
                return

    def _look(self, *, touched: bool) -> None:
        now = self._fingerprint()
        if (touched or now != self._seen) and not self._stopping.is_set():
            self._seen = now
            self._on_change()

    def _fingerprint(self) -> tuple[tuple[int, ...] | None, ...]:
        others = (_identity(path, follows_links=True) for path in self._also())
        return _identity(self._path, follows_links=False), *others


def _identity(path: Path, *, follows_links: bool) -> tuple[int, ...] | None:
    try:
        status = path.stat(follow_symlinks=follows_links)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode
