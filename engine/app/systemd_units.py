"""The systemd units of dicomdock as texts, and the addresses of its socket unit; pure.

The socket unit holds the ports, so that a restart of the service refuses no caller. The service
sees its data directory and nothing else that it could change (systemd.exec(5)).
"""

from __future__ import annotations

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, Problem
from engine.model.peer import is_address
from engine.settings import DATA_VARIABLE, SERVICE_ENVIRONMENT

if TYPE_CHECKING:
    from typing import Self


_LOW_PORTS = 1024
_PLACE = re.compile(r"(?:(?:\[([^]]*)\]|([0-9.]*)):)?([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class ListenPlace:
    """A port with or without an address; checked, so that it can't break a line of a unit."""

    port: int
    address: str = ""
    """IPv4 or IPv6, with a scope such as ``%eth0`` if it needs one; empty means all addresses."""

    def __post_init__(self) -> None:
        """Check address and port.

        Raises:
            ConfigurationError: naming it.
        """
        if not 1 <= self.port <= 65535:
            raise _wrong(str(self.port), "is no port", "use such as 8104")
        if self.address and not is_address(self.address):
            remedy = "use such as 192.0.2.7, ::1 or fe80::1%eth0"
            raise _wrong(self.address, "is not an address", remedy)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``8104``, ``192.0.2.7:8104`` or ``[fe80::1%eth0]:8104``.

        Raises:
            ConfigurationError: if it is none of these.
        """
        found = _PLACE.fullmatch(text)
        if not found or found[1] == "" or found[2] == "":
            raise _wrong(text, "is no port", "use such as 8104 or 127.0.0.1:8104")
        return cls(int(found[3]), found[1] or found[2] or "")

    @property
    def is_low(self) -> bool:
        """Whether the port needs a capability."""
        return self.port < _LOW_PORTS

    @property
    def listen_stream(self) -> str:
        """The value of ``ListenStream=`` (systemd.socket(5)): the scope is behind the port there.

        Its percent sign is doubled, for one alone begins a specifier.
        """
        address, _, scope = self.address.partition("%")
        if not address:
            return str(self.port)
        where = f"[{address}]" if ":" in address else address
        return f"{where}:{self.port}%%{scope}" if scope else f"{where}:{self.port}"


def _wrong(text: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem("port", text[:60], message, remedy))


STATE_ROOT = Path("/var/lib")
NAME = "dicomdock"
_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""Directories that ProtectHome= hides."""
_SYSTEM = frozenset(map(Path, (
    "/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/usr", "/usr/local", "/var",
    "/var/backups", "/var/cache", "/var/lib", "/var/local", "/var/lock", "/var/log", "/var/mail",
    "/var/opt", "/var/run", "/var/spool", "/var/tmp",
)))  # fmt: skip
"""What other programs use, but for directories in it."""
_SYSTEM_TREES = frozenset(map(Path, (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run",
    "/sbin", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share",
)))  # fmt: skip
"""What is the system's, with all that is below."""
# systemd-tmpfiles removes old files there.
_CLEANED = (Path("/tmp"), Path("/var/tmp"))
# For what a stop does after the drain, before systemd kills the engine.
_STOP_MARGIN_SECONDS = 30
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?")
_SAFE = re.compile(r"[A-Za-z0-9._/@:+,=%$-]+")


@dataclass(frozen=True, slots=True)
class Unit:
    """One file and where it belongs."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The inputs of the units."""

    program: tuple[str, ...]
    """The command line that runs dicomdock, with absolute paths."""
    data_dir: Path = STATE_ROOT / NAME
    user: str = NAME
    listen: tuple[ListenPlace, ...] = (ListenPlace(8104),)
    """The ports of the socket unit."""
    options: tuple[str, ...] = ()
    """Further options of ``dicomdock engine``."""
    drain_seconds: float = 60.0
    readable: tuple[Path, ...] = ()
    """Directories of the program, which the service must be able to read."""

    def __post_init__(self) -> None:
        """Check all values: one with a line break, for example, would add lines to a unit.

        Raises:
            ConfigurationError: with one problem per unacceptable value.
        """
        problems = []
        if not _USER.fullmatch(self.user):
            problems.append(Problem("user", self.user[:40], "is no user name", "use such as dicom"))
        if not {*_CLEANED}.isdisjoint(self.data_dir.parents):
            remedy = "choose another with --data, such as /var/lib/dicomdock"
            problems.append(Problem("data", str(self.data_dir), "is cleaned by the system", remedy))
        # The directory is given to the service's user, with all that is in it.
        if self.data_dir in _SYSTEM or not _SYSTEM_TREES.isdisjoint(_with_parents(self.data_dir)):
            remedy = "choose another with --data, such as /var/lib/dicomdock"
            problems.append(Problem("data", str(self.data_dir), "belongs to the system", remedy))
        if not math.isfinite(self.drain_seconds):
            seconds = str(self.drain_seconds)
            problems.append(Problem("drain_seconds", seconds, "never ends", "use such as 60"))
        paths = (self.data_dir, *self.readable)
        problems += [_unfit(str(path)) for path in paths if not _is_plain_path(path)]
        words = (*self.program, *self.options)
        problems += [_unfit(word) for word in words if not _is_plain(word)]
        # Another first character would have a meaning (systemd.service(5)).
        if not self.program[0].startswith("/"):
            problems.append(Problem("program", self.program[0][:80], "is no path", "use a path"))
        if problems:
            raise ConfigurationError(*problems)


def units(settings: ServiceSettings) -> tuple[Unit, ...]:
    """Return the files: service, socket, the service's user, and its data directory."""
    system = Path("/etc/systemd/system")
    return (
        Unit(system / f"{NAME}.service", service_unit(settings)),
        Unit(system / f"{NAME}.socket", socket_unit(settings)),
        Unit(Path(f"/etc/sysusers.d/{NAME}.conf"), sysusers(settings)),
        Unit(SERVICE_ENVIRONMENT, environment(settings)),
    )


def installed_for(data_dir: Path, root: Path = Path("/")) -> str:
    """Return the name of the service that is installed for a data directory; empty if none is."""
    try:
        unit = (root / f"etc/systemd/system/{NAME}.service").read_text("utf-8", "replace")
    except OSError:
        return ""
    return NAME if f" --data {_word(str(data_dir))} engine " in unit else ""


def service_unit(settings: ServiceSettings) -> str:
    """Return the text of the service unit."""
    drain = f"{settings.drain_seconds:g}"
    command = (*settings.program, "--data", str(settings.data_dir), "engine", "--drain-seconds")
    started = " ".join(map(_word, (*command, drain, *settings.options)))
    stop = round(settings.drain_seconds) + _STOP_MARGIN_SECONDS
    return f"""\
[Unit]
Description=DICOM receiving dock
Wants=network-online.target
After=network-online.target {NAME}.socket
Requires={NAME}.socket
RequiresMountsFor={_quoted(str(settings.data_dir))}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={started}
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30
Restart=on-failure
RestartSec=2
# 2: a wrong configuration or option; starting again would not mend it.
RestartPreventExitStatus=2
TimeoutStartSec=15min
TimeoutStopSec={stop}
# The engine ends its receiving and worker processes itself, once associations are through.
KillMode=mixed

User={settings.user}
UMask=0027
{_storage(settings)}
{_capabilities(settings)}
{_SANDBOX}
[Install]
WantedBy=multi-user.target
"""


def socket_unit(settings: ServiceSettings) -> str:
    """Return the text of the socket unit."""
    listen = "\n".join(f"ListenStream={place.listen_stream}" for place in settings.listen)
    return f"""\
[Unit]
Description=DICOM ports of the receiving dock

[Socket]
{listen}
FileDescriptorName=dicom
Backlog=256
NoDelay=yes
KeepAlive=yes
Service={NAME}.service

[Install]
WantedBy=sockets.target
"""


def sysusers(settings: ServiceSettings) -> str:
    """Return the file that makes the service's user if it does not exist (sysusers.d(5))."""
    return f'u {settings.user} - "DICOM receiving dock" {_quoted(str(settings.data_dir))}\n'


def environment(settings: ServiceSettings) -> str:
    """Return the file by which commands without ``--data`` find the service's data directory."""
    return (
        "# Commands without --data use this directory; the service is told it by its unit.\n"
        f"{DATA_VARIABLE}={shlex.quote(str(settings.data_dir))}\n"
    )


def _storage(settings: ServiceSettings) -> str:
    """Return the lines about the data directory, and about the parts of the disk that it sees."""
    data, lines = settings.data_dir, ["ProtectSystem=strict"]
    if data.parent == STATE_ROOT:
        lines += [f"StateDirectory={_quoted(data.name)}", "StateDirectoryMode=0750"]
    else:
        lines.append(f"ReadWritePaths={_quoted(str(data))}")
    hidden = [path for path in (data, *settings.readable) if _is_hidden(path)]
    if not hidden:
        return "\n".join([*lines, "ProtectHome=yes"])
    lines.append("ProtectHome=tmpfs")
    for path in dict.fromkeys(hidden):
        option = "BindPaths" if path == data else "BindReadOnlyPaths"
        lines.append(f"{option}={_quoted(str(path))}")
    return "\n".join(lines)


def _is_hidden(path: Path) -> bool:
    return any(root == path or root in path.parents for root in _HIDDEN)


def _capabilities(settings: ServiceSettings) -> str:
    """Return the lines about capabilities: one for low ports, else none."""
    if any(place.is_low for place in settings.listen):
        return (
            "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE"
        )
    return "AmbientCapabilities=\nCapabilityBoundingSet="


def _with_parents(path: Path) -> tuple[Path, ...]:
    return path, *path.parents


def _is_plain(text: str) -> bool:
    """Return whether a text in quotes is one word of a unit file."""
    return text.isprintable() and not {*'"\\'} & {*text}


def _is_plain_path(path: Path) -> bool:
    """Return whether a path has one meaning in a unit file; a colon separates two paths there."""
    text = str(path)
    return path.is_absolute() and _is_plain(text) and ":" not in text and ".." not in path.parts


def _unfit(text: str) -> Problem:
    remedy = 'use a path without `:`, `"`, `\\`, `..` and control characters'
    return Problem("path", text[:80], "fits no unit", remedy)


def _word(text: str) -> str:
    """Return a word of a command line, with variables escaped."""
    return _quoted(text.replace("$", "$$"))


def _quoted(text: str) -> str:
    """Return a word of a unit file, in quotes and with specifiers escaped."""
    text = text.replace("%", "%%")
    return text if _SAFE.fullmatch(text) else f'"{text}"'


_SANDBOX = """\
# No PrivateUsers=: it would hide from the engine which user gives a command.
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
# Callers and destinations may be anywhere, but none of them is a group.
IPAddressDeny=multicast
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

LimitNOFILE=65536
LimitCORE=0
TasksMax=4096
# Files that were just written count as well, and are given back first.
MemoryHigh=70%
MemoryMax=80%
# A worker process that the kernel ends is replaced; the engine goes on.
OOMPolicy=continue
OOMScoreAdjust=-200
"""
