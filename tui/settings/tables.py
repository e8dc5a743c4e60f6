"""The tables of the settings screen, and the settings described in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.alerts import AlertKind
from engine.model.project import AutoArchive
from engine.model.routing import ATTRIBUTES
from tui.settings.projects import script_words
from tui.settings.site_forms import (
    AUTO_ARCHIVE_WORDS,
    DUPLICATE_WORDS,
    STORAGE,
    ReceiversForm,
    example_name,
    section_words,
)
from tui.text import count, counted, moment, safe, with_unit
from tui.theme import Tone
from tui.widgets.filter import NO_FILTER, folded
from tui.widgets.live_table import LiveTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.model.alerts import AlertTarget
    from engine.model.anonymization import ProfileSettings
    from engine.model.project import Project
    from engine.model.site import SiteSettings
    from engine.model.study_route import StudyRoute
    from tui.widgets.filter import RowFilter


Fact = tuple[str, str]
MAX_LINES = 60
"""Lines of a text that are shown; all of them are in its editor."""


@dataclass(frozen=True, slots=True)
class Section:
    """One group of settings."""

    name: str
    label: str
    about: str
    """What it is for, in a sentence."""


SECTIONS = (
    Section("receivers", "Receivers", "the switch over all receivers, ports, limits for peers"),
    Section("routing", "Routing", "rules for the objects of all receivers"),
    Section("anonymization", "Anonymization", "what is done to objects on receipt"),
    Section("sessions", "Sessions", "when they are complete, file names, filter, free space"),
    Section("alerts", "Alerts", "who gets alerts"),
    Section("studies", "Study routes", "where studies go that are announced before they come"),
    Section("projects", "Projects", "what received sessions are sorted into"),
)


def section_facts(section: str, site: SiteSettings) -> tuple[Fact, ...]:
    """Return names and values of a section; safe text."""
    found = {
        "receivers": _receivers,
        "routing": _routing,
        "anonymization": _anonymization,
        "sessions": _sessions,
        "alerts": _alerts,
    }.get(section)
    return tuple(found(site)) if found else ()


def project_facts(project: Project, sessions: int) -> tuple[Fact, ...]:
    """Return everything about a project, and how many sessions it has."""
    return (
        ("project", safe(project.id)),
        ("title", safe(project.title) or "–"),
        ("aliases", "\n".join(map(safe, project.aliases)) or "–"),
        ("sessions here", f"{sessions:,}"),
        ("when complete", AUTO_ARCHIVE_WORDS[project.auto_archive]),
        ("archive folder", safe(project.archive_folder)),
        ("series filter", _text(project.series_import_filter)),
        *_steps(
            project.anonymization_script_enabled,
            project.anonymization_script,
            project.profile,
            "before archiving",
        ),
    )


def target_facts(target: AlertTarget) -> tuple[Fact, ...]:
    """Return everything about a target but what may be secret."""
    return (
        ("target", safe(target.name)),
        ("sent to", safe(target.shown)),
        ("alerts", ", ".join(target.kinds)),
    )


def route_facts(route: StudyRoute, now: datetime) -> tuple[Fact, ...]:
    """Return everything about a study route."""
    return (
        ("study UID", safe(route.study_instance_uid)),
        ("project", safe(route.project)),
        ("subject", safe(route.subject) or "as the Patient Name says"),
        ("session", safe(route.session) or "as the Study ID or Accession Number says"),
        ("added by", safe(route.added_by) or "–"),
        ("added", moment(route.added_at, now) if route.added_at else "–"),
    )


def facts_as_text(facts: tuple[Fact, ...]) -> str:
    """Return facts as lines, for reading and copying."""
    lines = []
    for name, value in facts:
        first, *more = value.split("\n")
        lines += [f"{name:<18}{first}", *(f"{'':<18}{line}" for line in more)]
    return "\n".join(lines)


def anonymizes(project: Project) -> str:
    """Say in a word or two what is done to a project's objects."""
    return script_words(project)


def _receivers(site: SiteSettings) -> Iterator[Fact]:
    allowed = (
        "allowed; those that are enabled listen" if site.receivers_allowed else "✗ none listens"
    )
    yield "receivers", allowed
    yield "ports", f"{site.ports.start}–{site.ports.stop - 1}"
    yield "bind address", safe(site.bind_address) or "all addresses"
    for spec in ReceiversForm.SPECS:
        if spec.name in ReceiversForm.LIMITS:
            value = str(getattr(site.limits, spec.name))
            about = " ".join(spec.help.rstrip(".").split())
            yield _without_unit(spec.label), f"{with_unit(spec.name, value):<9}{about}"


def _without_unit(label: str) -> str:
    """Return the label of a number whose unit stands behind it."""
    name = label.casefold().removesuffix(", seconds").replace("pdu", "PDU")
    return name.replace(" seconds", " time").replace(" bytes", " size")


def _routing(site: SiteSettings) -> Iterator[Fact]:
    routing = site.routing
    for name in ATTRIBUTES:
        state = "in force" if routing.is_enabled(name) else "off"
        text = routing.text(name)
        rules = f"\n{_text(text)}" if text.strip() else ", no rules"
        yield name.replace("_", "-"), f"{state}{rules}"
    tolerant = "may stand on lines of their own" if routing.tolerant_comments else "as XNAT"
    yield "comments", tolerant
    yield "asked", "after the rules of the receiver, before the defaults"


def _anonymization(site: SiteSettings) -> Iterator[Fact]:
    yield from _steps(site.script.enabled, site.script.text, site.profile, "on receipt")
    if site.anonymization is None:
        yield "so", "✗ objects are stored as they arrive, whatever a receiver says"


def _steps(enabled: bool, text: str, profile: ProfileSettings, when: str) -> Iterator[Fact]:
    kept = f", keeps {', '.join(profile.retain)}" if profile.retain else ""
    moved = f", moves dates by {profile.shift_days} days" if profile.shift_days else ""
    yield "profile", f"applied {when}{kept}{moved}" if profile.enabled else "off"
    state = f"runs {when}" if enabled else "off, kept" if text.strip() else "none"
    yield "script", state
    if text.strip():
        yield "", _text(text)


def _sessions(site: SiteSettings) -> Iterator[Fact]:
    sessions = site.sessions
    idle = with_unit("idle_seconds", str(sessions.idle_seconds))
    yield "complete after", f"{idle} without an object"
    yield "new projects", AUTO_ARCHIVE_WORDS[site.new_project_auto_archive]
    yield "duplicates", DUPLICATE_WORDS[sessions.duplicates]
    yield "trash", f"kept for {with_unit('trash_days', str(sessions.trash_days))}"
    kept = with_unit("index_days", str(sessions.index_days)) if sessions.index_days else "for ever"
    yield "index", f"knows objects in no session {kept}"
    yield (
        "file names",
        f"{safe(sessions.file_name_template)}\n{example_name(sessions.file_name_template)}",
    )
    yield "series filter", _text(sessions.series_filter)
    for name in STORAGE:
        verb, _, _ = name.partition("_")
        label = "warn below" if verb == "low" else "refuse below"
        yield label, with_unit(name, str(getattr(site.limits, name)))


def _alerts(site: SiteSettings) -> Iterator[Fact]:
    targets = site.alerts.targets
    yield "alerts go to", counted(len(targets), "target") if targets else "nobody"
    again = with_unit("repeat_seconds", str(site.alerts.repeat_seconds))
    yield "same again after", again


def _text(text: str) -> str:
    """Return the first lines of a text, safe to show; a dash for none."""
    lines = text.splitlines()
    shown = ["    ".join(map(safe, line.split("\t"))) for line in lines[:MAX_LINES]]
    more = len(lines) - MAX_LINES
    return "\n".join([*shown, *([f"… {counted(more, 'more line')}"] if more > 0 else [])]) or "–"


PROJECT_FIELDS = ("project", "title", "alias", "archive", "script")
"""Fields of a filter."""
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
        "The row under the cursor is the section that is shown; {settings.edit} edits it. Nothing "
        "is changed before ctrl+s; every change is a revision that can be undone."
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
        # Ids of one site often begin alike.
        Column("project", "Project", 20, flexible=True, max_width=40, middle=True),
        Column("title", "Title", 12, flexible=True, at_least=84),
        Column("aliases", "Aliases", 12, flexible=True, max_width=30),
        Column("archive", "Complete", 9),
        Column("script", "Anonymize", 16),
        Column("filter", "Filter", 6, at_least=60),
        Column("sessions", "Sessions", 8, right=True),
    )


class TargetsTable(LiveTable):
    """Targets of alerts."""

    NOUN = "target"
    UNSORTED = "as configured"
    HELP_TITLE = "Alert targets"
    HELP = (
        "A target is a program of this host or a webhook. Of a webhook only the host is shown, "
        "as the rest of its address may be secret."
    )
    COLUMNS = (
        Column("name", "Name", 14, flexible=True, max_width=32),
        Column("by", "Sent to", 20, flexible=True),
        Column("kinds", "Alerts", 16, flexible=True),
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
    """Return the values that a filter searches, by field."""
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
        _project_row(project, sessions.get(project.id, 0))
        for project in projects
        if wanted.matches(project_fields(project))
    ]


def _project_row(project: Project, sessions: int) -> TableRow:
    script = anonymizes(project)
    cells = {
        "project": Cell(safe(project.id), Tone.STRONG),
        "title": Cell(safe(project.title) or "–"),
        "aliases": Cell(", ".join(map(safe, project.aliases)) or "–"),
        "archive": Cell(_ARCHIVE[project.auto_archive]),
        "script": Cell(script, Tone.MUTED if script in ("–", "off") else Tone.PLAIN),
        "filter": Cell("yes" if project.series_import_filter.strip() else "–"),
        "sessions": Cell(count(sessions), order=sessions),
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


ROUTE_FIELDS = ("study", "project", "subject", "session", "by")
"""Fields of a filter."""
NO_ROUTES = ("no study is announced", "{settings.new} says where one goes before it comes")


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
    """Return the values that a filter searches, by field."""
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
