"""Scripts in the configuration: what can't be parsed is as bad as any other setting."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import InvalidSite
from engine.model.site_script import SITE_SCRIPT

if TYPE_CHECKING:
    from engine.errors import Problem
    from engine.model.site_script import SiteScript

_FIELD = f"site.{SITE_SCRIPT}"
_REMEMBERED = 16
"""Every command reads the configuration, some with its history."""


def require_script(script: SiteScript) -> None:
    """Check the site's script, if there is any.

    Raises:
        InvalidSite: naming line, column and remedy.
    """
    problems = _problems(script.text) if script.text.strip() else ()
    if problems:
        raise InvalidSite(*problems)


@lru_cache(_REMEMBERED)
def _problems(text: str) -> tuple[Problem, ...]:
    from engine.anonymize import Script, ScriptError  # Lark and pydicom, which take a while

    try:
        Script.parse(text, _FIELD)
    except ScriptError as error:
        return tuple(replace(problem, field=_FIELD) for problem in error.problems)
    return ()
