"""The lists of the settings screen: sections, projects, and who is alerted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.alerts import AlertKind
from engine.model.auto_archive import AutoArchive
from tui.forms.row_filter import NO_FILTER, folded
from tui.forms.settings_words import SECTIONS, anonymizes
from tui.forms.site_forms import section_words
from tui.text import count, safe
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.alerts import AlertTarget
    from engine.model.project import Project
    from engine.model.site import SiteSettings
    from tui.forms.row_filter import RowFilter

PROJECT_FIELDS = ("project", "title", "alias", "archive", "script")
"""What a filter can ask for by name."""
_ARCHIVE = {
    AutoArchive.MANUAL: "manual",
    AutoArchive.ARCHIVE: "archive",
    AutoArchive.OVERWRITE: "overwrite",
}


class SectionsTable(LiveTable):
    """The groups of settings, each with its state in a few words."""

    NOUN = "section"
    UNSORTED = "as they are"
    HELP_TITLE = "Settings"
    HELP = (
        "The row under the cursor is the section that is shown; e edits it. Nothing is changed "
        "before ctrl+s; every change is a revision that can be undone."
    )
    COLUMNS = (
        Column("section", "Section", 13),
        Column("state", "State", 10, flexible=True),
    )


class ProjectsTable(LiveTable):
    """All projects, in the order of the configuration unless sorted."""

    NOUN = "project"
    UNSORTED = "as configured"
    HELP_TITLE = "Projects"
    HELP = (
        "Received sessions are sorted into projects by id or alias. Complete says what becomes of "
        "complete sessions; Anonymize, what runs before they are archived; off means that there "
        "is a script, switched off."
    )
    COLUMNS = (
        Column("project", "Project", 12, flexible=True, max_width=24),
        Column("title", "Title", 12, flexible=True, at_least=84),
        Column("aliases", "Aliases", 12, flexible=True),
        Column("archive", "Complete", 9),
        Column("script", "Anonymize", 16),
        Column("filter", "Filter", 6, at_least=60),
        Column("sessions", "Sessions", 8, right=True),
    )


class TargetsTable(LiveTable):
    """Who is told when something is wrong."""

    NOUN = "target"
    UNSORTED = "as configured"
    HELP_TITLE = "Alert targets"
    HELP = (
        "A target is a program of this host or a webhook. Of a webhook only the host is shown, "
        "as the rest of its address may be secret."
    )
    COLUMNS = (
        Column("name", "Name", 14, flexible=True, max_width=32),
        Column("by", "Told by", 20, flexible=True),
        Column("kinds", "Told of", 16, flexible=True),
    )


def section_rows(
    site: SiteSettings | None, projects: int, routes: int | None = None
) -> list[TableRow]:
    """Return a row for each section; states are left out while nothing is known."""
    words = {**section_words(site), "projects": count(projects)} if site else {}
    words |= {"studies": count(routes) if routes else "none"} if routes is not None else {}
    rows = []
    for section in SECTIONS:
        said = words.get(section.name, "…")
        quiet = said in ("off", "none")
        tone = Tone.ERROR if said.startswith("✗") else Tone.MUTED if quiet else Tone.PLAIN
        cells = {"section": Cell(section.label, Tone.STRONG), "state": Cell(said, tone)}
        rows.append(TableRow(section.name, cells))
    return rows


def project_fields(project: Project) -> dict[str, str]:
    """Return what a filter looks at."""
    return folded(
        project=project.id,
        title=project.title,
        alias=" ".join(project.aliases),
        archive=_ARCHIVE[project.auto_archive],
        script=anonymizes(project),
    )


def project_rows(
    projects: Sequence[Project], sessions: Mapping[str, int], wanted: RowFilter = NO_FILTER
) -> list[TableRow]:
    """Return the rows of all projects that match the filter."""
    return [
        _project_row(project, sessions.get(project.id))
        for project in projects
        if wanted.matches(project_fields(project))
    ]


def _project_row(project: Project, sessions: int | None) -> TableRow:
    script = anonymizes(project)
    number = (
        Cell("?", Tone.MUTED, -1) if sessions is None else Cell(count(sessions), order=sessions)
    )
    cells = {
        "project": Cell(safe(project.id), Tone.STRONG),
        "title": Cell(safe(project.title) or "–"),
        "aliases": Cell(", ".join(map(safe, project.aliases)) or "–"),
        "archive": Cell(_ARCHIVE[project.auto_archive]),
        "script": Cell(script, Tone.MUTED if script in ("–", "off") else Tone.PLAIN),
        "filter": Cell("yes" if project.series_import_filter.strip() else "–"),
        "sessions": number,
    }
    return TableRow(project.id, cells)


def target_rows(targets: Sequence[AlertTarget]) -> list[TableRow]:
    """Return the rows of all targets."""
    return [
        TableRow(
            target.name,
            {
                "name": Cell(safe(target.name), Tone.STRONG),
                "by": Cell(safe(target.shown)),
                "kinds": Cell(_kinds(target)),
            },
        )
        for target in targets
    ]


def _kinds(target: AlertTarget) -> str:
    return "everything" if set(target.kinds) == set(AlertKind) else ", ".join(target.kinds)
