"""Scripts in the configuration: what can't be parsed is as bad as any other setting."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, InvalidProject, InvalidSite
from engine.model.anonymization import SITE_SCRIPT

if TYPE_CHECKING:
    from engine.errors import Problem
    from engine.model.anonymization import SiteScript
    from engine.model.configuration import Configuration
    from engine.model.project import Project

_FIELD = "anonymization_script"
_REMEMBERED = 64
"""Every command reads the configuration, some with its history."""


def require_script(script: SiteScript) -> None:
    """Check the site's script, if there is any.

    Raises:
        InvalidSite: naming line, column and remedy.
    """
    problems = _problems(script.text, f"site.{SITE_SCRIPT}")
    if problems:
        raise InvalidSite(*problems)


def require_project_script(project: Project) -> None:
    """Check a project's script, if it has any.

    Raises:
        InvalidProject: naming line, column and remedy.
    """
    problems = _problems(project.anonymization_script, _FIELD)
    if problems:
        raise InvalidProject(*problems)


def require_scripts_in_force(configuration: Configuration) -> None:
    """Check every script that runs; what is off may be anything.

    Raises:
        ConfigurationError: naming table, record, line, column and remedy.
    """
    site = configuration.site.script
    problems = list(_problems(site.text, f"site.{SITE_SCRIPT}")) if site.enabled else []
    for project in configuration.projects.projects:
        if project.anonymization_script_enabled:
            where = f"projects[{project.id}].{_FIELD}"
            problems.extend(_problems(project.anonymization_script, where))
    if problems:
        raise ConfigurationError(*problems)


@lru_cache(_REMEMBERED)
def _problems(text: str, field: str) -> tuple[Problem, ...]:
    if not text.strip():
        return ()
    from engine.anonymize import Script, ScriptError  # Lark and pydicom, which take a while

    try:
        Script.parse(text, field)
    except ScriptError as error:
        return tuple(replace(problem, field=field) for problem in error.problems)
    return ()
