"""The data directory, locked by one engine: opens and closes all its files, loads plug-ins."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine import __version__
from engine.config.source import ConfigurationSource
from engine.config.store import ConfigurationStore
from engine.events.delivery import StateLost
from engine.events.journal import Journal
from engine.events.logging_handler import JournalHandler
from engine.host import data_directory
from engine.host.data_format import read_format, require_format, write_format
from engine.host.lock import EngineLock
from engine.identification.installed import infos_of, load_identifiers
from engine.index.store import SessionIndex
from engine.plugins.file_namers import file_namers_of, load_file_namers
from engine.processing.installed import load_processors, rules_of
from engine.sessions.rebuild import require_index
from engine.sessions.trash import ExpiryClock
from engine.settings import Durability
from engine.state.schema import repair
from engine.storage.incoming import IncomingArea
from engine.workers.scripts import ScriptRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from engine.host.clock import Clock
    from engine.identification.identifiers import Identifier
    from engine.model.configuration import Configuration
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.processor import ProcessorRules
    from engine.plugins.loading import Plugin
    from engine.processing.contract import ProcessorType
    from engine.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Storage:
    """The open files and services of a data directory."""

    store: ConfigurationStore
    source: ConfigurationSource
    configuration: Configuration
    """As of the start."""
    journal: Journal
    expiry: ExpiryClock
    prearchive_fd: int
    archive_fd: int
    incoming: IncomingArea
    index: SessionIndex
    runner: ScriptRunner


def open_storage(
    settings: EngineSettings,
    clock: Clock,
    plugins: Plugins,
    resources: ExitStack,
    check: Callable[[Configuration], None],
) -> Storage:
    """Lock a data directory and open its files; `resources` closes them, also after an error.

    Args:
        settings: name the files.
        clock: the engine's.
        plugins: what receivers and processors may use.
        resources: closes the files.
        check: rejects a configuration that this process can't do, now and at each change.

    Raises:
        AlreadyRunning: if another engine holds the data directory.
        ConfigurationError: if the configuration file is not acceptable.
        StorageUnusable: if the directory can't hold what must be kept there.
    """
    require_format(settings)
    data_directory.prepare(settings)
    # Before any file is opened: of two engines only one may change them.
    lock = EngineLock.acquire(settings.lock_file, clock)
    resources.callback(lock.release)
    # An index and a format are there only after a start that made a state database first.
    once = settings.index_file.exists() and read_format(settings).number > 0
    write_format(settings, __version__)
    store = _open_store(settings, clock, plugins, check)
    source = ConfigurationSource(store, settings.config_file, settings.config_source)
    configuration = source.first()
    check(configuration)
    journal = Journal(clock, settings.event_log, settings.log_level, audit_file=settings.audit_log)
    resources.callback(journal.close)
    resources.callback(JournalHandler(journal).attach())
    prearchive_fd = open_tree(settings.prearchive_dir, resources)
    archive_fd = open_tree(settings.archive_dir, resources)
    # A folder for this run: what is in others is of earlier ones, and is removed.
    incoming = IncomingArea(settings.incoming_dir, uuid.uuid4().hex[:12])
    resources.callback(incoming.close)
    data_directory.require_one_file_system(settings)
    require_index(settings)
    if once and not any(f.exists() for f in (settings.state_file, *settings.earlier_state_files)):
        journal.record(StateLost())
    # First: what earlier versions kept of studies in the index is taken over from there.
    repair(settings.state_file)
    index = SessionIndex(settings.index_file, durable=settings.durability is Durability.FULL)
    resources.callback(index.close)
    runner = ScriptRunner(settings.state_file)
    resources.callback(runner.close)
    folders = (prearchive_fd, archive_fd)
    expiry = ExpiryClock(clock, journal, settings.clock_file)
    return Storage(store, source, configuration, journal, expiry, *folders, incoming, index, runner)


def _open_store(
    settings: EngineSettings,
    clock: Clock,
    plugins: Plugins,
    check: Callable[[Configuration], None],
) -> ConfigurationStore:
    return ConfigurationStore(
        settings.config_file,
        clock=clock,
        identifiers=plugins.identifier_infos,
        processors=plugins.processor_rules,
        file_namers=plugins.file_namer_infos,
        in_use=settings.in_use_files,
        check=check,
    )


def open_tree(path: Path, resources: ExitStack) -> int:
    """Open the folder of a tree; `resources` closes it."""
    # Held open: all that is filed goes by this descriptor, whatever takes the place of the name.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    resources.callback(os.close, fd)
    return fd


@dataclass(frozen=True, slots=True)
class Plugins:
    """All installed plugins, the default identifier first."""

    identifiers: Sequence[Plugin[Identifier]]
    processors: Sequence[Plugin[ProcessorType]]
    file_namers: Sequence[Plugin[FileNamerInfo]]

    identifier_infos: tuple[IdentifierInfo, ...]
    """For the dialog of a receiver."""
    file_namer_infos: tuple[FileNamerInfo, ...]
    """Likewise."""

    @classmethod
    def load(cls) -> Self:
        """Return the installed plugins; one that can't be used has its error."""
        identifiers, file_namers = load_identifiers(), load_file_namers()
        return cls(
            *(identifiers, load_processors(), file_namers),
            *(infos_of(identifiers), file_namers_of(file_namers)),
        )

    @property
    def processor_rules(self) -> ProcessorRules:
        """The rules for processors of these classes."""
        return rules_of(self.processors)
