"""Process settings: where the data directory is and how this engine process behaves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from engine.events import Severity

DATA_VARIABLE = "DICOMDOCK_DATA"


class Durability(StrEnum):
    """How much is flushed to the disk before a C-STORE is answered with success."""

    FULL = "full"
    """The file and its directory: survives power loss."""
    FILE = "file"
    """The file only: survives power loss except for the newest directory entries."""
    NONE = "none"
    """Nothing: survives a crash of the engine, not of the machine."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What one engine process is started with."""

    data_dir: Path
    durability: Durability = Durability.FULL
    drain_seconds: float = 10.0
    """How long a stop waits for open associations before it aborts them."""
    marker: str = ""
    """A file in the data directory without which nothing is received, for storage that is mounted
    there: where the mount is missing, so is the file. Empty for none."""
    held_header_mib: int = 8
    """How long a header may be, in MiB, that is kept from the disk until it is anonymized."""
    metrics: str = ""
    """Where metrics are read over HTTP, such as ``127.0.0.1:9404``; empty for nowhere."""
    log_level: Severity = Severity.INFO
    """The least severity that the event log keeps."""
    negotiation_seconds: float = 10.0
    """How long a peer may take from connecting to its complete A-ASSOCIATE-RQ."""
    handshake_seconds: float = 10.0
    """How long a peer may take for its TLS handshake, from the connection on."""
    pdu_seconds: float = 30.0
    """How long one PDU may take, unless it comes at a kilobyte a second or more."""
    unassociated_peers: int = 50
    """Connections that may wait for their association at once; more are closed."""
    unassociated_peers_per_address: int = 20
    control_tcp: str = ""
    """Where the control API listens beside its socket, as ``[ADDRESS:]PORT``; empty for nowhere."""
    control_certificate: str = ""
    """A PEM file: the control API's TCP port speaks TLS; empty for plain HTTP."""
    control_key: str = ""

    @property
    def control_file(self) -> Path:
        """The UNIX socket by which consoles and commands reach a running engine."""
        return self.data_dir / "control.sock"

    @property
    def control_token_file(self) -> Path:
        """What clients of the control API's TCP port must know."""
        return self.data_dir / "control.token"

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
        return (self.index_file, self.forwarding_file, self.commands_file)

    @property
    def lock_file(self) -> Path:
        """The file whose lock makes this the only engine of the data directory."""
        return self.data_dir / "engine.lock"

    @property
    def index_file(self) -> Path:
        """The SQLite index of sessions and objects."""
        return self.data_dir / "index.sqlite"

    @property
    def trace_key_file(self) -> Path:
        """The key of the hashes by which accession numbers and patient IDs are found again."""
        return self.data_dir / "trace.key"

    @property
    def wakeup_file(self) -> Path:
        """The FIFO by which commands tell a running engine that there is something to do."""
        return self.data_dir / "sessions.bell"

    @property
    def study_routes_file(self) -> Path:
        """The SQLite table of studies whose destination was announced."""
        return self.data_dir / "study-routes.sqlite"

    @property
    def uid_maps_file(self) -> Path:
        """The SQLite table of UIDs that scripts put in the place of others."""
        return self.data_dir / "uid-maps.sqlite"

    @property
    def forwarding_file(self) -> Path:
        """The SQLite queue of forward copies."""
        return self.data_dir / "forwarding.sqlite"

    @property
    def commands_file(self) -> Path:
        """The SQLite queue of external programs that are to run."""
        return self.data_dir / "commands.sqlite"

    @property
    def incoming_dir(self) -> Path:
        """Where objects are while they are being received."""
        return self.data_dir / "incoming"

    @property
    def prearchive_dir(self) -> Path:
        """Where received sessions wait."""
        return self.data_dir / "prearchive"

    @property
    def archive_dir(self) -> Path:
        """Where sessions are in the end."""
        return self.data_dir / "archive"

    @property
    def trash_dir(self) -> Path:
        """Where deleted sessions and replaced objects are until their time is over."""
        return self.data_dir / "trash"

    @property
    def quarantine_dir(self) -> Path:
        """Where objects refused for their content are kept with the reason."""
        return self.data_dir / "quarantine"

    @property
    def sender_hours_file(self) -> Path:
        """In which hours each calling AE title usually sends."""
        return self.data_dir / "sender-hours.json"

    @property
    def clock_file(self) -> Path:
        """What the last run knew of the time, by which a wrong clock is noticed at a start."""
        return self.data_dir / "clock.json"

    @property
    def event_log(self) -> Path:
        """The event journal as JSON lines; older ones are beside it."""
        return self.log_dir / "events.jsonl"

    @property
    def audit_log(self) -> Path:
        """What people did, as JSON lines: changes, shown values, use of the control API."""
        return self.log_dir / "audit.jsonl"

    @property
    def metrics_file(self) -> Path:
        """The metrics of the last minute, as Prometheus text."""
        return self.log_dir / "metrics.prom"

    @property
    def command_output_dir(self) -> Path:
        """What failed programs wrote, one file for each run."""
        return self.log_dir / "commands"

    @property
    def log_dir(self) -> Path:
        """Where the event journal is written."""
        return self.data_dir / "logs"


def default_data_dir() -> Path:
    """Return $DICOMDOCK_DATA, else the user's data directory."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_data_dir("dicomdock"))
