"""The session keys: each asks for confirmation, a project or a way, then runs with progress."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from textual import on
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.errors import SessionError
from engine.model.session import SessionAction, SessionArea, possible_actions
from tui.keys import pressed
from tui.sessions.review import Review, ReviewDialog
from tui.sessions.undo import UndoDialog
from tui.sessions.words import (
    VERBS,
    action_title,
    archive_question,
    archive_question_many,
    delete_question,
    done_words,
    failure,
    impossible_words,
    matching_projects,
    name_of,
    rebuild_question,
)
from tui.shell.dialogs import QuestionDialog, WorkStep
from tui.shell.screen import ConsoleScreen
from tui.text import counted, safe, sentence_case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult

    from engine.api import EngineView
    from engine.api.sessions import ArchivePreview, EditPreview, PastAction, SessionOutcome
    from engine.model.project import Project
    from engine.model.session import Session

    Ask = Callable[[EngineView, int], SessionOutcome]
    from engine.api import EngineSnapshot
    from tui.engine_client import EngineState
    from tui.keys import Key


T = TypeVar("T")
NO_PROJECTS = "There is no project yet; `dicomdock projects add ID` makes one."


class ProjectDialog(ModalScreen[str]):
    """Returns the id of a project; escape returns nothing."""

    BINDINGS = [
        Binding("escape", "dismiss", "Cancel"),
        Binding("down", "move(1)", "Next", show=False),
        Binding("up", "move(-1)", "Previous", show=False),
    ]

    def __init__(
        self, title: str, sentence: str, projects: Sequence[Project], *, blink: bool
    ) -> None:
        """Take safe texts and the projects there are."""
        super().__init__()
        self._question = title
        self._sentence = sentence
        self._projects = tuple(projects)
        self._shown: list[Project] = []
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical(classes="box") as box:
            box.border_title = Content(self._question)
            box.border_subtitle = Content("type to find   ↑↓ choose   ⏎ move   esc cancel")
            yield Static(self._sentence, markup=False, classes="sentence")
            field = Input(id="project", compact=True, placeholder="id or title of a project")
            field.cursor_blink = self._blink
            yield field
            options = OptionList(id="projects", compact=True, markup=False)
            options.can_focus = False
            yield options
            yield Static("", id="no-project", markup=False)

    def on_mount(self) -> None:
        """Show all projects."""
        self._list("")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, typed: str) -> None:
        self._shown = matching_projects(self._projects, typed)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(_words(project))) for project in self._shown])
        options.highlighted = 0 if self._shown else None
        note = "" if self._shown else (f"no project is called “{safe(typed, 40)}”")
        self.query_one("#no-project", Static).update(
            Content(note if self._projects else NO_PROJECTS)
        )

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose()

    def _choose(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.dismiss(self._shown[place].id)

    def action_move(self, step: int) -> None:
        """Go to another project of the list."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()


def _words(project: Project) -> str:
    title = f"   {safe(project.title, 48)}" if project.title else ""
    return f"{safe(project.id)}{title}"


WAIT_SECONDS = 20.0
"""So long one session is waited for; after that it goes on by itself."""
WAYS = (("archive", "Archive"), ("merge", "Merge"), ("overwrite", "Overwrite"))


class SessionActions(ConsoleScreen):
    """A screen whose `Scope.SESSIONS` keys act on `sessions_here`."""

    def sessions_here(self) -> tuple[Session, ...]:
        """Return the marked sessions, else the one under the cursor."""
        return ()

    def sessions_changed(self) -> None:
        """Take notice that something was done to sessions."""

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the sessions' states forbid."""
        if action == "session":
            return bool(self._fit_for(SessionAction(str(parameters[0]))))
        if action == "copy_uid":
            return bool(self.sessions_here())
        if action == "why":
            return len(self.sessions_here()) == 1
        return super().check_own(action, parameters)

    def why_not(self, key: Key) -> str:
        """Say what of the sessions forbids an action."""
        sessions = self.sessions_here()
        if self.frame.read_only or key.verb not in ("session", "why"):
            return super().why_not(key)
        if not sessions:
            return "there is no session under the cursor"
        if key.verb == "why":
            return "more than one session is marked"
        return impossible_words(SessionAction(key.argument), sessions[0])

    def _fit_for(self, action: SessionAction) -> tuple[Session, ...]:
        return tuple(s for s in self.sessions_here() if action in possible_actions(s))

    def action_session(self, name: str) -> None:
        """Carry out an action on the sessions that allow it, after what has to be asked."""
        action = SessionAction(name)
        sessions = self._fit_for(action)
        left = len(self.sessions_here()) - len(sessions)
        if sessions and left:
            text = f"{counted(left, 'session')} skipped: not possible in their current state"
            self.app.notify(text, markup=False, timeout=5)
        if not sessions:
            return
        match action:
            case SessionAction.ARCHIVE:
                self.ask(self._archive, sessions)
            case SessionAction.MOVE:
                self.ask(self._move, sessions)
            case SessionAction.EDIT:
                self.ask(self._review, sessions[0])
            case SessionAction.REBUILD:
                self.ask(self._rebuild, sessions)
            case SessionAction.DELETE:
                self.ask(self._delete, sessions)
            case _:
                self.ask(self._work, action, sessions, partial(_plainly, action, self.frame.actor))

    def action_copy_uid(self) -> None:
        """Copy the Study Instance UIDs."""
        uids = [session.study_instance_uid for session in self.sessions_here()]
        self.app.copy_to_clipboard("\n".join(uids))
        self.app.notify(f"{counted(len(uids), 'UID')} copied", markup=False, timeout=2)

    def action_why(self) -> None:
        """Say which rules put the session where it is."""
        from tui.inspector.why import explain_session

        for session in self.sessions_here()[:1]:
            self.ask(explain_session, self, session)

    async def _archive(self, sessions: tuple[Session, ...]) -> None:
        title = f"{action_title(SessionAction.ARCHIVE, sessions)}?"
        if len(sessions) > 1:
            text, ways = archive_question_many(sessions), list(WAYS)
        else:
            session = sessions[0]
            what = f"look at what archiving {name_of(session)} means"
            previews = await self._look(what, partial(_previews, session.id))
            text = archive_question(session, previews)
            ways = [way for way, p in zip(WAYS, previews, strict=False) if not p.conflicts]
        way = await self.app.push_screen_wait(QuestionDialog(title, text, ways))
        if way is not None:
            ask = partial(_archived, self.frame.actor, way)
            await self._work(SessionAction.ARCHIVE, sessions, ask)

    async def _move(self, sessions: tuple[Session, ...]) -> None:
        title = f"{action_title(SessionAction.MOVE, sessions)} to a project"
        sentence = "Objects, scans and documents go along; the session is built anew there.\n"
        projects = await self._look("list the projects", lambda engine: engine.projects())
        choice = ProjectDialog(title, sentence, projects, blink=self.frame.blink)
        project = await self.app.push_screen_wait(choice)
        if project:
            ask = partial(_moved, self.frame.actor, project)
            await self._work(SessionAction.MOVE, sessions, ask)

    async def _review(self, session: Session) -> None:
        detail = await self._look(
            f"look at {name_of(session)}", lambda engine: engine.sessions.detail(session.id)
        )
        projects = await self._look("list the projects", lambda engine: engine.projects())
        dialog = ReviewDialog(
            detail,
            [project.id for project in projects],
            partial(self._preview, session.id),
            blink=self.frame.blink,
        )
        review = await self.app.push_screen_wait(dialog)
        if review is None:
            return
        what = f"review {name_of(session)}"
        step = WorkStep(what, partial(_reviewed, session.id, review, self.frame.actor))
        outcome = await self.console.work_through(sentence_case(what), [step])
        self.sessions_changed()
        if outcome.done:
            past = "archived" if review.archive else "changed"
            undo = f"{pressed('session.undo')} undoes it"
            words = f"{safe(review.label) or name_of(session)} {past}   {undo}"
            self.app.notify(words, markup=False, timeout=5)

    async def _preview(self, session_id: int, review: Review) -> EditPreview:
        names = {"project": review.project, "subject": review.subject, "label": review.label}
        return await self.engine.call(
            "look at what other names mean",
            lambda engine: engine.sessions.preview_edit(session_id, **names),
            about="session-preview",
            changes=False,
            latest=True,
        )

    async def _rebuild(self, sessions: tuple[Session, ...]) -> None:
        """Build again; where that leads to the archive, ask before."""
        if len(sessions) == 1:
            session = sessions[0]
            detail = await self._look(
                f"look at {name_of(session)}", lambda engine: engine.sessions.detail(session.id)
            )
            title = f"{action_title(SessionAction.REBUILD, sessions)}?"
            question = QuestionDialog(title, rebuild_question(session), [("rebuild", "Rebuild")])
            if detail.archives_itself and not await self.app.push_screen_wait(question):
                return
        ask = partial(_plainly, SessionAction.REBUILD, self.frame.actor)
        await self._work(SessionAction.REBUILD, sessions, ask)

    def action_undo_session(self) -> None:
        """Ask which of the last actions of everybody is to be undone."""
        self.ask(self._undo)

    async def _undo(self) -> None:
        actions = await self._look(
            "list the last actions", lambda engine: engine.sessions.past_actions()
        )
        snapshot = self._engine_state.snapshot
        if snapshot is None:
            return
        action = await self.app.push_screen_wait(UndoDialog(actions, snapshot.taken_at))
        if action is None:
            return
        what = f"undo {safe(action.what)} of {safe(action.label, 60)}"
        step = WorkStep(what, partial(_undone, action, self.frame.actor))
        outcome = await self.console.work_through(sentence_case(what), [step])
        self.sessions_changed()
        if outcome.done:
            words = f"{safe(action.label, 60)} {VERBS[SessionAction.UNDO][1]}"
            self.app.notify(words, markup=False, timeout=5)

    async def _delete(self, sessions: tuple[Session, ...]) -> None:
        title = f"{action_title(SessionAction.DELETE, sessions)}?"
        days = await self._look("look at how long the trash is kept", _trash_days)
        snapshot = self._engine_state.snapshot
        if snapshot is None:
            return
        until = snapshot.taken_at + timedelta(days=days)
        sentence = delete_question(sessions, days, until)
        if await self.app.push_screen_wait(QuestionDialog.confirm(title, sentence, "Delete")):
            ask = partial(_plainly, SessionAction.DELETE, self.frame.actor)
            await self._work(SessionAction.DELETE, sessions, ask)

    # Calls

    async def _look(self, what: str, look: Callable[[EngineView], T]) -> T:
        return await self.engine.call(what, look, about="session-question", changes=False)

    async def _work(self, action: SessionAction, sessions: tuple[Session, ...], ask: Ask) -> None:
        steps = [
            WorkStep(
                f"{VERBS[action][0]} {name_of(session)}",
                partial(_carried_out, action, session.id, ask),
            )
            for session in sessions
        ]
        outcome = await self.console.work_through(action_title(action, sessions), steps)
        self.sessions_changed()
        if outcome.done:
            words = done_words(action, outcome.done, sessions)
            self.app.notify(words, markup=False, timeout=5)


def _trash_days(engine: EngineView) -> int:
    return engine.site().sessions.trash_days


def _previews(session_id: int, engine: EngineView) -> tuple[ArchivePreview, ...]:
    """Return what archiving comes to; in a conflict also what merging and overwriting would."""
    plain = engine.sessions.preview_archive(session_id)
    if not plain.conflicts:
        return (plain,)
    merged = engine.sessions.preview_archive(session_id, merge=True)
    overwritten = engine.sessions.preview_archive(session_id, merge=True, overwrite=True)
    return plain, merged, overwritten


def _archived(actor: str, way: str, engine: EngineView, session_id: int) -> SessionOutcome:
    merge, overwrite = way in ("merge", "overwrite"), way == "overwrite"
    return engine.sessions.archive(session_id, actor, merge=merge, overwrite=overwrite)


def _moved(actor: str, project: str, engine: EngineView, session_id: int) -> SessionOutcome:
    return engine.sessions.move(session_id, project, actor)


def _plainly(
    action: SessionAction, actor: str, engine: EngineView, session_id: int
) -> SessionOutcome:
    """Ask for what needs nothing but the session."""
    match action:
        case SessionAction.DELETE:
            return engine.sessions.delete(session_id, actor)
        case SessionAction.REBUILD:
            return engine.sessions.rebuild(session_id, actor)
        case SessionAction.RESTORE:
            return engine.sessions.restore(session_id, actor)
        case SessionAction.CANCEL:
            return engine.sessions.cancel(session_id, actor)
        case _:
            raise ValueError(action)


def _carried_out(
    action: SessionAction, session_id: int, ask: Ask, engine: EngineView
) -> SessionOutcome:
    """Ask for an action and wait for its outcome.

    Raises:
        SessionError: if it failed, or is not done yet.
    """
    outcome = ask(engine, session_id)
    if action is not SessionAction.CANCEL:
        outcome = engine.sessions.settled(session_id, wait_seconds=WAIT_SECONDS)
        if not outcome.settled:
            raise SessionError(
                f"it is not done yet: {outcome.text}", "it goes on; look again later"
            )
    reason = failure(action, outcome)
    if reason:
        raise SessionError(
            reason, f"{pressed('list.open')} shows the session; then choose what suits it"
        )
    return outcome


def _reviewed(session_id: int, review: Review, actor: str, engine: EngineView) -> SessionOutcome:
    """Do what was decided: scans first, for other names may lead to the archive.

    Raises:
        SessionError: if a step failed, or is not done yet.
    """
    sessions = engine.sessions
    outcome = sessions.settled(session_id, wait_seconds=0)
    if review.removed:
        outcome = _carried_out(
            SessionAction.EDIT,
            session_id,
            lambda _, number: sessions.remove_scans(number, review.removed, actor),
            engine,
        )
    if review.renames:
        names = {"project": review.project, "subject": review.subject, "label": review.label}
        outcome = _carried_out(
            SessionAction.EDIT,
            session_id,
            lambda _, number: sessions.edit(number, actor, **names),
            engine,
        )
    is_there = outcome.session is not None and outcome.session.area is SessionArea.PREARCHIVE
    if review.archive and is_there:
        ask = partial(_archived, actor, "archive")
        outcome = _carried_out(SessionAction.ARCHIVE, session_id, ask, engine)
    return outcome


def _undone(action: PastAction, actor: str, engine: EngineView) -> SessionOutcome:
    asked = engine.sessions.undo(action.number, actor)
    # Scans come out of the trash: it is their session there that is worked on.
    number = asked.session.id if asked.session is not None else action.session
    return _carried_out(SessionAction.UNDO, number, lambda _engine, _number: asked, engine)


TOPICS = frozenset({"session", "c-store"})
EVENTS_LOOKED_AT = 200


class SessionChanges:
    """Remembers what was known at the last look."""

    def __init__(self) -> None:
        self._known: object = None

    def came(self, engine_state: EngineState, snapshot: EngineSnapshot) -> bool:
        """Tell whether there is a newer event, revision or engine; the first look is news."""
        events = islice(engine_state.events, EVENTS_LOOKED_AT)
        newest = next((r for r in events if r.event.topic in TOPICS), None)
        known = (newest.sequence if newest else None, snapshot.revision, snapshot.started_at)
        changed, self._known = known != self._known, known
        return changed
