"""The commands on site settings and projects, and the switch over all receivers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from engine.model.plugins import PROJECT_FIELD
from engine.model.project import Project, ProjectRegistry
from engine.model.queries import SessionQuery
from engine.model.site import SiteSettings
from tui.engine_client import SITE
from tui.settings.alerts import AlertCommands
from tui.settings.study_routes import StudyRouteCommands
from tui.shell.dialogs import QuestionDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.api import EngineSnapshot, EngineView
    from engine.model.alerts import AlertTarget
    from engine.model.receiver import Receiver
    from tui.engine_client import SettingsCommand
    from tui.settings.projects import ProjectForm
    from tui.shell.engine_app import EngineApp


T = TypeVar("T")


class SettingsCommands:
    """Carries out commands on settings and projects for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor
        self._alerts = AlertCommands(app)
        self._routes = StudyRouteCommands(app)

    async def run(self, command: SettingsCommand) -> None:
        """Carry out a command on a section, a project, an alert target or a study route."""
        name = command.name
        match command.action, command.section:
            case "new", "projects":
                await self._new_project()
            case "edit", "projects":
                await self._edit_project(name)
            case "delete", "projects":
                await self._delete_project(name)
            case action, "studies":
                await self._routes.run(action, name)
            case "test", "alerts":
                await self._alerts.test(await self._site(), name)
            case "delete", "alerts":
                await self._delete_target(await self._site(), name)
            case action, "alerts" if name or action == "new":
                await self._edit_target(await self._site(), name)
            case _, section:
                await self._edit_section(section, await self._site())

    # The site

    async def _site(self) -> SiteSettings:
        return await self._call("look at the site settings", lambda engine: engine.site())

    async def _edit_section(self, section: str, site: SiteSettings) -> None:
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
            dialog: Any = RoutingDialog(routing, routing.TITLE, **ways)
        elif section == "anonymization":
            script = AnonymizationForm(site)
            dialog = ScriptDialog(script, script.TITLE, has_default=True, **ways)
        else:
            forms = {"receivers": ReceiversForm, "sessions": SessionsForm, "alerts": AlertsForm}
            form = forms[section](site)
            dialog = SettingsDialog(form, form.TITLE, **ways)
        await self._edit_site(dialog)

    async def _edit_target(self, site: SiteSettings, name: str) -> None:
        from tui.settings.alerts import TargetDialog, TargetForm

        def send(target: AlertTarget) -> None:
            if self._app.may():
                self._app.carry_out(self._alerts.send, (target,))

        title = f"Alert target · {safe(name)}" if name else "New alert target"
        form = TargetForm(site, name)
        await self._edit_site(TargetDialog(form, title, send=send, **self._ways_of_site()))

    async def _edit_site(self, dialog: Any) -> None:
        if await self._app.push_screen_wait(dialog) is not None:
            await self._told("site settings saved")

    async def _delete_target(self, site: SiteSettings, name: str) -> None:
        from tui.settings.alerts import without_target

        target = site.alerts.target(name)
        if target is None:
            return
        changed = SiteSettings.parse(without_target(site, name))
        sentence = f"{safe(name)} ({safe(target.shown)}) gets no more alerts."
        question = QuestionDialog.confirm(
            f"Delete alert target {safe(name)}?", sentence, "Delete it"
        )
        if await self._app.push_screen_wait(question):
            await self._call(
                f"delete alert target {safe(name)}",
                lambda engine: engine.set_site(changed, self._actor, replacing=site),
            )
            await self._told(f"alert target {safe(name)} deleted")

    def _ways_of_site(self) -> dict[str, Any]:
        def store(
            engine: EngineView, changed: SiteSettings, seen: SiteSettings | None
        ) -> SiteSettings:
            engine.set_site(changed, self._actor, replacing=seen)
            return changed

        return {"store": store, "current": lambda engine: engine.site()}

    # Projects

    async def _new_project(self) -> None:
        from tui.settings.projects import ProjectForm

        await self._open_project(ProjectForm.new(await self._site()), "New project")

    async def _edit_project(self, name: str) -> None:
        from tui.settings.projects import ProjectForm

        project = await self._call(f"open project {safe(name)}", partial(_project, name))
        await self._open_project(ProjectForm.edit(project), f"Project · {safe(project.id)}")

    async def _open_project(self, form: ProjectForm, title: str) -> None:
        from tui.settings.dialog import ScriptDialog

        project_id = form.original.id if form.original else ""
        dialog = ScriptDialog(
            form,
            title,
            store=lambda engine, changed, seen: engine.save_project(
                changed, self._actor, replacing=seen
            ),
            current=partial(_project, project_id),
        )
        project = await self._app.push_screen_wait(dialog)
        if project is not None:
            await self._told(f"project {safe(project.id)} saved")

    async def _delete_project(self, name: str) -> None:
        from tui.settings.projects import deletion_sentence

        fate = await self._call(f"look at project {safe(name)}", partial(_fate, name))
        project_id = fate[0].id
        shown = safe(project_id)
        question = QuestionDialog.confirm(
            f"Delete project {shown}?", deletion_sentence(*fate), "Delete it"
        )
        if await self._app.push_screen_wait(question):
            await self._call(
                f"delete project {shown}",
                lambda engine: engine.delete_project(project_id, self._actor),
            )
            await self._told(f"project {shown} deleted; its sessions stay")

    # All of them

    async def _call(self, what: str, run: Callable[[EngineView], T]) -> T:
        return await self._app.engine.call(what, run, about=SITE)

    async def _told(self, sentence: str) -> None:
        await self._app.look()
        self._app.show_saved(sentence)


def _project(project_id: str, engine: EngineView) -> Project:
    return ProjectRegistry(engine.projects()).project(project_id)


def _fate(project_id: str, engine: EngineView) -> tuple[Project, int, tuple[str, ...]]:
    """Return a project, how many sessions it has, and the receivers that name it."""
    project = _project(project_id, engine)
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

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def switch(self, allowed: bool) -> None:
        """Allow DICOM receivers, or none; the latter asks first."""
        site = await self._app.engine.call(
            "look at the site settings", lambda engine: engine.site(), about=SITE
        )
        snapshot = self._app.engine_state.snapshot
        if site.receivers_allowed == allowed:
            self._app.show_toast(f"DICOM receivers are {_word(allowed)} already")
            return
        if not allowed and snapshot is not None:
            sentence = barring_sentence(snapshot)
            question = QuestionDialog.confirm("Allow no DICOM receivers?", sentence, "Bar them all")
            if not await self._app.push_screen_wait(question):
                return

        # Read again on the thread: what others saved since the question stays.
        def change(engine: EngineView) -> None:
            engine.set_site(replace(engine.site(), receivers_allowed=allowed), self._actor)

        await self._app.engine.call("change the site settings", change, about=SITE)
        await self._app.look()
        self._app.show_saved(f"DICOM receivers are {_word(allowed)} now")


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
