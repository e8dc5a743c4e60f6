"""The commands on site settings and projects, and the switch over all receivers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.model.plugins import PROJECT_FIELD
from engine.model.project import Project, ProjectRegistry
from engine.model.queries import SessionQuery
from engine.model.site import SiteSettings
from tui.engine_client import SITE, EngineCall
from tui.settings.alerts import AlertCommands
from tui.settings.study_routes import StudyRouteCommands
from tui.shell.dialogs import ConfirmDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.api import EngineSnapshot, EngineView
    from engine.api.objects import RecentObject
    from engine.api.scripts import ScriptPreview, ScriptTrial
    from engine.model.alerts import AlertTarget
    from engine.model.processing import RoutingPreview
    from engine.model.receiver import Receiver
    from tui.app import CommandApp
    from tui.engine_client import SettingsCommand
    from tui.settings.dialog import ScriptCalls


RECENT_OBJECTS = 20
"""So many objects can be chosen to try a script on."""


class SettingsCommands:
    """Carries out commands on settings and projects for one console."""

    def __init__(self, app: CommandApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor
        self._alerts = AlertCommands(app, actor)
        self._routes = StudyRouteCommands(app, engine, actor)

    def run(self, command: SettingsCommand) -> None:
        """Carry out a command on a section, a project, an alert target or a study route."""
        name = command.name
        match command.action, command.section:
            case "new", "projects":
                self._with_site(self._new_project)
            case "edit", "projects":
                self._call(f"open project {safe(name)}", lambda engine: _project(engine, name),
                           self._edit_project)  # fmt: skip
            case "delete", "projects":
                self._call(f"look at project {safe(name)}", lambda engine: _fate(engine, name),
                           self._delete_project)  # fmt: skip
            case action, "studies":
                self._routes.run(action, name)
            case "test", "alerts":
                self._with_site(lambda site: self._alerts.test(site, name))
            case "delete", "alerts":
                self._with_site(lambda site: self._delete_target(site, name))
            case action, "alerts" if name or action == "new":
                self._with_site(lambda site: self._target(site, name))
            case _, section:
                self._with_site(lambda site: self._section(section, site))

    # The site

    def _with_site(self, then: Callable[[SiteSettings], None]) -> None:
        self._call("look at the site settings", lambda engine: engine.site(), then)

    def _section(self, section: str, site: SiteSettings) -> None:
        from tui.settings.alerts import AlertsForm
        from tui.settings.dialog import RoutingDialog, ScriptDialog, SettingsDialog
        from tui.settings.site_forms import (
            AnonymizationForm,
            ReceiversForm,
            RoutingForm,
            SessionsForm,
        )

        ways = self._ways_of_site()
        if section == "routing":
            routing = RoutingForm(site)
            dialog: Any = RoutingDialog(routing, preview=self._preview_site, **ways)
        elif section == "anonymization":
            script = AnonymizationForm(site)
            calls = replace(self._script_calls(), usual=self._engine.scripts.default_script)
            dialog = ScriptDialog(script, script.TITLE, calls, **ways)
        else:
            forms = {"receivers": ReceiversForm, "sessions": SessionsForm, "alerts": AlertsForm}
            form = forms[section](site)
            dialog = SettingsDialog(form, form.TITLE, **ways)
        self._app.push_screen(dialog, self._site_saved)

    def _target(self, site: SiteSettings, name: str) -> None:
        from tui.settings.alerts import TargetDialog, TargetForm

        def send(target: AlertTarget) -> None:
            if self._app.may():
                self._alerts.send((target,))

        title = f"Alert target · {safe(name)}" if name else "New alert target"
        dialog = TargetDialog(TargetForm(site, name), title, send=send, **self._ways_of_site())
        self._app.push_screen(dialog, self._site_saved)

    def _delete_target(self, site: SiteSettings, name: str) -> None:
        from tui.settings.alerts import without_target

        target = site.alerts.target(name)
        if target is None:
            return
        changed = SiteSettings.parse(without_target(site, name))
        sentence = f"{safe(name)} ({safe(target.shown)}) is told of nothing any more."
        confirm = ConfirmDialog(f"Delete alert target {safe(name)}?", sentence, "Delete it")
        self._ask(confirm, f"delete alert target {safe(name)}",
                  lambda engine: engine.set_site(changed, self._actor, replacing=site),
                  f"alert target {safe(name)} deleted")  # fmt: skip

    def _ways_of_site(self) -> dict[str, Any]:
        def save(changed: SiteSettings, seen: SiteSettings | None) -> SiteSettings:
            self._engine.set_site(changed, self._actor, replacing=seen)
            return changed

        return {"save": save, "current": self._engine.site, "blink": self._app.blink}

    def _site_saved(self, site: SiteSettings | None) -> None:
        if site is not None:
            self._told("site settings saved")

    def _preview_site(self, site: SiteSettings, shown: bool) -> tuple[RoutingPreview, ...]:
        """Try the site's rules after those of the receiver that each object came to."""
        engine, actor = self._engine, self._actor
        found = [
            preview
            for receiver in [status.receiver for status in engine.snapshot().receivers]
            for preview in (
                engine.shown_routing(receiver, actor, site)
                if shown
                else engine.preview_routing(receiver, site)
            )
        ]
        return tuple(sorted(found, key=lambda preview: preview.at, reverse=True))

    # Scripts

    def _script_calls(self) -> ScriptCalls:
        from tui.settings.dialog import ScriptCalls

        def recent() -> tuple[RecentObject, ...]:
            found = self._engine.objects.recent(limit=RECENT_OBJECTS)
            return tuple(one for one in found if one.as_received or one.reference.file)

        def attempt(trial: ScriptTrial, recent: RecentObject, shown: bool) -> ScriptPreview:
            scripts, reference = self._engine.scripts, recent.reference
            received = recent.as_received
            if shown:
                return scripts.shown_preview(trial, reference, self._actor, as_received=received)
            return scripts.preview(trial, reference, as_received=received)

        scripts = self._engine.scripts
        return ScriptCalls(scripts.check, scripts.left, recent, attempt)

    # Projects

    def _new_project(self, site: SiteSettings) -> None:
        from tui.settings.projects import ProjectForm

        self._open_project(ProjectForm.new(site), "New project")

    def _edit_project(self, project: Project) -> None:
        from tui.settings.projects import ProjectForm

        self._open_project(ProjectForm.edit(project), f"Project · {safe(project.id)}")

    def _open_project(self, form: Any, title: str) -> None:
        from tui.settings.dialog import ScriptDialog

        project_id = form.original.id if form.original else ""
        dialog = ScriptDialog(
            form,
            title,
            self._script_calls(),
            save=lambda changed, seen: self._engine.save_project(
                changed, self._actor, replacing=seen
            ),
            current=lambda: _project(self._engine, project_id),
            blink=self._app.blink,
        )
        self._app.push_screen(dialog, self._project_saved)

    def _project_saved(self, project: Project | None) -> None:
        if project is not None:
            self._told(f"project {safe(project.id)} saved")

    def _delete_project(self, fate: tuple[Project, int, tuple[str, ...]]) -> None:
        from tui.settings.projects import deletion_sentence

        name = safe(fate[0].id)
        confirm = ConfirmDialog(f"Delete project {name}?", deletion_sentence(*fate), "Delete it")
        self._ask(confirm, f"delete project {name}",
                  lambda engine: engine.delete_project(fate[0].id, self._actor),
                  f"project {name} deleted; its sessions stay")  # fmt: skip

    # All of them

    def _call(
        self, what: str, run: Callable[[EngineView], Any], then: Callable[[Any], None]
    ) -> None:
        self._app.call_engine(EngineCall(what, SITE, run, then))

    def _ask(
        self, confirm: ConfirmDialog, what: str, run: Callable[[EngineView], Any], told: str
    ) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._call(what, run, lambda _: self._told(told))

        self._app.push_screen(confirm, answered)

    def _told(self, sentence: str) -> None:
        self._app.refresh_from_engine()
        self._app.show_saved(sentence)


def _project(engine: EngineView, project_id: str) -> Project:
    return ProjectRegistry(engine.projects()).project(project_id)


def _fate(engine: EngineView, project_id: str) -> tuple[Project, int, tuple[str, ...]]:
    """Return a project, how many sessions it has, and the receivers that name it."""
    project = _project(engine, project_id)
    page = engine.sessions.list(SessionQuery(project=project_id), limit=1)
    receivers = [status.receiver for status in engine.snapshot().receivers]
    return project, page.total.sessions, tuple(_naming(project, receivers))


def _naming(project: Project, receivers: list[Receiver]) -> Iterator[str]:
    names = {project.id, *project.aliases}
    for receiver in receivers:
        if dict(receiver.identifier_settings).get(PROJECT_FIELD.name) in names:
            yield receiver.label


class SiteCommands:
    """Carries out commands on the installation for one console."""

    def __init__(self, app: CommandApp, actor: str) -> None:
        self._app = app
        self._actor = actor

    def switch(self, *, allowed: bool) -> None:
        """Allow DICOM receivers, or none; the latter asks first."""

        def decide(site: SiteSettings) -> None:
            snapshot = self._app.engine_state.snapshot
            if site.receivers_allowed == allowed:
                self._app.show_toast(f"DICOM receivers are {_word(allowed)} already")
            elif allowed or snapshot is None:
                self._set(allowed=allowed)
            else:
                sentence = barring_sentence(snapshot)
                confirm = ConfirmDialog("Allow no DICOM receivers?", sentence, "Bar them all")
                self._ask(confirm, lambda: self._set(allowed=False))

        self._call("look at the site settings", lambda engine: engine.site(), decide)

    def _set(self, *, allowed: bool) -> None:
        def change(engine: EngineView) -> None:
            engine.set_site(replace(engine.site(), receivers_allowed=allowed), self._actor)

        def told(_: object) -> None:
            self._app.refresh_from_engine()
            self._app.show_saved(f"DICOM receivers are {_word(allowed)} now")

        self._call("change the site settings", change, told)

    def _call(
        self, what: str, run: Callable[[EngineView], Any], then: Callable[[Any], None]
    ) -> None:
        self._app.call_engine(EngineCall(what, SITE, run, then))

    def _ask(self, screen: ConfirmDialog, then: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self._app.push_screen(screen, answered)


def barring_sentence(snapshot: EngineSnapshot) -> str:
    """Say what switching all receivers off means now."""
    enabled = sum(status.receiver.enabled for status in snapshot.receivers)
    open_now = len(snapshot.associations)
    finish = f"{counted(open_now, 'open association')} may finish" if open_now else ""
    stop = f"{counted(enabled, 'enabled receiver')} will take no associations"
    none = "No association is open."
    return f"{stop} until this is switched on again. {finish + '.' if finish else none}"


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "not allowed"
