"""Process settings: where the data directory is and how this engine process behaves."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from engine.events import Severity

MOST_USUAL_PROCESSES = 4
DATA_VARIABLE = "DICOMDOCK_DATA"
EARLIER_STATE_FILES = (
    "study-routes.sqlite",
    "uid-maps.sqlite",
    "forwarding.sqlite",
    "commands.sqlite",
)
"""In which earlier versions kept what is in the state database."""


class Durability(StrEnum):
    """What is flushed to the disk before a C-STORE is answered with success."""

    FULL = "full"
    """The file and its directory: survives power loss."""
    FILE = "file"
    """The file only: survives power loss except for the newest directory entries."""
    NONE = "none"
    """Nothing: survives a crash of the engine, not of the machine."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The settings that one engine process is started with."""

    data_dir: Path
    durability: Durability = Durability.FULL
    drain_seconds: float = 10.0
    """How long a stop waits for open associations before it aborts them."""
    marker: str = ""
    """A file that must exist in the data directory before anything is received; empty for none.

    For mounted storage: without the mount the file is missing, so nothing is received into the
    empty mount point.
    """
    receiving_processes: int = 0
    """How many processes receive objects; with 0 the engine's own process does.

    The commands that run an engine use `usual_receiving_processes` instead.
    """
    held_header_mib: int = 8
    """The longest header, in MiB, that is kept from the disk until it is anonymized."""
    metrics: str = ""
    """The address of the metrics endpoint, such as ``127.0.0.1:9404``; empty for none.

    Beyond the loopback, clients show the token of `metrics_token_file`.
    """
    metrics_allow: tuple[str, ...] = ()
    """Networks, such as ``10.1.2.0/24``, whose clients need no token there."""
    log_level: Severity = Severity.INFO
    """The least severity that is written to the event log."""
    commitment_hours: int = 168
    """How long the result of a storage commitment is tried to be delivered."""
    negotiation_seconds: float = 10.0
    """How long a peer may take from connecting to its complete A-ASSOCIATE-RQ."""
    handshake_seconds: float = 10.0
    """How long a peer may take for its TLS handshake, counted from the connection."""
    pdu_seconds: float = 30.0
    """How long one PDU may take, unless it arrives with at least a kilobyte per second."""
    unassociated_peers: int = 50
    """The most connections without an association at one time; more are closed."""
    unassociated_peers_per_address: int = 20
    config_source: Path | None = None
    """The TOML document that declares the configuration, which is read-only otherwise."""
    control_tcp: str = ""
    """The TCP port of the control API, as ``[ADDRESS:]PORT``; empty for its socket only."""
    control_certificate: str = ""
    """PEM file of the certificate for that port; empty for plain HTTP without TLS."""
    control_key: str = ""

    @property
    def control_file(self) -> Path:
        """The UNIX socket by which consoles and commands reach a running engine."""
        return self.data_dir / "control.sock"

    @property
    def commands_file(self) -> Path:
        """The UNIX socket by which a running engine takes commands of other users."""
        return self.data_dir / "commands.sock"

    @property
    def control_token_file(self) -> Path:
        """The token that clients of the control API's TCP port must send."""
        return self.data_dir / "control.token"

    @property
    def metrics_token_file(self) -> Path:
        """The token that clients of the metrics endpoint must send beyond the loopback."""
        return self.data_dir / "metrics.token"

    @property
    def format_file(self) -> Path:
        """The format number of the data directory, and the program that opened it last."""
        return self.data_dir / "format.json"

    @property
    def config_file(self) -> Path:
        """The TinyDB file with receivers, projects and site settings."""
        return self.data_dir / "config.json"

    @property
    def history_dir(self) -> Path:
        """Earlier revisions of the configuration."""
        return self.data_dir / "config.history"

    @property
    def in_use_files(self) -> tuple[Path, ...]:
        """Files that exist only where an engine has run, and so had a configuration."""
        return (self.index_file, self.state_file, *self.earlier_state_files)

    @property
    def lock_file(self) -> Path:
        """The lock file: one engine per data directory."""
        return self.data_dir / "engine.lock"

    @property
    def index_file(self) -> Path:
        """The SQLite index of sessions and objects."""
        return self.data_dir / "index.sqlite"

    @property
    def trace_key_file(self) -> Path:
        """The key of the hashes under which accession numbers and patient IDs are indexed."""
        return self.data_dir / "trace.key"

    @property
    def wakeup_file(self) -> Path:
        """The FIFO by which commands wake a running engine for their requests."""
        return self.data_dir / "sessions.bell"

    @property
    def state_file(self) -> Path:
        """The SQLite database of what can't be derived from other files."""
        return self.data_dir / "state.sqlite"

    @property
    def earlier_state_files(self) -> tuple[Path, ...]:
        """Files of earlier versions that are taken over when the state database is opened."""
        return tuple(self.data_dir / name for name in EARLIER_STATE_FILES)

    @property
    def incoming_dir(self) -> Path:
        """The folder of objects that are being received."""
        return self.data_dir / "incoming"

    @property
    def prearchive_dir(self) -> Path:
        """The folder of received sessions that are not archived yet."""
        return self.data_dir / "prearchive"

    @property
    def archive_dir(self) -> Path:
        """The folder of archived sessions."""
        return self.data_dir / "archive"

    @property
    def trash_dir(self) -> Path:
        """The folder of deleted sessions and replaced objects, until they are purged."""
        return self.data_dir / "trash"

    @property
    def quarantine_dir(self) -> Path:
        """The folder of objects that were refused for their content, with the reason."""
        return self.data_dir / "quarantine"

    @property
    def sender_hours_file(self) -> Path:
        """The hours in which each calling AE title usually sends."""
        return self.data_dir / "sender-hours.json"

    @property
    def clock_file(self) -> Path:
        """The time as the last run knew it, so that a wrong clock is noticed at the start."""
        return self.data_dir / "clock.json"

    @property
    def last_backup_file(self) -> Path:
        """When the last backup was made."""
        return self.data_dir / "last-backup.json"

    @property
    def event_log(self) -> Path:
        """The event log as JSON lines; older parts are beside it."""
        return self.log_dir / "events.jsonl"

    @property
    def audit_log(self) -> Path:
        """The audit log as JSON lines: changes, shown values, use of the control API."""
        return self.log_dir / "audit.jsonl"

    @property
    def metrics_file(self) -> Path:
        """The metrics of the last minute, as Prometheus text."""
        return self.log_dir / "metrics.prom"

    @property
    def command_output_dir(self) -> Path:
        """The output of failed programs, one file for each run."""
        return self.log_dir / "commands"

    @property
    def log_dir(self) -> Path:
        """The folder of the event log and the other logs."""
        return self.data_dir / "logs"


def usual_receiving_processes() -> int:
    """Return how many processes receive objects on this machine: one a core, at most 4; else 0.

    On one core they would only cost memory.
    """
    cores = len(os.sched_getaffinity(0))
    return min(cores, MOST_USUAL_PROCESSES) if cores > 1 else 0


def default_data_dir(root: Path = Path("/")) -> Path:
    """Return $DICOMDOCK_DATA, else that of the installed service, else the default for this user.

    Args:
        root: below which the service is installed.
    """
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    return service_data_dir(root) or Path(platformdirs.user_data_dir("dicomdock"))


SERVICE_ENVIRONMENT = Path("/etc/dicomdock/environment")
"""The variables of the service, as ``EnvironmentFile=`` of systemd.exec(5) reads them."""
_SERVICE_UNIT = Path("/etc/systemd/system/dicomdock.service")


def service_data_dir(root: Path = Path("/")) -> Path | None:
    """Return the data directory of the service on this machine; None if none is installed.

    Services of earlier versions have it in their unit only.
    """
    for file in (SERVICE_ENVIRONMENT, _SERVICE_UNIT):
        with suppress(OSError, ValueError):  # not there, or no text that can be understood
            for line in (root / file.relative_to("/")).read_text("utf-8").splitlines():
                name, _, value = line.partition("=")
                if name == DATA_VARIABLE:
                    return Path(*shlex.split(value))
                if name == "ExecStart" and "--data" in value:
                    words = shlex.split(value.replace("%%", "%").replace("$$", "$"))
                    return Path(words[words.index("--data") + 1])
    return None
