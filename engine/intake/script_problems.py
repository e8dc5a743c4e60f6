"""What keeps a text from being a DicomEdit script, for parameters and tables of processors."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.errors import Problem

_REMEMBERED = 64


@lru_cache(_REMEMBERED)
def script_problems(field: str, text: str) -> tuple[Problem, ...]:
    """Return every problem of a script, for the field that it is in."""
    from engine.anonymize import Script, ScriptError  # Lark and pydicom, which take a while

    try:
        Script.parse(text, field)
    except ScriptError as error:
        return tuple(replace(problem, field=field) for problem in error.problems)
    return ()


def script_fault(text: str) -> str:
    """Say where a script is wrong, without any text of it; nothing if it is good."""
    problems = script_problems("script", text)
    return f"it is not acceptable at its {problems[0].place()}" if problems else ""
