"""Study routes: the form, and the commands that add, change and delete one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.api.study_routes import MOST_ROUTES
from engine.errors import NotFound
from engine.model.project import ProjectRegistry
from engine.model.study_route import FIELDS, StudyRoute, parse_study_route
from tui.engine_client import RefreshRequested
from tui.settings.form import FieldKind, FieldSpec, Remark, SettingsForm
from tui.shell.dialogs import QuestionDialog
from tui.text import cut, safe
from tui.widgets.completion import COMPLETES, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.api import EngineView
    from tui.settings.form import Values
    from tui.shell.engine_app import EngineApp


PROJECTS_NAMED = 4
HINT_CELLS = 52


class StudyRouteForm(SettingsForm[StudyRoute]):
    """Says where the objects of one study go, before they come."""

    SPECS = (
        FieldSpec("study_instance_uid", FieldKind.LINE, "Study UID *",
                  "The Study Instance UID (0020,000D) of the study, as\n"
                  "its objects will have it.\n\n  1.2.840.113619.2.55.3.604688119",
                  hint="numbers and dots, at most 64 characters"),
        FieldSpec("project", FieldKind.LINE, "Project *", completes=Names.PROJECTS, help=
                  "The id or an alias of a project that exists. Screen 6\n"
                  "lists the projects."),
        FieldSpec("subject", FieldKind.LINE, "Subject",
                  "Its label. Left empty, the Patient Name of each object\n"
                  "decides.\n\n  S0042",
                  hint="1–64 letters, digits, _ or -; empty: the Patient Name"),
        FieldSpec("session", FieldKind.LINE, "Session",
                  "Its label. Left empty, the Study ID of each object\n"
                  "decides, else its Accession Number.\n\n  S0042_MR_01",
                  hint="as above; empty: the Study ID or Accession Number"),
    )  # fmt: skip

    def __init__(
        self, route: StudyRoute | None, projects: ProjectRegistry, receivers: Sequence[str] = ()
    ) -> None:
        """Take the route to change, None for a new one.

        Args:
            route: what is changed.
            projects: those that there are.
            receivers: labels of those that ask for study routes.
        """
        self._projects = projects
        self._receivers = tuple(receivers)
        super().__init__(route, route or StudyRoute("", ""))

    def values_of(self, thing: StudyRoute) -> Values:
        """Return the raw values."""
        return {name: getattr(thing, name) for name in FIELDS}

    def result(self) -> StudyRoute:
        """Return the route that the form describes."""
        return parse_study_route({name: self.text(name) for name in FIELDS}, self._projects)

    def hint(self, name: str) -> str:
        """Return the hint below a field; for the project, which projects there are."""
        if name != "project":
            return super().hint(name)
        ids = [safe(project.id) for project in self._projects.projects]
        if not ids:
            return "there is none yet; add one first"
        more = " …" if len(ids) > PROJECTS_NAMED else ""
        named = cut(f"one of {', '.join(ids[:PROJECTS_NAMED])}{more}", HINT_CELLS - len(COMPLETES))
        return f"{named}; {COMPLETES}"

    def remark(self, name: str) -> Remark:
        """Return the id of the project that an id or alias means."""
        typed = self.text(name).strip()
        found = self._projects.find(typed) if name == "project" and typed else None
        return Remark(f"✓ {safe(found)}", is_good=True) if found is not None else Remark()

    def summary(self) -> str:
        """Say what saving means, and whether anybody asks for it."""
        if not self._receivers:
            return "! No receiver has the identifier studyRouting, so no route is asked for."
        return f"Asked for by {', '.join(map(safe, self._receivers))}; gone once it is archived."


ABOUT = "study-routes"
IDENTIFIER = "studyRouting"
MAX_TITLE_CELLS = 36


class StudyRouteCommands:
    """Carries out commands on study routes for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def run(self, action: str, study_instance_uid: str) -> None:
        """Carry out an action, on one route unless a new one is wanted."""
        uid = study_instance_uid
        what = f"look at the route of study {safe(uid)}" if uid else "look at the projects"
        route, projects = await self._app.engine.call(what, partial(_fetch_route, uid), about=ABOUT)
        if action != "delete":
            await self._edit(route, projects)
        elif route is not None:
            await self._delete(route)

    async def _edit(self, route: StudyRoute | None, projects: ProjectRegistry) -> None:
        from tui.settings.dialog import SettingsDialog

        uid = route.study_instance_uid if route else ""
        title = f"Study route · {safe(uid, MAX_TITLE_CELLS)}" if route else "New study route"
        form = StudyRouteForm(route, projects, self._users())
        dialog: SettingsDialog[StudyRoute] = SettingsDialog(
            form,
            title,
            store=lambda engine, changed, seen: engine.study_routes.save(
                changed, self._actor, replacing=seen
            ),
            current=lambda engine: _route(engine, uid),
        )
        saved = await self._app.push_screen_wait(dialog)
        if saved is not None:
            self._told(f"route of study {safe(saved.study_instance_uid)} saved")

    def _users(self) -> tuple[str, ...]:
        """Return the receivers that ask for study routes."""
        snapshot = self._app.engine_state.snapshot
        receivers = [status.receiver for status in snapshot.receivers] if snapshot else []
        return tuple(r.label for r in receivers if r.identifier == IDENTIFIER)

    async def _delete(self, route: StudyRoute) -> None:
        uid = route.study_instance_uid
        sentence = (
            f"{safe(uid)}, which was to go to {safe(route.project)}. New objects of it become "
            "Unassigned; what arrived stays where it is."
        )
        question = QuestionDialog.confirm("Delete this route?", sentence, "Delete it")
        if await self._app.push_screen_wait(question):
            await self._app.engine.call(
                f"delete the route of study {safe(uid)}",
                lambda engine: engine.study_routes.delete(uid, self._actor),
                about=ABOUT,
            )
            self._told(f"route of study {safe(uid)} deleted")

    def _told(self, sentence: str) -> None:
        self._app.show_toast(sentence)
        self._app.post_message(RefreshRequested())


def _fetch_route(
    study_instance_uid: str, engine: EngineView
) -> tuple[StudyRoute | None, ProjectRegistry]:
    route = _route(engine, study_instance_uid) if study_instance_uid else None
    return route, ProjectRegistry(engine.projects())


def _route(engine: EngineView, study_instance_uid: str) -> StudyRoute:
    found = engine.study_routes.list(MOST_ROUTES).routes
    route = next((r for r in found if r.study_instance_uid == study_instance_uid), None)
    if route is None:
        raise NotFound(
            f"study {study_instance_uid[:80]!r} has no route any more",
            "it was deleted, or its session is archived",
        )
    return route
