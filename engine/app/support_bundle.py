"""The support bundle: files that help to find a fault, without patients, secrets and names."""

from __future__ import annotations

import hmac
import io
import json
import os
import platform
import re
import secrets
import shutil
import sys
import tarfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires, version
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine import __version__
from engine.app.status import read_status
from engine.errors import StorageUnusable
from engine.events.event_log import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from engine.model.configuration import Configuration
    from engine.sessions.audit import Audit
    from engine.settings import EngineSettings


SETTINGS = frozenset((
    "ae_title", "identifier", "file_namer", "duplicates", "tls_client", "file_name_template",
    "kinds", "label", "processor_class", "location",
))  # fmt: skip
"""Settings whose texts are shown; texts of all others are hidden."""
EVENTS = frozenset((
    "at", "kind", "severity", "topic", "receiver", "calling_ae_title", "called_ae_title",
    "association", "attribute", "identifier", "plugin", "option", "version", "expires", "since",
    "source", "of",
))  # fmt: skip
"""Members of events that are shown; texts of all others are hidden."""
SENTENCES = frozenset(("message", "why", "reason", "remedy", "error", "instead", "what"))
"""Members of events that are sentences of ours: only addresses and the like are hidden."""
_HIDDEN = frozenset(("parameters", "identifier_settings"))
"""Records of which every value is hidden."""
_HASH_CHARACTERS = 10
_SHORTEST_REPLACED = 3
_PERHAPS_ADDRESSES = re.compile(r"(?<![0-9A-Za-z.:])[0-9a-fA-F]*[.:][0-9a-fA-F.:]*")
# At least five numbers: versions and IPv4 addresses have fewer.
_UIDS = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+){4,}(?![0-9])")


class Mask:
    """Replaces texts by hashes under one key, so that equal texts stay equal in a bundle."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hashed(self, text: str) -> str:
        """Return the hash of a text; an empty text stays empty."""
        if not text:
            return ""
        digest = hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()
        return f"#{digest[:_HASH_CHARACTERS]}"

    def place(self, text: str) -> str:
        """Return the hash of an address or other text; a port stays."""
        host, colon, port = text.rpartition(":")
        # An IPv6 address without a port has colons too.
        if host and port.isdecimal() and not _is_address(text):
            return f"{self.hashed(host)}{colon}{port}"
        return self.hashed(text)

    def settings(self, value: object, name: str = "") -> object:
        """Return a setting, or a record of settings, with unknown texts hidden."""
        if isinstance(value, dict):
            if name in _HIDDEN:
                return {str(key): self.hashed(str(inner)) for key, inner in value.items()}
            return {str(key): self.settings(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.settings(inner, name) for inner in value]
        if value is None or isinstance(value, bool | int | float) or name in SETTINGS:
            return value
        text = str(value)
        lines = len(text.splitlines())
        return f"{self.hashed(text)} ({lines} lines)" if lines > 1 else self.hashed(text)

    def event(self, record: Mapping[str, object]) -> dict[str, object]:
        """Return an event's record in which addresses, UIDs, logins and the like are hidden."""
        hidden = {
            name: self.place(str(value))
            for name, value in record.items()
            if not (name in EVENTS or name in SENTENCES or value is None or _is_number(value))
        }
        sentences = {
            name: self._sentence(str(value), [str(record[other]) for other in hidden])
            for name, value in record.items()
            if name in SENTENCES
        }
        return {**record, **hidden, **sentences}

    def text(self, text: str) -> str:
        """Return a text with addresses and UIDs hidden."""
        text = _UIDS.sub(lambda found: self.hashed(found[0]), text)
        return _PERHAPS_ADDRESSES.sub(lambda found: self._hidden(found[0]), text)

    def _hidden(self, text: str) -> str:
        """Return the hash of an address, with or without a port; other texts unchanged."""
        core = text.rstrip(".:")
        for host in (core, core.rpartition(":")[0]):
            if _is_address(host):
                return self.hashed(host) + text[len(host) :]
        return text

    def _sentence(self, text: str, hidden: list[str]) -> str:
        # The longest first: a shorter one may be part of it.
        for value in sorted(hidden, key=len, reverse=True):
            if len(value) >= _SHORTEST_REPLACED:
                text = text.replace(value, self.place(value))
        return self.text(text)


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


EVENTS_KEPT = 5_000
MOST_METRICS_BYTES = 1 << 20

_README = """\
A support bundle of dicomdock: versions, settings, the last events, the audit log, metrics and, if
it was asked for, a summary of the check of index and disk. Texts that could name people or places,
addresses, UIDs and secrets are replaced by hashes (#...) under a key that was thrown away; AE
titles and ports are as they are.
"""


def write_bundle(path: Path, files: Mapping[str, bytes], now: datetime) -> None:
    """Write a new archive that only its owner can read.

    Raises:
        StorageUnusable: if it can't be written.
    """
    # An existing file, or a link that another user put there, is not written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with (
            os.fdopen(os.open(path, flags, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as archive,
        ):
            for name, content in files.items():
                entry = tarfile.TarInfo(f"dicomdock-support/{name}")
                entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now.timestamp())
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise StorageUnusable(f"{path}: {error.strerror}", "choose another file with -o") from error


def collect(
    settings: EngineSettings, configuration: Configuration | None, audit: Audit | None
) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Args:
        settings: name the data directory.
        configuration: None if it can't be read.
        audit: the result of the check; None if it was not made.
    """
    mask = Mask(secrets.token_bytes(32))
    files = {
        "README.txt": _README.encode(),
        "about.json": _json(_about(settings)),
        "status.json": _json(_status(settings, mask)),
        "settings.json": _json(_settings(configuration, mask)),
        "events.jsonl": b"".join(_events(settings.event_log, mask)),
        "audit.jsonl": b"".join(_events(settings.audit_log, mask)),
        "metrics.prom": _metrics(settings),
    }
    return files | ({"check.json": _json(_check(audit))} if audit else {})


def _about(settings: EngineSettings) -> dict[str, object]:
    usage = shutil.disk_usage(settings.data_dir) if settings.data_dir.exists() else None
    return {
        "dicomdock": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "storage": usage._asdict() if usage else None,
        "packages": dict(_packages()),
    }


def _packages() -> Iterator[tuple[str, str]]:
    """Yield the installed packages that dicomdock depends on, with versions."""
    for requirement in requires("dicomdock") or ():
        if "extra ==" in requirement:
            continue
        # PEP 508: the name ends where its version, extra or marker begins.
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _status(settings: EngineSettings, mask: Mask) -> dict[str, object]:
    status = read_status(settings)
    receivers = [{**asdict(r), "reason": mask.text(r.reason)} for r in status.receivers]
    return {
        "running_since": str(status.running.since) if status.running else None,
        "revision": status.revision,
        "receivers": receivers,
        "objects_today": status.objects_today,
        "sessions_receiving": status.sessions_receiving,
        "configuration_problem": bool(status.configuration_problem),
    }


def _settings(configuration: Configuration | None, mask: Mask) -> object:
    if configuration is None:
        return None
    record = {
        "revision": configuration.revision,
        "site": configuration.site.to_record(),
        "receivers": [receiver.to_record() for receiver in configuration.receivers],
        "projects": [project.to_record() for project in configuration.projects.projects],
        "processors": [processor.to_record() for processor in configuration.processors],
    }
    return mask.settings(record)


def _events(path: Path, mask: Mask) -> Iterator[bytes]:
    with EventLog(path) as log:
        for record in log.newest(EVENTS_KEPT):
            yield json.dumps(mask.event(record)).encode() + b"\n"


def _metrics(settings: EngineSettings) -> bytes:
    """Return the lines of the metrics file that are metrics of ours, or comments."""
    try:
        with settings.metrics_file.open("rb") as file:
            lines = file.read(MOST_METRICS_BYTES).splitlines(keepends=True)
    except OSError:
        return b""
    return b"".join(line for line in lines if line.startswith((b"dicomdock_", b"# ")))


def _check(audit: Audit) -> dict[str, object]:
    """Return the counts of a check, without names of sessions and files."""
    differences = [found.differences for found in audit.sessions]
    return {
        "agrees": audit.agrees,
        "sessions_looked_at": audit.looked_at,
        "receivers": [{**asdict(r), "adds_up": r.add_up} for r in audit.receivers],
        "sessions_that_differ": len(differences),
        "files_missing": sum(len(found.missing) for found in differences),
        "files_not_in_the_index": sum(len(found.unknown) for found in differences),
        "folders_not_in_the_index": len(audit.unknown_folders),
    }


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, default=str).encode() + b"\n"
