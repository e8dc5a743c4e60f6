"""The list of study routes, and its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.forms.row_filter import folded
from tui.text import moment, safe
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.model.study_route import StudyRoute

ROUTE_FIELDS = ("study", "project", "subject", "session", "by")
"""What a filter can ask for by name."""
NO_ROUTES = ("no study is announced", "n says where one goes before it comes")


class StudyRoutesTable(LiveTable):
    """Studies that were announced, the newest first unless sorted."""

    NOUN = "study route"
    UNSORTED = "newest first"
    HELP_TITLE = "Study routes"
    HELP = (
        "Where studies go that were announced before their objects come, at receivers whose "
        "identifier is studyRouting. A route is gone once the study's session is archived. "
        "`dicomdock study-routes` lists, imports (CSV) and removes them as well."
    )
    COLUMNS = (
        Column("study", "Study Instance UID", 24, flexible=True, max_width=64),
        Column("project", "Project", 12),
        Column("subject", "Subject", 12),
        Column("session", "Session", 14),
        Column("by", "Added by", 12, at_least=110, flexible=True, max_width=20),
        Column("at", "Added", 16, at_least=110),
    )


def route_fields(route: StudyRoute) -> dict[str, str]:
    """Return what a filter looks at."""
    return folded(
        study=route.study_instance_uid,
        project=route.project,
        subject=route.subject,
        session=route.session,
        by=route.added_by,
    )


def route_rows(routes: Iterable[StudyRoute], now: datetime) -> list[TableRow]:
    """Return the rows of routes."""
    return [
        TableRow(
            route.study_instance_uid,
            {
                "study": Cell(safe(route.study_instance_uid), Tone.STRONG),
                "project": Cell(safe(route.project)),
                "subject": _label(route.subject),
                "session": _label(route.session),
                "by": Cell(safe(route.added_by) or "–", Tone.MUTED),
                "at": Cell(
                    moment(route.added_at, now) if route.added_at else "–",
                    Tone.MUTED,
                    route.added_at.timestamp() if route.added_at else 0.0,
                ),
            },
        )
        for route in routes
    ]


def _label(text: str) -> Cell:
    return Cell(safe(text)) if text else Cell("from object", Tone.MUTED)
