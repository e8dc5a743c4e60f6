"""Whether an object is wanted: by the filter of the site, then by that of its project (XNAT 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ProcessingFailed
from engine.model.series_filter import parse_series_filter
from engine.routing import RuleError

if TYPE_CHECKING:
    from engine.intake.header import HeaderView
    from engine.model.project import ProjectRegistry
    from engine.model.session_settings import SessionSettings


def excluded_by(
    header: HeaderView, project: str | None, settings: SessionSettings, projects: ProjectRegistry
) -> str:
    """Name the filter, and its line, by which an object is not wanted; nothing if it is.

    Raises:
        ProcessingFailed: if a pattern takes too long; nobody knows then whether it is wanted.
    """
    texts = [("site", settings.series_filter)]
    if project is not None:
        texts.append((f"project {project}", projects.series_filters.get(project, "")))
    try:
        for whose, text in texts:
            why = parse_series_filter(text).excludes(header.joined) if text else ""
            if why:
                return f"filtered by the {whose}'s series import filter, {why}"
    except RuleError as error:
        raise ProcessingFailed(f"a series import filter failed: {error.detail}") from error
    return ""


def last_filter_tag(settings: SessionSettings, projects: ProjectRegistry) -> int:
    """Return the greatest tag that a filter asks for, whatever project an object belongs to."""
    texts = (settings.series_filter, *projects.series_filters.values())
    return max((parse_series_filter(text).last_tag for text in texts if text), default=0)
