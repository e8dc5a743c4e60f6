"""Where a running engine's configuration comes from: its file, or a document that declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config.watcher import ConfigurationWatcher
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from engine.model.configuration import Configuration

_FIRST_START = "first start"
_DECLARED = "engine --config"
"""The author of revisions that a document makes."""
_NOT_DECLARED = "engine without --config"


class ConfigurationSource:
    """Reads and watches what an engine is configured by; for one thread at a time."""

    def __init__(self, store: ConfigurationStore, config_file: Path, document: Path | None) -> None:
        """Take the configuration file, and the document if one declares the configuration."""
        self._store = store
        self._config_file = config_file
        self._document = document
        self._named: frozenset[Path] = frozenset()
        """The files that the document refers to."""
        self._watchers: list[ConfigurationWatcher] = []

    def first(self) -> Configuration:
        """Return the configuration to start with: if the document is not valid, the last good one.

        Raises:
            ConfigurationError: if the configuration file is not acceptable, or the document is not
                and there is no earlier configuration.
        """
        if self._document is None:
            self._store.end_declaration(_NOT_DECLARED)
            return self._store.create_default(_FIRST_START)
        try:
            return self.read()
        except ConfigurationError:
            last_good = self._store.load()
            if last_good.revision == 0:
                raise
            return last_good

    def read(self) -> Configuration:
        """Return what is configured now; a change by hand becomes a revision first.

        Raises:
            ConfigurationError: if the configuration file or the document is not acceptable.
        """
        if self._document is None:
            return self._store.adopt()
        named: set[Path] = set()
        try:
            return self._store.declare(self._document, _DECLARED, named)
        finally:
            self._named = frozenset(named)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call back after a change, from a thread of each watcher."""
        self._watchers = [ConfigurationWatcher(self._config_file, on_change)]
        document = self._document
        if document is not None:
            read = self._files_of_document
            self._watchers.append(ConfigurationWatcher(document, on_change, read))
        for watcher in self._watchers:
            watcher.start()

    def is_watching(self) -> bool:
        """Tell whether all watchers run."""
        return all(watcher.is_alive() for watcher in self._watchers)

    def stop(self) -> None:
        """End the watchers; after this there is no further call."""
        for watcher in self._watchers:
            watcher.stop()

    def _files_of_document(self) -> tuple[Path, ...]:
        assert self._document is not None
        return (self._document, *sorted(self._named))
