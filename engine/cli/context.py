"""Common inputs of commands: settings, configuration store, and who runs the command."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.errors import NotFound, NotTheOwner, StorageUnusable
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.host.data_directory import access_faults
from engine.host.data_format import require_format
from engine.host.owner import SAYS, caller_uid, owner_of, user, user_name
from engine.model.plugins import DEFAULT_IDENTIFIERS
from engine.settings import EngineSettings, default_data_dir, usual_receiving_processes

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.api import EngineView
    from engine.config.store import ConfigurationStore
    from engine.errors import EngineError
    from engine.events import Event
    from engine.events.journal import Journal
    from engine.model.configuration import Configuration
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.processor import ProcessorRules
    from engine.model.receiver import Receiver


_PROCESS_SETTINGS = (
    *(
        "durability",
        "commitment_hours",
        "held_header_mib",
        "receiving_processes",
        "drain_seconds",
        "marker",
    ),
    *("config_source", "metrics", "log_level", "control_tcp", "control_certificate", "control_key"),
)


def settings_of(arguments: argparse.Namespace) -> EngineSettings:
    """Return the settings of the process from the options."""
    given = vars(arguments)
    chosen = {name: given[name] for name in _PROCESS_SETTINGS if name in given}
    chosen["metrics_allow"] = tuple(given.get("metrics_allow") or ())
    chosen.setdefault("receiving_processes", usual_receiving_processes())
    return EngineSettings((arguments.data or default_data_dir()).absolute(), **chosen)


def require_data_directory(arguments: argparse.Namespace) -> None:
    """Require the data directory, unless the command can do without (``needs_data``).

    Raises:
        NotFound: if there is none; a new one would only hide a mistyped name.
        StorageUnusable: if the name is that of a file, or a later version made the directory.
    """
    directory = settings_of(arguments).data_dir
    if directory.is_dir():
        require_format(settings_of(arguments))
        return
    if directory.exists():
        raise StorageUnusable(f"{directory} is not a folder", "name a folder with --data")
    if arguments.needs_data:
        remedy = "name it with --data or DICOMDOCK_DATA; the first start of an engine makes one"
        raise NotFound(f"there is no data directory {directory}", remedy)


def store_of(
    arguments: argparse.Namespace,
    identifiers: Sequence[IdentifierInfo] = DEFAULT_IDENTIFIERS,
    processors: ProcessorRules | None = None,
) -> ConfigurationStore:
    """Return the configuration store of the data directory.

    Args:
        arguments: of the command.
        identifiers: those that saved receivers may use.
        processors: the rules for saved processors.
    """
    # TinyDB, and the whole model: slow to import.
    from engine.config.store import ConfigurationStore
    from engine.model.processor import ProcessorRules

    settings = settings_of(arguments)
    return ConfigurationStore(
        settings.config_file,
        clock=SystemClock(),
        identifiers=identifiers,
        processors=processors or ProcessorRules(),
        in_use=settings.in_use_files,
        saved=partial(record_saved, settings),
    )


def say_few_descriptors(configuration: Configuration) -> None:
    """Print a warning if an engine that is started like this command could have too few files."""
    from engine.host.open_files import descriptors_allowed
    from engine.model.configuration import descriptor_note

    note = descriptor_note(configuration, descriptors_allowed())
    if note:
        terminal.say(f"for an engine with the limits of this shell: {note}")


def installed_identifiers() -> tuple[IdentifierInfo, ...]:
    """Return the identifiers that are installed here; loads the code of plugins."""
    from engine.identification.installed import infos_of, load_identifiers

    return infos_of(load_identifiers())


def installed_file_namers() -> tuple[FileNamerInfo, ...]:
    """Return the file namers that are installed here; loads the code of plugins."""
    from engine.plugins.file_namers import file_namers_of, load_file_namers

    return file_namers_of(load_file_namers())


def actor(through: str = "") -> str:
    """Return the actor of changes: the login, and what the environment says, marked as unverified.

    Args:
        through: the program, if it is another than the command line.
    """
    login, words = user_name(caller_uid()), [through] if through else []
    sudo_user = os.environ.get("SUDO_USER", "")
    if sudo_user not in {"", login}:
        words.append(f"of {sudo_user}" if through else sudo_user)
    words += [f"from {it}" for it in os.environ.get("SSH_CONNECTION", "").split(maxsplit=1)[:1]]
    return f"{login}{SAYS}{terminal.visible(' '.join(words))}" if words else login


def receiver_named(receivers: Sequence[Receiver], name: str) -> Receiver:
    """Find a receiver by AE:PORT, id or AE title.

    Raises:
        NotFound: if there is none, or more than one.
    """
    # AE:PORT first: it is unique, while several receivers may share an AE title.
    found = [r for r in receivers if r.label == name] or [
        r for r in receivers if name in {str(r.id), r.ae_title}
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"there is no receiver {name[:80]!r}", "list them with: receivers list")
    labels = ", ".join(receiver.label for receiver in found)
    raise NotFound(f"{name!r} may mean {labels}", "name the receiver as AE:PORT")


def receivers_named(receivers: Sequence[Receiver], names: list[str]) -> list[Receiver]:
    """Return the named receivers in their order; all if none is named."""
    chosen = {receiver_named(receivers, name).id for name in names}
    return [r for r in receivers if not names or r.id in chosen]


@contextmanager
def attached(settings: EngineSettings) -> Iterator[EngineView | None]:
    """Yield the engine that runs on the data directory; None if none runs.

    Raises:
        AlreadyRunning: if one runs and does not answer.
    """
    from engine.remote.attach import find_engine

    engine = find_engine(settings)
    if engine is None:
        yield None
        return
    with closing(engine):
        yield engine.view


@contextmanager
def journal_of(settings: EngineSettings) -> Iterator[Journal]:
    """Yield a journal for a command that works without an engine.

    The umask of commands keeps folder and files private.
    """
    from engine.events.journal import Journal

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
    """Record a new revision of the configuration, unless an engine runs: it records that itself."""
    from engine.events import ConfigurationSaved
    from engine.host.lock import EngineLock

    if EngineLock.holder(settings.lock_file) is None:
        record(settings, ConfigurationSaved(revision=saved.revision, by=saved.changed_by))


def add_show_secrets(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--show-secrets``."""
    words = "show passwords and other secrets; the audit log keeps who saw them"
    parser.add_argument("--show-secrets", action="store_true", help=words)


def shows_secrets(arguments: argparse.Namespace, command: str) -> bool:
    """Return whether secrets are to be shown; if so, that is recorded in the audit log.

    Raises:
        AlreadyRunning: if an engine runs and does not answer, so that nothing can be recorded.
    """
    if not arguments.show_secrets:
        return False
    settings = settings_of(arguments)
    with attached(settings) as engine:
        if engine is not None:
            # Before anything is shown: if this fails, the command ends.
            engine.monitoring.note_secrets_shown(command, actor())
            return True
    from engine.events import SecretsShown

    record(settings, SecretsShown(by=actor(), what=command))
    return True


def shown(record: Mapping[str, object], *, secrets: bool) -> dict[str, object]:
    """Return a record to print, without secrets unless `secrets` is true."""
    from engine.model.secrets import without_secrets

    return {n: v if secrets else without_secrets(n, v) for n, v in record.items()}


_SQLITE_DENIED: Final = frozenset({3, 8, 14})
"""SQLite's PERM, READONLY and CANTOPEN."""


def denial(error: Exception, settings: EngineSettings) -> EngineError | None:
    """Return the error of ownership that caused another error; None if none did.

    Args:
        error: the error of a command.
        settings: name its data directory.
    """
    directory = settings.data_dir
    if not any(_is_denied(cause, directory) for cause in _causes(error)):
        return None
    owner = owner_of(directory)
    if owner.uid != os.geteuid():
        return NotTheOwner(
            f"{directory} belongs to {owner}, and the user {user(os.geteuid())} may not use it",
            "give the command with sudo: root works there with the owner's rights",
        )
    for fault in access_faults(settings):
        return StorageUnusable(f"{fault.path} {fault.what}", fault.remedy)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_denied(error: BaseException, directory: Path) -> bool:
    if isinstance(error, PermissionError):
        return error.filename is None or str(error.filename).startswith(str(directory))
    # Extended codes have the primary one in their last byte.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DENIED
