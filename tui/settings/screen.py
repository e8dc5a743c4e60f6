"""Screen 6: the sections of the site's settings, projects, alert targets and study routes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.errors import EngineError
from tui.engine_client import Fetch, SettingsCommand, SwitchRequested
from tui.keys import Scope
from tui.settings.tables import (
    NO_ROUTES,
    PROJECT_FIELDS,
    ROUTE_FIELDS,
    SECTIONS,
    ProjectsTable,
    SectionsTable,
    StudyRoutesTable,
    TargetsTable,
    facts_as_text,
    project_facts,
    project_fields,
    project_rows,
    route_facts,
    route_fields,
    route_rows,
    section_facts,
    section_rows,
    target_facts,
    target_rows,
)
from tui.shell.details import Details
from tui.shell.health import is_barred
from tui.shell.palette import site_entries
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import counted, safe
from tui.widgets.filter import NO_FILTER, FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts, Panel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.api import EngineSnapshot, EngineView
    from engine.api.study_routes import StudyRoutePage
    from engine.model.alerts import AlertTarget
    from engine.model.project import Project
    from engine.model.site import SiteSettings
    from engine.model.study_route import StudyRoute
    from tui.engine_client import Asker, EngineState
    from tui.shell.screen import ScreenContext
    from tui.widgets.filter import RowFilter


RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class SiteAndProjects:
    """What one look brought."""

    site: SiteSettings
    projects: tuple[Project, ...]
    sessions: Mapping[str, int]
    """By project, of those that have any."""

    def project(self, project_id: str | None) -> Project | None:
        """Return a project that there is."""
        return next((p for p in self.projects if p.id == project_id), None)


class SettingsFetch:
    """Asks the engine once for each revision, and again on request."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._asker = asker
        self._changed = changed
        self._revision = -1
        self._asked_at: datetime | None = None
        self.settings: SiteAndProjects | None = None
        self.problem = ""
        """Why what is known may be old; safe text."""

    def forget(self) -> None:
        """Ask again with the next reading."""
        self._revision = -1
        self._asked_at = None

    def look(self, snapshot: EngineSnapshot) -> None:
        """Ask if the configuration is another one, or the last question failed a while ago."""
        since = snapshot.taken_at - self._asked_at if self._asked_at else None
        waited = since is None or since.total_seconds() >= RETRY_SECONDS
        if snapshot.revision == self._revision and not (self.problem and waited):
            return
        self._revision, self._asked_at = snapshot.revision, snapshot.taken_at
        self._asker.ask(self._fetch)

    async def _fetch(self) -> None:
        try:
            self.settings = await self._asker.engine.call(
                "look at the settings", _settings, about="settings", changes=False, latest=True
            )
            self.problem = ""
        except EngineError as error:
            self.problem = safe(f"not up to date: {error.detail}")
        self._changed()


def _settings(engine: EngineView) -> SiteAndProjects:
    return SiteAndProjects(engine.site(), engine.projects(), engine.sessions.by_project())


OLD_AFTER = timedelta(seconds=5)
WISH = "study routes"


class RoutesFetch:
    """Keeps the newest routes while the screen shows them."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._routes: Fetch[StudyRoutePage] = Fetch("list study routes", asker, changed)
        self._looked_at: datetime | None = None
        self._forced = False

    def forget(self) -> None:
        """Ask again with the next reading; what is known stays until then."""
        self._forced = True

    def look(self, now: datetime) -> None:
        """Ask if what is known is old."""
        old = self._looked_at is None or abs(now - self._looked_at) >= OLD_AFTER
        if old or self._forced:
            self._looked_at = now
            self._routes.want(WISH, _list, now, again=True, at_once=self._forced)
            self._forced = False

    @property
    def routes(self) -> tuple[StudyRoute, ...]:
        """The newest ones; none while nothing is known."""
        return self._routes.answer.routes if self._routes.answer else ()

    @property
    def total(self) -> int | None:
        """How many there are; None while nothing is known."""
        return self._routes.answer.total if self._routes.answer else None

    @property
    def problem(self) -> str:
        """Why what is known may be old; safe text."""
        problem = self._routes.problem
        return safe(f"not up to date: {problem.detail}") if problem else ""

    def route(self, study_instance_uid: str | None) -> StudyRoute | None:
        """Return the route of a study, if it is known."""
        return next((r for r in self.routes if r.study_instance_uid == study_instance_uid), None)


def _list(engine: EngineView) -> StudyRoutePage:
    return engine.study_routes.list()


NO_PROJECTS = (
    "there are no projects yet",
    "{settings.new} adds one; until then everything is Unassigned",
)
LISTS = {"projects": "projects", "alerts": "targets", "studies": "routes"}
"""The panel with the list of a section that has one."""
FILTERS = {"projects": "#filter", "studies": "#routes-filter"}
NO_TARGETS = ("there is no alert target", "{settings.new} adds a program or a webhook")


class SiteScreen(ConsoleScreen):
    """Sections at the left, what is in force at the right; asks for changes by message."""

    PLACE = "site"
    SCOPES = (Scope.SETTINGS, Scope.SITE)
    PANELS = ("sections", "projects", "targets", "routes", "chosen")
    AUTO_FOCUS = "#sections-table"
    CSS_PATH = "style.tcss"

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._known = SettingsFetch(self, self.show_again)
        self._routes = RoutesFetch(self, self.show_again)
        self._drawn: tuple[SiteAndProjects | None, RowFilter] = (None, NO_FILTER)

    def compose_body(self) -> ComposeResult:
        """Build the list of sections, and what each of them shows."""
        with Horizontal(id="body"):
            with Panel("Settings", id="sections"):
                yield SectionsTable(id="sections-table")
            with Vertical(id="right", classes="panels"):
                with Panel("Projects", id="projects"):
                    yield ProjectsTable(id="projects-table")
                    yield FilterBar(
                        PROJECT_FIELDS,
                        blink=self.frame.blink,
                        placeholder="words, !word, alias:neuro, script:off …",
                    )
                with Panel("Alert targets", id="targets"):
                    yield TargetsTable(id="targets-table")
                with Panel("Study routes", id="routes"):
                    yield StudyRoutesTable(id="routes-table")
                    yield FilterBar(
                        ROUTE_FIELDS,
                        blink=self.frame.blink,
                        placeholder="words, !word, study:1.2.840, project:neuro …",
                        id="routes-filter",
                    )
                with Panel("In force", id="chosen"), VerticalScroll(classes="scroll"):
                    yield Facts(id="facts")

    # What is shown

    def on_screen_resume(self) -> None:
        """Count sessions again: their number changes without a new revision."""
        self._known.forget()
        self._routes.forget()
        super().on_screen_resume()

    @property
    def section(self) -> str:
        """The section under the cursor."""
        return self.query_one(SectionsTable).chosen or SECTIONS[0].name

    def filter_bar(self) -> FilterBar | None:
        """Return the filter line of the section's list, if that has one."""
        if not self._built or self.section not in FILTERS:
            return None
        return self.query_one(FILTERS[self.section], FilterBar)

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show what is known of the settings; ask if they are others now."""
        self._known.look(snapshot)
        self._routes.look(snapshot.taken_at)
        settings = self._known.settings
        site = settings.site if settings else None
        projects = settings.projects if settings else ()
        routes = self._routes.total
        self.query_one(SectionsTable).show(section_rows(site, len(projects), routes))
        self.panel("sections").describe("", self._known.problem)
        if settings is not None:
            self._show_projects(settings)
            targets = target_rows(settings.site.alerts.targets)
            self.query_one(TargetsTable).show(targets, self.invited(*NO_TARGETS))
            self.panel("targets").describe(str(len(targets)))
            self._show_routes(snapshot.taken_at)
            self._show_section()

    def _show_projects(self, settings: SiteAndProjects) -> None:
        bar, projects = self.query_one("#filter", FilterBar), settings.projects
        bar.offer(lambda: map(project_fields, projects))
        drawn, self._drawn = self._drawn, (settings, bar.wanted)
        # The rows of 10,000 projects take 0.3 s (2026), and this is called for every reading.
        if drawn[0] is settings and drawn[1] == bar.wanted:
            return
        found = [p for p in projects if bar.wanted.matches(project_fields(p))]
        rows = project_rows(found, settings.sessions)
        self.query_one(ProjectsTable).show(rows, bar.empty(self.invited(*NO_PROJECTS)))
        title = bar.count(len(found), len(projects))
        self.panel("projects").describe(title)

    def _show_routes(self, now: datetime) -> None:
        bar, routes = self.query_one("#routes-filter", FilterBar), self._routes.routes
        bar.offer(lambda: map(route_fields, routes))
        found = [r for r in routes if bar.wanted.matches(route_fields(r))]
        table = self.query_one(StudyRoutesTable)
        table.show(route_rows(found, now), bar.empty(self.invited(*NO_ROUTES)))
        total = self._routes.total or 0
        title = bar.count(len(found), len(routes)) if bar.wanted else f"{total:,}"
        older = f"   only the newest {len(routes):,} are listed" if len(routes) < total else ""
        self.panel("routes").describe(title + older, self._routes.problem)

    def _show_section(self) -> None:
        for section in SECTIONS:
            self.set_class(section.name == self.section, f"-at-{section.name}")
        title, facts = self._chosen_facts()
        self.query_one(Facts).show(facts)
        self.panel("chosen").describe(title)
        self.refresh_bindings()

    def _chosen_facts(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        settings = self._known.settings
        if settings is None:
            return "", ()
        project, target = self._project(), self._target()
        if self.section == "projects":
            sessions = settings.sessions.get(project.id, 0) if project else 0
            return (safe(project.id), project_facts(project, sessions)) if project else ("", ())
        route, snapshot = self._route(), self.shown_reading.snapshot
        if route is not None and snapshot is not None:
            return safe(route.study_instance_uid), route_facts(route, snapshot.taken_at)
        about = next(s.about for s in SECTIONS if s.name == self.section)
        facts = section_facts(self.section, settings.site)
        return about, (*facts, *target_facts(target)) if target else facts

    def _project(self) -> Project | None:
        settings = self._known.settings
        if settings is None or self.section != "projects":
            return None
        return settings.project(self.query_one(ProjectsTable).chosen)

    def _target(self) -> AlertTarget | None:
        settings = self._known.settings
        if settings is None or self.section != "alerts" or self.focused_panel() != "targets":
            return None
        return settings.site.alerts.target(self.query_one(TargetsTable).chosen or "")

    def _route(self) -> StudyRoute | None:
        if self.section != "studies":
            return None
        return self._routes.route(self.query_one(StudyRoutesTable).chosen)

    def details(self) -> Details | None:
        """Return the section, project, target or route that is shown."""
        settings = self._known.settings
        if settings is None:
            return None
        about, facts = self._chosen_facts()
        label = next(s.label for s in SECTIONS if s.name == self.section)
        title = f"{label}: {about}" if about else label
        return Details(title, facts_as_text(facts), {name: value for name, value in facts if name})

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer every section to edit, wherever the cursor is."""
        if not self.frame.read_only and self._known.settings is not None:
            for section in SECTIONS:
                if section.name not in ("projects", "studies"):
                    shown = "e" if section.name == self.section else ""
                    edit = partial(self.post_message, SettingsCommand("edit", section.name))
                    name = f"settings: Edit {section.label.casefold()}"
                    yield PaletteEntry(name, section.about, shown, edit)
            new = partial(self.post_message, SettingsCommand("new", "projects"))
            yield PaletteEntry("settings: New project", "add a project", "", new)
            new = partial(self.post_message, SettingsCommand("new", "alerts"))
            yield PaletteEntry("settings: New alert target", "a program or a webhook", "", new)
            new = partial(self.post_message, SettingsCommand("new", "studies"))
            yield PaletteEntry(
                "settings: New study route", "where an announced study goes", "", new
            )
            yield from self._target_offers(self._known.settings)
            yield from self._project_offers(self._known.settings)
        yield from site_entries(self)
        yield from self.key_entries(Scope.VIEW)

    def _target_offers(self, settings: SiteAndProjects) -> Iterator[PaletteEntry]:
        for target in settings.site.alerts.targets:
            test = partial(self.post_message, SettingsCommand("test", "alerts", target.name))
            name = f"alerts: Test {safe(target.name)}"
            yield PaletteEntry(name, f"sends a test alert by {safe(target.shown)}", "", test)

    def _project_offers(self, settings: SiteAndProjects) -> Iterator[PaletteEntry]:
        for project in settings.projects:
            name = safe(project.id)
            detail = f"{counted(settings.sessions.get(project.id, 0), 'session')} here"
            for action in ("edit", "delete"):
                run = partial(self.post_message, SettingsCommand(action, "projects", project.id))
                asks = " (asks)" if action == "delete" else ""
                yield PaletteEntry(f"project: {action.capitalize()} {name}", detail + asks, "", run)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the filter only where there is something to filter."""
        if action == "filter" and self.filter_bar() is None:
            return False
        return super().check_action(action, parameters)

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the section has not, grey what it has not now."""
        if action == "switch_receivers":
            return self.has_content and is_barred(self._engine_state.snapshot) is parameters[0]
        if action != "settings" or not self._built:
            return super().check_own(action, parameters)
        if self._known.settings is None:
            return False
        chosen = bool(self._project() or self._target() or self._route())
        match parameters[0]:
            case "new":
                return self.section in LISTS
            case "delete":
                return (chosen or None) if self.section in LISTS else False
            case "test":
                targets = self._known.settings.site.alerts.targets
                return (bool(targets) or None) if self.section == "alerts" else False
            case _:
                return self.section not in ("projects", "studies") or chosen or None

    def action_settings(self, action: str) -> None:
        """Ask for an action on the section, or on the row of its list under the cursor."""
        project, target, route = self._project(), self._target(), self._route()
        name = project.id if project else target.name if target else ""
        name = route.study_instance_uid if route else name
        self.post_message(SettingsCommand(action, self.section, "" if action == "new" else name))

    def action_switch_receivers(self, allowed: bool) -> None:
        """Ask to allow DICOM receivers on this site, or none."""
        self.post_message(SwitchRequested(allowed=allowed))

    def action_open(self) -> None:
        """Go into the list of a section that has one, else show everything about the row."""
        if self.focused_panel() == "sections" and self.section in LISTS:
            self.query_one(f"#{LISTS[self.section]}-table").focus()
        else:
            super().action_open()

    # What happens

    @on(LiveTable.Chosen)
    def _row_chosen(self) -> None:
        if self._built:
            self._show_section()

    def on_descendant_focus(self) -> None:
        """Show the target once its list has the focus."""
        if self._built and self.section == "alerts":
            self._show_section()
