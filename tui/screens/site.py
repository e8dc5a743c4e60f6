"""Screen 6: what holds for the whole site, and its projects; each section opens in a form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from tui.bindings import Scope
from tui.forms.settings_words import (
    SECTIONS,
    facts_as_text,
    project_facts,
    route_facts,
    section_facts,
    target_facts,
)
from tui.link import SettingsCommand, SwitchRequested
from tui.screens.console_screen import ConsoleScreen
from tui.screens.known_routes import KnownRoutes
from tui.screens.known_settings import KnownSettings
from tui.screens.offers import Offer, key_offers, site_offers
from tui.text import counted, safe
from tui.widgets.banners import is_barred
from tui.widgets.facts import Facts
from tui.widgets.filter_bar import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Panel
from tui.widgets.row_details import Details
from tui.widgets.settings_tables import (
    PROJECT_FIELDS,
    ProjectsTable,
    SectionsTable,
    TargetsTable,
    project_fields,
    project_rows,
    section_rows,
    target_rows,
)
from tui.widgets.study_routes_table import (
    NO_ROUTES,
    ROUTE_FIELDS,
    StudyRoutesTable,
    route_fields,
    route_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from textual.app import ComposeResult

    from engine.model.alerts import AlertTarget
    from engine.model.project import Project
    from engine.model.study_route import StudyRoute
    from engine.view import EngineSnapshot
    from tui.link import Reading
    from tui.screens.console_screen import Frame
    from tui.screens.known_settings import Settings

NO_PROJECTS = ("there are no projects yet", "n adds one; until then everything is Unassigned")
LISTS = {"projects": "projects", "alerts": "targets", "studies": "routes"}
"""The panel with the list of a section that has one."""
FILTERS = {"projects": "#filter", "studies": "#routes-filter"}
NO_TARGETS = ("nobody is told when something is wrong", "n adds a program or a webhook")


class SiteScreen(ConsoleScreen):
    """Sections at the left, what is in force at the right; asks for changes by message."""

    PLACE = "site"
    SCOPES = (Scope.SETTINGS, Scope.SITE)
    PANELS = ("sections", "projects", "targets", "routes", "chosen")
    AUTO_FOCUS = "#sections-table"
    CSS_PATH = "../styles/site.tcss"

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self._known = KnownSettings(self.ask, self.show_again)
        self._routes = KnownRoutes(self.ask, self.show_again)

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
        """Count sessions again: that they change is told by no revision."""
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

    def show_panels(self, reading: Reading, snapshot: EngineSnapshot) -> None:
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

    def _show_projects(self, settings: Settings) -> None:
        bar, projects = self.query_one("#filter", FilterBar), settings.projects
        found = [p for p in projects if bar.wanted.matches(project_fields(p))]
        rows = project_rows(found, settings.sessions)
        self.query_one(ProjectsTable).show(rows, bar.empty(self.invited(*NO_PROJECTS)))
        title = bar.count(len(found), len(projects)) if bar.wanted else str(len(projects))
        self.panel("projects").describe(title)

    def _show_routes(self, now: datetime) -> None:
        bar, routes = self.query_one("#routes-filter", FilterBar), self._routes.routes
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
            sessions = settings.sessions.get(project.id) if project else None
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

    def offers(self) -> Iterator[Offer]:
        """Offer every section to edit, wherever the cursor is."""
        if not self.frame.read_only and self._known.settings is not None:
            for section in SECTIONS:
                if section.name not in ("projects", "studies"):
                    shown = "e" if section.name == self.section else ""
                    edit = partial(self.post_message, SettingsCommand("edit", section.name))
                    name = f"settings: Edit {section.label.casefold()}"
                    yield Offer(name, section.about, shown, edit)
            new = partial(self.post_message, SettingsCommand("new", "projects"))
            yield Offer("settings: New project", "add a project", "", new)
            new = partial(self.post_message, SettingsCommand("new", "alerts"))
            yield Offer("settings: New alert target", "a program or a webhook", "", new)
            new = partial(self.post_message, SettingsCommand("new", "studies"))
            yield Offer("settings: New study route", "where an announced study goes", "", new)
            yield from self._target_offers(self._known.settings)
            yield from self._project_offers(self._known.settings)
        yield from site_offers(self)
        yield from key_offers(self, (Scope.VIEW,))

    def _target_offers(self, settings: Settings) -> Iterator[Offer]:
        for target in settings.site.alerts.targets:
            test = partial(self.post_message, SettingsCommand("test", "alerts", target.name))
            name = f"alerts: Test {safe(target.name)}"
            yield Offer(name, f"sends a test alert by {safe(target.shown)}", "", test)

    def _project_offers(self, settings: Settings) -> Iterator[Offer]:
        for project in settings.projects:
            name = safe(project.id)
            detail = f"{counted(settings.sessions.get(project.id, 0), 'session')} here"
            for action in ("edit", "delete"):
                run = partial(self.post_message, SettingsCommand(action, "projects", project.id))
                asks = " (asks)" if action == "delete" else ""
                yield Offer(f"project: {action.capitalize()} {name}", detail + asks, "", run)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the filter only where there is something to filter."""
        if action == "filter" and self.filter_bar() is None:
            return False
        return super().check_action(action, parameters)

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the section has not, grey what it has not now."""
        if action == "switch_receivers":
            return self.has_content and is_barred(self._reading.snapshot) is parameters[0]
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
