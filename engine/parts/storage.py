"""The data directory, taken by one engine: everything in it that is opened, and closed again."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import data_directory
from engine.config.store import ConfigurationStore
from engine.expiry import ExpiryClock
from engine.intake.script_runner import ScriptRunner
from engine.intake.write import IncomingArea
from engine.journal import Journal
from engine.lock import EngineLock
from engine.sessions.index import SessionIndex
from engine.settings import Durability
from engine.unforeseen import LogToJournal

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from engine.clock import Clock
    from engine.model.configuration import Configuration
    from engine.parts.plugins import Plugins
    from engine.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Storage:
    """What an engine has open in its data directory."""

    store: ConfigurationStore
    configuration: Configuration
    """As the file has it at the start."""
    journal: Journal
    expiry: ExpiryClock
    prearchive_fd: int
    archive_fd: int
    incoming: IncomingArea
    index: SessionIndex
    runner: ScriptRunner


def open_storage(
    settings: EngineSettings, clock: Clock, plugins: Plugins, opened: ExitStack
) -> Storage:
    """Take a data directory and open what is in it; `opened` closes it, also after an error.

    Raises:
        AlreadyRunning: if another engine holds the data directory.
        ConfigurationError: if the configuration file is not acceptable.
        StorageUnusable: if the directory can't hold what must be kept there.
    """
    data_directory.prepare(settings)
    lock = EngineLock.acquire(settings.lock_file, clock)
    opened.callback(lock.release)
    store = _open_store(settings, clock, plugins)
    configuration = store.create_default("first start")
    journal = Journal(clock, settings.event_log, settings.log_level)
    opened.callback(journal.close)
    opened.callback(LogToJournal(journal).attach())
    prearchive_fd = _open_folder(settings.prearchive_dir, opened)
    archive_fd = _open_folder(settings.archive_dir, opened)
    incoming = IncomingArea(settings.incoming_dir, uuid.uuid4().hex[:12])
    opened.callback(incoming.close)
    data_directory.require_one_file_system(settings)
    index = SessionIndex(settings.index_file, durable=settings.durability is Durability.FULL)
    opened.callback(index.close)
    runner = ScriptRunner(settings.uid_maps_file)
    opened.callback(runner.close)
    folders = (prearchive_fd, archive_fd)
    expiry = ExpiryClock(clock, journal, settings.clock_file)
    return Storage(store, configuration, journal, expiry, *folders, incoming, index, runner)


def _open_store(settings: EngineSettings, clock: Clock, plugins: Plugins) -> ConfigurationStore:
    return ConfigurationStore(
        settings.config_file,
        clock=clock,
        identifiers=plugins.identifier_infos,
        processors=plugins.processor_rules,
        file_namers=plugins.file_namer_infos,
        in_use=settings.in_use_files,
    )


def _open_folder(path: Path, opened: ExitStack) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    opened.callback(os.close, fd)
    return fd
