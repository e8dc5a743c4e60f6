"""Collects the facts that the advice of the health is about."""

from __future__ import annotations

import importlib.metadata
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine import __version__
from engine.backup.record import last_backup
from engine.host.machine import file_system_of, is_clock_synchronized
from engine.model.anonymization import AsReceived, stored_as_received
from engine.monitoring.advice import Facts
from engine.queries.tls_files import certificate_notes, tls_notes
from engine.state.database import SQLITE_VERSION
from engine.storage.guard import FreeSpace, Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from engine.metrics import Counters
    from engine.model.configuration import Configuration
    from engine.model.receiver import Receiver
    from engine.sessions.trash import ExpiryClock
    from engine.settings import EngineSettings

_EVERY_ADDRESS = {"", "::", "0.0.0.0"}


def facts_of(
    settings: EngineSettings,
    configuration: Configuration,
    counters: Counters,
    expiry: ExpiryClock,
    now: datetime,
) -> Facts:
    """Return the facts about an installation; reads files of the data directory and of TLS."""
    space = os.statvfs(settings.data_dir)
    limits = configuration.site.limits
    free = FreeSpace(space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize)
    return Facts(
        now,
        data_dir=str(settings.data_dir),
        readable=tuple(str(path) for path in _readable(settings, configuration)),
        clock_ahead=expiry.ahead(),
        synchronized=is_clock_synchronized(),
        file_system=file_system_of(settings.data_dir),
        free_bytes=free.free_bytes,
        low_bytes=Thresholds.of(limits, free).low_bytes,
        free_files_percent=space.f_favail * 100 // space.f_files if space.f_files else 100,
        durability=str(settings.durability),
        has_sessions=any(count for _, count in counters.sessions),
        last_backup=last_backup(settings),
        certificates=tuple(_certificates(settings, configuration, now)),
        open_receivers=tuple(
            receiver.label
            for receiver in configuration.receivers
            if _is_open(receiver, configuration.site.bind_address)
        ),
        as_received=tuple(
            receiver.label
            for receiver in configuration.receivers
            if receiver.enabled and _is_as_received(receiver, configuration)
        ),
        version=__version__,
        installed_version=_installed_version(),
        libraries={"SQLite": SQLITE_VERSION},
    )


def _readable(settings: EngineSettings, configuration: Configuration) -> Iterator[Path]:
    """Yield what every user of the machine can read, and should not."""
    top = settings.data_dir
    if _is_readable(top):
        # Closed to others, it protects what is in it, whatever the modes of that are.
        yield top
        private = (settings.config_file, settings.control_token_file, settings.trace_key_file)
        yield from filter(_is_readable, (*private, settings.index_file, settings.state_file))
    keys = {r.tls.key for r in configuration.receivers if r.tls is not None}
    if settings.control_key:
        keys.add(settings.control_key)
    yield from filter(_is_readable, map(Path, sorted(keys)))


def _is_readable(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    with suppress(OSError):
        mode = path.stat().st_mode
        return bool(mode & (wanted if stat.S_ISDIR(mode) else stat.S_IROTH))
    return False


def _certificates(
    settings: EngineSettings, configuration: Configuration, now: datetime
) -> Iterator[tuple[str, str]]:
    for receiver in configuration.receivers:
        if receiver.enabled:
            yield from ((receiver.label, note) for note in tls_notes(receiver, now))
    if settings.control_certificate:
        path = Path(settings.control_certificate)
        yield from (("the control API", note) for note in certificate_notes(path, now))


def _is_open(receiver: Receiver, site_address: str) -> bool:
    asks_certificate = receiver.tls is not None and receiver.tls.client == "required"
    address = receiver.bind_address or site_address
    is_limited = receiver.whitelist_enabled or asks_certificate
    return receiver.enabled and address in _EVERY_ADDRESS and not is_limited


def _is_as_received(receiver: Receiver, configuration: Configuration) -> bool:
    in_force = configuration.has_anonymization
    why = stored_as_received(wanted=receiver.anonymization, in_force=in_force)
    return why is AsReceived.NO_SCRIPT


def _installed_version() -> str:
    """Return the version that the next engine will be; empty while it is just being replaced."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("dicomdock")
    return ""
