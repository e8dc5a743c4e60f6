"""The processor class *Command*: its parameters and their check."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.processor import Location, ParameterKind, ProcessorClass, ProcessorParameter
from engine.model.session import SessionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.processor import Processor
    from engine.processing.contract import Settings

CLASS_ID = "command"
MAX_AT_ONCE = 8


class When(StrEnum):
    """For which change of a session a program runs."""

    READY = "ready"
    """It is built, and may go on to the archive while the program runs."""
    ARCHIVED = "archived"
    """It is in the archive, alone or merged with what was there."""


STATUS_OF = {When.READY: SessionStatus.READY, When.ARCHIVED: SessionStatus.ARCHIVED}

_PARAMETERS = (
    ProcessorParameter(
        "program",
        "Program",
        "write the absolute path of a program that this user may run",
        ParameterKind.FILE,
        required=True,
    ),
    ProcessorParameter(
        "arguments", "Arguments", "write one argument per line; no shell", ParameterKind.LINES
    ),
    ProcessorParameter(
        "when",
        "When",
        "choose for which change of a session it runs",
        ParameterKind.CHOICE,
        default=When.READY.value,
        choices=tuple(when.value for when in When),
    ),
    ProcessorParameter(
        "timeout_seconds",
        "Time limit",
        "write the seconds after which it is killed",
        ParameterKind.NUMBER,
        default="300",
        minimum=1,
        maximum=86_400,
    ),
    ProcessorParameter(
        "at_once",
        "At once",
        "write how many may run at a time",
        ParameterKind.NUMBER,
        default="1",
        minimum=1,
        maximum=MAX_AT_ONCE,
    ),
)


@dataclass(frozen=True, slots=True)
class Program:
    """The parameters of a Command processor."""

    id: int
    """The number of the processor."""
    label: str
    argv: tuple[str, ...] = field(repr=False)
    status: SessionStatus
    """For which it runs."""
    seconds: float
    at_once: int


class Command:
    """Runs an external program for each finished session."""

    info = ProcessorClass(
        CLASS_ID,
        "Command",
        "Runs a program for each session that became ready or archived, with a description of it"
        " as JSON on standard input; not for each object.",
        locations=(Location.AFTER_SESSION_COMPLETE,),
        parameters=_PARAMETERS,
    )

    def check(self, settings: Settings) -> Iterable[Problem]:
        """Yield why the program can't be run."""
        name = settings.text("program")
        fault = _fault(Path(name)) if name else ""
        if fault:
            remedy = "name a program on the engine's machine that its user may run"
            yield Problem("program", name[:80], fault, remedy)


def program_of(processor: Processor, settings: Settings) -> Program:
    """Return the program that a processor means."""
    return Program(
        id=processor.id,
        label=processor.label,
        # A list, never a shell: nothing in an argument has a meaning but for the program.
        argv=(settings.text("program"), *settings.text("arguments").splitlines()),
        status=STATUS_OF[When(settings.text("when"))],
        seconds=settings.number("timeout_seconds"),
        at_once=min(settings.number("at_once"), MAX_AT_ONCE),
    )


def _fault(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"can't be looked at ({(error.strerror or str(error)).lower()})"
    if not stat.S_ISREG(mode):
        return "is no file"
    return "" if os.access(path, os.X_OK) else "may not be run by this user"
