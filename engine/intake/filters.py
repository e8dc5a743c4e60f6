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


class SeriesFilters:
    """The filters of the site and of all projects, put together once per configuration."""

    def __init__(self, settings: SessionSettings, projects: ProjectRegistry) -> None:
        texts: dict[str | None, str] = {None: settings.series_filter}
        texts.update(projects.series_filters.items())
        self._filters = {whose: parse_series_filter(text) for whose, text in texts.items() if text}
        """By project; None is the site."""
        self.are_any = bool(self._filters)
        self.last_tag = max((f.last_tag for f in self._filters.values()), default=0)
        """The greatest tag that one asks for, whatever project an object belongs to."""

    def excluded_by(self, header: HeaderView, project: str | None) -> str:
        """Name the filter, and its line, by which an object is not wanted; nothing if it is.

        Raises:
            ProcessingFailed: if a pattern takes too long; nobody knows then whether it is wanted.
        """
        try:
            for whose in (None,) if project is None else (None, project):
                series_filter = self._filters.get(whose)
                why = series_filter.excludes(header.joined) if series_filter else ""
                if why:
                    owner = "site" if whose is None else f"project {whose}"
                    return f"filtered by the {owner}'s series import filter, {why}"
        except RuleError as error:
            raise ProcessingFailed(f"a series import filter failed: {error.detail}") from error
        return ""
