"""Installs dicomdock as a systemd service, and removes it."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.app.systemd_units import NAME, STATE_ROOT, units
from engine.errors import EngineError
from engine.host.owner import ROOT, identity_for, user
from engine.settings import SERVICE_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.app.systemd_units import ServiceSettings, Unit

COMMAND_SECONDS = 20 * 60.0
"""Longer than a start (``TimeoutStartSec=``) or a stop may take."""
_UNITS = (f"{NAME}.socket", f"{NAME}.service")
_ROOTS_HOME = Path("/root")
_OF_NEW_STORAGE = {"lost+found"}
_MARKS = {"config.history", "engine.lock", "index.sqlite", "state.sqlite"}
"""A directory with a configuration and one of these is a data directory."""
_MADE_ANEW = (Path("/home"), Path("/run/user"))
"""The unit gives the service its own directories below these, so that it can enter them."""


class NotInstallable(EngineError):
    """The service can't be installed here, or by this user; nothing was changed."""

    title = "The service is not installed"
    exit_code = 2


class StepFailed(EngineError):
    """One step of the installation failed; those before it are done."""

    title = "The service is not completely installed"


class NotInstalled(EngineError):
    """The service is not installed."""

    title = "The service is not installed"
    exit_code = 4


@dataclass(frozen=True, slots=True)
class RemovalStep:
    """One file to remove."""

    path: Path


@dataclass(frozen=True, slots=True)
class CommandStep:
    """One command to run."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def steps(settings: ServiceSettings, root: Path = Path("/")) -> tuple[Unit | CommandStep, ...]:
    """Return the steps in their order; repeating them changes nothing.

    If other units are installed already, the service is restarted: a listening socket takes no
    other ports, and a running service no other options.

    Raises:
        NotInstallable: if the data directory is in use by something else, or in another user's.
    """
    service, socket, user, environment = units(settings)
    begin = "restart" if _differs(root, (service, socket)) else "start"
    return (
        service,
        socket,
        user,
        environment,
        # Before the directory, which becomes this user's.
        CommandStep(("systemd-sysusers", str(user.path))),
        *_data_directory(settings, root),
        CommandStep(("systemctl", "daemon-reload")),
        CommandStep(("systemctl", "enable", *_UNITS)),
        CommandStep(("systemctl", begin, *_UNITS)),
    )


def removal(root: Path = Path("/")) -> tuple[RemovalStep | CommandStep, ...]:
    """Return the steps that remove the service; its data and its user stay.

    Raises:
        NotInstalled: if nothing of it is there.
    """
    system = Path("/etc/systemd/system")
    files = (
        *(system / name for name in _UNITS),
        Path(f"/etc/sysusers.d/{NAME}.conf"),
        SERVICE_ENVIRONMENT,
    )
    there = [path for path in files if _below(root, path).exists()]
    if not there:
        raise NotInstalled(f"there is no {files[1]}", "look for units of another name, or ignore")
    running = [path.name for path in there if path.parent == system]
    return (
        *([CommandStep(("systemctl", "disable", "--now", *running))] if running else ()),
        *map(RemovalStep, there),
        CommandStep(("systemctl", "daemon-reload")),
    )


def unreachable(settings: ServiceSettings) -> NotInstallable | None:
    """Return why the service's user could not run the program; None if it could."""
    if settings.user == "root":
        return None
    for path in (Path(settings.program[0]), *settings.readable, settings.data_dir):
        closed = _closed(path)
        if closed is not None:
            return NotInstallable(
                f"{path} is out of reach for {settings.user}: {closed} is closed to others",
                "install dicomdock elsewhere, such as with: python3 -m venv /opt/dicomdock",
            )
    return None


def obstacle(root: Path = Path("/"), user_id: int | None = None) -> NotInstallable | None:
    """Return why this machine or user can't install or remove services; None if it can."""
    if not (root / "run/systemd/system").is_dir():
        return NotInstallable(
            "systemd does not run here",
            "run `dicomdock engine` under the supervisor that does, or take the units along: "
            "dicomdock service print",
        )
    if (os.geteuid() if user_id is None else user_id) != 0:
        return NotInstallable("only root may do that to a service", "run it again with sudo")
    return None


def install(
    settings: ServiceSettings,
    say: Callable[[str], None],
    root: Path = Path("/"),
    run: Callable[[tuple[str, ...]], None] | None = None,
) -> None:
    """Do all steps; each is printed before it is done.

    Raises:
        StepFailed: if one can't be done.
    """
    for step in steps(settings, root):
        say(describe_step(step))
        if isinstance(step, CommandStep):
            (run or _run)(step.words)
        else:
            _write(_below(root, step.path), step.text)


def uninstall(
    say: Callable[[str], None],
    root: Path = Path("/"),
    run: Callable[[tuple[str, ...]], None] | None = None,
) -> None:
    """Stop and remove the service, each step said before it is done.

    Raises:
        NotInstalled: if nothing of it is there.
        StepFailed: if one can't be done.
    """
    for step in removal(root):
        say(describe_step(step))
        if isinstance(step, CommandStep):
            (run or _run)(step.words)
        else:
            _remove(_below(root, step.path))


def describe_step(step: Unit | CommandStep | RemovalStep) -> str:
    """Return a sentence on what a step does."""
    if isinstance(step, CommandStep):
        return f"run {step}"
    return f"{'remove' if isinstance(step, RemovalStep) else 'write'} {step.path}"


def _below(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _differs(root: Path, wanted: tuple[Unit, ...]) -> bool:
    """Tell whether an installed unit has another text."""
    for unit in wanted:
        with suppress(OSError, UnicodeDecodeError):
            if _below(root, unit.path).read_text("utf-8") != unit.text:
                return True
    return False


def _closed(path: Path) -> Path | None:
    """Return the outermost directory on the way to a path that other users can't enter."""
    if _ROOTS_HOME in (path, *path.parents):
        return _ROOTS_HOME  # the service gets its own, which is as closed
    if any(root in path.parents for root in _MADE_ANEW):
        return None
    for directory in reversed(path.parents):
        with suppress(OSError):
            if not directory.stat().st_mode & stat.S_IXOTH:
                return directory
    return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StepFailed(f"{path}: {error.strerror}", "remove it by hand") from error


def _data_directory(settings: ServiceSettings, root: Path) -> Iterator[CommandStep]:
    """Make the directory, unless systemd makes it or it exists and belongs to the user.

    Where another user could put a link, it is made with that user's rights, never with root's.

    Raises:
        NotInstallable: if it is there and is no data directory, or in another user's directory.
        NotTheOwner: if it is root's, and another user could replace it.
    """
    directory, wanted = settings.data_dir, _below(root, settings.data_dir)
    owner = identity_for(wanted, ROOT) or user(ROOT)
    # Not `exists`: a link that leads nowhere is there as well.
    if os.path.lexists(wanted):
        if not _is_data_directory_or_empty(wanted):
            raise NotInstallable(
                f"{directory} is there already, and is no data directory of dicomdock",
                "choose another with --data, or an empty one",
            )
        if owner.name == settings.user:
            return
    if directory.parent == STATE_ROOT:
        return
    made = ("install", "-d", "-m", "0750", str(directory))
    if owner.name == settings.user:
        yield CommandStep(("runuser", "-u", settings.user, "--", *made))
    elif owner.uid in {ROOT, os.geteuid()}:
        yield CommandStep((*made[:2], "-o", settings.user, "-g", settings.user, *made[2:]))
    else:
        raise NotInstallable(
            f"{directory} would be in a directory of {owner}, who could replace it",
            f"choose another with --data, or let the service run as {owner} with --user",
        )


def _is_data_directory_or_empty(directory: Path) -> bool:
    """Return whether a directory is a data directory, or has nothing that anybody would miss."""
    try:
        names = {entry.name for entry in os.scandir(directory)}
    except OSError:
        return False
    is_data = "config.json" in names and not names.isdisjoint(_MARKS)
    return not directory.is_symlink() and (is_data or names <= _OF_NEW_STORAGE)


def _write(path: Path, text: str) -> None:
    """Replace a file by one rename, so that systemd never reads half of it."""
    beside = path.with_name(f".{path.name}.new")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
            path.parent.chmod(0o755)
        beside.write_text(text, "utf-8")
        beside.chmod(0o644)  # the umask of commands closes it to others
        beside.replace(path)
    except OSError as error:
        raise StepFailed(f"{path}: {error.strerror}", "check the directory") from error


def _run(words: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StepFailed(f"{shlex.join(words)}: {error}", "run it by hand") from error
    if done.returncode:
        why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise StepFailed(f"{shlex.join(words)}: {why}", "correct that, then do it again")
