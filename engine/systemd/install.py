"""Installs dicomdock as a systemd service: what is to be done, what is in the way, and doing it."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.systemd.units import NAME, STATE_ROOT, units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.systemd.units import ServiceSettings, Unit

COMMAND_SECONDS = 120


class NotInstallable(EngineError):
    """The service can't be installed here, or by this user; nothing was changed."""

    title = "The service is not installed"
    exit_code = 2


class StepFailed(EngineError):
    """One step of the installation failed; those before it are done."""

    title = "The service is not completely installed"


@dataclass(frozen=True, slots=True)
class Command:
    """One command to run."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def steps(settings: ServiceSettings) -> tuple[Unit | Command, ...]:
    """Return what is to be done, in this order; doing it again changes nothing."""
    service, socket, user = units(settings)
    return (
        service,
        socket,
        user,
        Command(("systemd-sysusers", str(user.path))),
        *_data_directory(settings),
        Command(("systemctl", "daemon-reload")),
        Command(("systemctl", "enable", "--now", f"{NAME}.socket", f"{NAME}.service")),
    )


def obstacle(root: Path = Path("/"), user_id: int | None = None) -> NotInstallable | None:
    """Return why the service can't be installed here; None if nothing is in the way."""
    if not (root / "run/systemd/system").is_dir():
        return NotInstallable(
            "systemd does not run here",
            "run `dicomdock engine` under the supervisor that does, or take the units along: "
            "dicomdock service print",
        )
    if (os.geteuid() if user_id is None else user_id) != 0:
        return NotInstallable("only root may install a service", "run it again with sudo")
    return None


def install(
    settings: ServiceSettings,
    say: Callable[[str], None],
    root: Path = Path("/"),
    run: Callable[[tuple[str, ...]], None] | None = None,
) -> None:
    """Do all steps, each said before it is done.

    Raises:
        StepFailed: if one can't be done.
    """
    for step in steps(settings):
        say(in_words(step))
        if isinstance(step, Command):
            (run or _run)(step.words)
        else:
            _write(root / step.path.relative_to("/"), step.text)


def in_words(step: Unit | Command) -> str:
    """Say what a step does."""
    return f"run {step}" if isinstance(step, Command) else f"write {step.path}"


def _data_directory(settings: ServiceSettings) -> Iterator[Command]:
    """Make the directory, unless systemd does so."""
    if settings.data_dir.parent != STATE_ROOT:
        owner = ("-o", settings.user, "-g", settings.user)
        yield Command(("install", "-d", *owner, "-m", "0750", str(settings.data_dir)))


def _write(path: Path, text: str) -> None:
    """Put a file in the place of another at once, so that nobody reads half of one."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        beside.chmod(0o644)
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
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise StepFailed(f"{shlex.join(words)}: {why[0]}", "mend that, then install again")
