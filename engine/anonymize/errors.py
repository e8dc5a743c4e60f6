"""Errors of scripts: at parse time and at run time."""

from __future__ import annotations

from typing import Final

from engine.errors import ConfigurationError, EngineError, Problem

MIGRATION_REMEDY: Final = (
    'put version "6.1" on the first line and check: cond ? action instead of cond : action, '
    "private elements by creator (gggg,{CREATOR}ee), newUID[] instead of new UID"
)


class ScriptError(ConfigurationError):
    """A text is not a valid DicomEdit 6 script; line and column are those of the text."""

    title = "Not a valid anonymization script"
    exit_code = 1

    def __init__(
        self,
        line: int,
        column: int,
        value: str,
        message: str,
        remedy: str,
        name: str = "script",
        further: tuple[Problem, ...] = (),
    ) -> None:
        super().__init__(Problem(name, value, message, remedy, line, column), *further)
        self.line = line
        """1-based."""
        self.column = column
        """1-based."""
        self.value = value
        """The offending text, shortened."""
        self.reason = message


class MissingVersion(ScriptError):
    """A script without a version line, which means the older language DicomEdit 4."""

    def __init__(self, name: str = "script", changes: tuple[Problem, ...] = ()) -> None:
        """Take the further changes that the script needs in DicomEdit 6."""
        message = "there is no version line, so this is a DicomEdit 4 script, which is not run"
        super().__init__(1, 1, "", message, MIGRATION_REMEDY, name, changes)


class ScriptRuntimeError(EngineError):
    """A script failed on an object, which is half edited now and must not be used."""

    title = "The anonymization script failed"

    def __init__(
        self, line: int, statement: str, cause: str, remedy: str = "", name: str = "script"
    ) -> None:
        super().__init__(f"{name} line {line}: {cause}, in {statement}", remedy)
        self.line = line
        """1-based, of the text as written."""
        self.statement = statement
        """The statement as written; scripts hold no patient data."""
        self.cause = cause
        """A clause without element values."""
        self.name = name
        """The name of the script."""


class ScriptTimeout(ScriptRuntimeError):
    """A script took longer than its time limit."""

    title = "The anonymization script took too long"


class UneditableFile(EngineError):
    """A file that is no DICOM file, or one that can't be edited."""

    title = "The file can't be anonymized"


class StatementFailure(Exception):
    """A statement failed; becomes a `ScriptRuntimeError` and never leaves this package."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


class PathFault(Exception):
    """A tag path is not valid at one place; never leaves this package."""

    def __init__(self, offset: int, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.offset = offset
        """0-based, in characters."""
        self.reason = reason
        self.remedy = remedy
