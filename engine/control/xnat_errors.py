"""Errors in the words that clients of XNAT look for, with ours behind them (XNAT 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.control import failures
from engine.errors import ChangedMeanwhile, ConfigurationError, NotFound

if TYPE_CHECKING:
    from engine.errors import EngineError, Problem

PREFIX = "Error [ConfigurationError]: "
_EXISTS = "exists already"


def in_their_words(error: EngineError) -> str:
    """Return an error as plain text, a line for each problem."""
    if isinstance(error, ConfigurationError):
        return "\n".join(f"{PREFIX}{_sentence(problem)}" for problem in error.problems)
    if isinstance(error, NotFound):
        return error.detail
    return f"{error.title}: {error.detail}" + (f"; {error.remedy}" if error.remedy else "")


def status_of(error: EngineError) -> int:
    """Return the HTTP status that XNAT answers such an error with."""
    if isinstance(error, ConfigurationError):
        return 400
    return 409 if isinstance(error, ChangedMeanwhile) else failures.status_of(error)


def _sentence(problem: Problem) -> str:
    theirs = _phrase(problem)
    return f"{theirs}; {problem.sentence()}" if theirs else problem.sentence()


def _phrase(problem: Problem) -> str:
    match problem.field:
        case "aeTitle" if problem.message.endswith(_EXISTS):
            return (
                "Tried to create or update a DICOM SCP receiver with the title and port "
                f"{problem.value}, but one with these exists already"
            )
        case "aeTitle":
            return f"Invalid AE-title: {problem.value}"
        case "whitelist":
            return _whitelist_phrase(problem.value)
        case _:
            return ""


def _whitelist_phrase(item: str) -> str:
    ae_title, at, address = item.partition("@")
    if not at or "@" in address:
        return f"Invalid item in whitelist: {item}"
    if not ae_title.strip():
        return f"Invalid AE-title in whitelist: {ae_title}"
    return f"Invalid Ip Address in whitelist: {address}"
