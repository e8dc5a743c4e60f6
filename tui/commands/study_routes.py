"""The commands on study routes: a dialog to add or change one, and deleting one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import NotFound
from engine.model.project import ProjectRegistry
from engine.view.study_routes import MOST_ROUTES
from tui.link import EngineCall, ReadingWanted
from tui.screens.confirm import ConfirmScreen
from tui.text import safe

if TYPE_CHECKING:
    from engine.model.study_route import StudyRoute
    from engine.view import EngineView
    from tui.commands.commanded import CommandedApp

ABOUT = "study-routes"
IDENTIFIER = "studyRouting"
MAX_TITLE_CELLS = 36


class StudyRouteCommands:
    """Carries out commands on study routes for one console."""

    def __init__(self, app: CommandedApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def run(self, action: str, study_instance_uid: str) -> None:
        """Carry out an action, on one route unless a new one is wanted."""
        uid = study_instance_uid
        what = f"look at the route of study {safe(uid)}" if uid else "look at the projects"
        look = partial(_look, uid)
        then = self._delete if action == "delete" else self._open
        self._app.call_engine(EngineCall(what, ABOUT, look, lambda found: then(*found)))

    def _open(self, route: StudyRoute | None, projects: ProjectRegistry) -> None:
        from tui.forms.study_route_form import StudyRouteForm
        from tui.screens.settings_dialog import SettingsDialog

        uid = safe(route.study_instance_uid, MAX_TITLE_CELLS) if route else ""
        title = f"Study route · {uid}" if route else "New study route"
        form = StudyRouteForm(route, projects, self._users())
        dialog: Any = SettingsDialog(
            form,
            title,
            save=lambda changed, seen: self._engine.study_routes.save(
                changed, self._actor, replacing=seen
            ),
            current=lambda: _route(self._engine, route.study_instance_uid if route else ""),
            blink=self._app.blink,
        )
        self._app.push_screen(dialog, self._saved)

    def _users(self) -> tuple[str, ...]:
        """Return the receivers that ask for study routes."""
        snapshot = self._app.reading.snapshot
        receivers = [status.receiver for status in snapshot.receivers] if snapshot else []
        return tuple(r.label for r in receivers if r.identifier == IDENTIFIER)

    def _saved(self, route: StudyRoute | None) -> None:
        if route is not None:
            self._told(f"route of study {safe(route.study_instance_uid)} saved")

    def _delete(self, route: StudyRoute | None, _: ProjectRegistry) -> None:
        if route is None:
            return
        uid = route.study_instance_uid
        sentence = (
            f"{safe(uid)}, which was to go to {safe(route.project)}. New objects of it become "
            "Unassigned; what arrived stays where it is."
        )
        call = EngineCall(
            f"delete the route of study {safe(uid)}",
            ABOUT,
            lambda engine: engine.study_routes.delete(uid, self._actor),
            lambda _: self._told(f"route of study {safe(uid)} deleted"),
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._app.call_engine(call)

        self._app.push_screen(ConfirmScreen("Delete this route?", sentence, "Delete it"), answered)

    def _told(self, sentence: str) -> None:
        self._app.tell(sentence)
        self._app.post_message(ReadingWanted())


def _look(study_instance_uid: str, engine: EngineView) -> tuple[StudyRoute | None, ProjectRegistry]:
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
