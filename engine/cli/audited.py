"""What a command does by itself, without an engine, is in the event and audit logs at once."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from engine.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.events import Event
    from engine.journal import Journal
    from engine.model.configuration import Configuration
    from engine.settings import EngineSettings


@contextmanager
def journal_of(settings: EngineSettings) -> Iterator[Journal]:
    """Give the journal to a command that does what an engine would do if one ran.

    The umask of commands closes the folder and the files to others.
    """
    from engine.journal import Journal

    with suppress(OSError):  # the journal warns of lines that can't be written
        settings.log_dir.mkdir(exist_ok=True)
    log, audit = settings.event_log, settings.audit_log
    with closing(Journal(SystemClock(), log, audit_file=audit)) as journal:
        yield journal


def record(settings: EngineSettings, *events: Event) -> None:
    """Write events into the logs of a data directory."""
    with journal_of(settings) as journal:
        for event in events:
            journal.record(event)


def record_saved(settings: EngineSettings, saved: Configuration) -> None:
    """Record a new revision of the configuration, unless a running engine does when it applies."""
    from engine.events import ConfigurationSaved
    from engine.lock import EngineLock

    if EngineLock.holder(settings.lock_file) is None:
        record(settings, ConfigurationSaved(revision=saved.revision, by=saved.changed_by))
