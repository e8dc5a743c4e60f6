"""Why objects are filed where they are: every rule in order, what it saw, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from engine.api.objects import HeaderBasis, ObjectReference, ObjectWhy
from engine.errors import EngineError
from engine.model.identity import UNASSIGNED, Attribute, Source
from engine.model.project import Project
from engine.model.session import SessionAction, possible_actions
from tui.engine_client import SITE, ReceiverCommand, SettingsCommand
from tui.keys import pressed
from tui.shell.dialogs import QuestionDialog
from tui.shell.engine_app import EngineScreen
from tui.text import moment, safe
from tui.widgets.panel import HangingText
from tui.widgets.routing_preview import (
    OTHERWISE,
    SHOW_SECONDS,
    decided_by,
    processing_words,
    taken_words,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from textual.app import ComposeResult
    from textual.timer import Timer

    from engine.api import EngineView
    from engine.model.identity import Identification, Step
    from engine.model.session import Session
    from tui.shell.screen import ConsoleScreen

LABEL_WIDTH = 13
FRAME_CELLS = 6
"""What of a frame is beside the words in it."""
NO_RECEIVER = "does not exist any more, so its rules are not known"


class Remedy(Enum):
    """What an admin wants to do about it."""

    CREATE = auto()
    """Create the project that a rule asks for, and move the session there."""
    MOVE = auto()
    """Move the session to the project that the rules name now."""
    EDIT_RECEIVER = auto()
    EDIT_SITE = auto()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A remedy for one object."""

    remedy: Remedy
    why: ObjectWhy


# Words


def why_lines(why: ObjectWhy, now: datetime) -> list[Content]:
    """Say where an object is, which rules decided that, and what each saw."""
    arrival, found = why.arrival, why.found
    head = (
        f"{safe(arrival.calling_ae_title)} → {safe(arrival.receiver)}, {moment(arrival.at, now)}, "
        f"{safe(arrival.state)}"
    )
    lines = [Content.styled(head, "bold"), *_filed(why)]
    if found is None:
        missing = f"✗ receiver {safe(arrival.receiver)} {NO_RECEIVER}"
        return [*lines, Content.styled(missing, "$text-error")]
    basis = f"A dry run of the rules of now on {why.basis}."
    if why.basis is HeaderBasis.STORED:
        basis += " The header as received is not in memory any more; scripts may have changed it."
    lines += [Content.styled(basis, "$text-muted"), Content("")]
    lines += [
        Content.styled(f"▸ {said}", "$text-muted") for said in processing_words(why.processing)
    ]
    if found.identity is None:
        lines.append(Content.styled(f"✗ would be rejected: {safe(found.failure)}", "$text-error"))
    for attribute in Attribute:
        lines += _attribute(attribute, found)
    return lines


def _filed(why: ObjectWhy) -> Iterator[Content]:
    session, reason = why.session, safe(why.arrival.reason)
    if reason:
        yield Content.styled(f"▲ {reason}", "$text-warning")
    if session is not None:
        words = f"{safe(session.project or UNASSIGNED)} / {safe(session.label)}, {session.area}"
        yield Content.assemble((f"{'is in':<{LABEL_WIDTH}}", "$text-primary"), words)
    if why.found is not None and not why.agrees:
        there = "rules, projects or labels were changed since it arrived"
        yield Content.styled(f"▲ today the rules decide otherwise: {there}", "$text-warning")


def _attribute(attribute: Attribute, found: Identification) -> Iterator[Content]:
    steps = found.trace.of(attribute)
    if not steps and (found.identity is None or attribute is Attribute.AUTO_ARCHIVE):
        return
    name = Content.styled(f"{attribute.capitalize():<{LABEL_WIDTH}}", "$text-primary")
    value = value_of(attribute, found)
    if found.identity is None:
        yield name
    elif value and not (attribute is Attribute.PROJECT and value == UNASSIGNED):
        yield name + Content.styled(safe(value), "bold")
    else:
        yield name + Content.styled(OTHERWISE[attribute], "$text-warning")
    for step in steps:
        yield _step(step)


def _step(step: Step) -> Content:
    seen = f" {taken_words(step)}".rstrip()
    if step.decided and not step.failed:
        doubt = f"; {safe(step.why_not)}" if step.why_not else ""
        return Content.assemble(
            ("  ✓ ", "$text-success"),
            f"{decided_by(step)}{seen} → {safe(step.result or '')}{doubt}",
        )
    took = f" took “{safe(step.given)}”" if step.given else ""
    words = f"{decided_by(step)}{seen}{took}: {safe(step.why_not)}"
    if step.failed or step.given:
        return Content.assemble(("  ✗ ", "$text-error"), words)
    return Content.styled(f"  – {words}", "$text-muted")


# The dialog


class WhyDialog(ModalScreen[Chosen | None], EngineScreen[Chosen | None]):
    """Explains one of some objects; returns what is to be done about it."""

    BINDINGS = [
        Binding("escape,W,q", "dismiss", "Close"),
        Binding("left", "step(-1)", "Previous object", show=False),
        Binding("right", "step(1)", "Next object", show=False),
        Binding("v", "values", "Values", show=False),
        Binding("n", "choose('CREATE')", "Create the project", show=False),
        Binding("m", "choose('MOVE')", "Move", show=False),
        Binding("e", "choose('EDIT_RECEIVER')", "Edit the receiver", show=False),
        Binding("E", "choose('EDIT_SITE')", "Edit the rules of the site", show=False),
    ]

    def __init__(
        self, references: Sequence[ObjectReference], now: datetime, *, read_only: bool
    ) -> None:
        """Take the objects that can be explained, the first of which is shown."""
        super().__init__()
        self._references = tuple(references)
        self._now = now
        self._read_only = read_only
        self._at = 0
        self._masked = True
        self._timer: Timer | None = None
        self.why: ObjectWhy | None = None
        """What is shown."""

    def compose(self) -> ComposeResult:
        """Build the box."""
        with (
            Vertical(classes="box -page") as box,
            VerticalScroll(can_focus=True, classes="scroll", id="why-scroll"),
        ):
            box.border_title = Content("Why it is where it is")
            yield HangingText(Content("asking …"))

    def on_mount(self) -> None:
        """Ask for the first object."""
        self._look()

    def _look(self) -> None:
        self.ask(self._explain, self._references[self._at], self._masked)

    async def _explain(self, reference: ObjectReference, masked: bool) -> None:
        look = partial(_explained, reference, masked, self.console.actor)
        try:
            why = await self.engine.call(
                "explain an object", look, about="why", changes=False, latest=True
            )
        except EngineError as error:
            self._show(None, [Content.styled(f"✗ {safe(error.detail)}", "$text-error"),
                              Content(safe(error.remedy))])  # fmt: skip
            return
        if masked is self._masked:  # else its values are not to be seen any more
            self._show(why, why_lines(why, self._now))

    def _show(self, why: ObjectWhy | None, lines: list[Content]) -> None:
        self.why = why
        self.query_one(HangingText).show(Content("\n").join(lines))
        box, total = self.query_one(".box"), len(self._references)
        number = f" · object {self._at + 1} of {total}" if total > 1 else ""
        box.border_title = Content(f"Why it is where it is{number}")
        self._show_hints()

    def on_resize(self) -> None:
        """Write the keys for the new width."""
        self.call_after_refresh(self._show_hints)

    def _show_hints(self) -> None:
        box = self.query_one(".box")
        lines = ("   ".join(self._hints()), " ".join(self._hints(is_short=True)))
        room = box.outer_size.width - FRAME_CELLS
        box.border_subtitle = Content(next((li for li in lines if cell_len(li) <= room), lines[-1]))

    def _hints(self, *, is_short: bool = False) -> Iterator[str]:
        if len(self._references) > 1:
            yield "←→" if is_short else "←→ object"
        yield "v values" if self._masked else "v masks"
        project = safe(self.why.unknown_project, 24) if self.why else ""
        for key, remedy, words, short in (
            ("n", Remedy.CREATE, f"create {project}", "create"),
            ("m", Remedy.MOVE, "move", "move"),
            ("e", Remedy.EDIT_RECEIVER, "receiver", "receiver"),
            ("E", Remedy.EDIT_SITE, "site rules", "rules"),
        ):
            if self.check_action("choose", (remedy.name,)):
                yield f"{key} {short if is_short else words}"
        yield "esc close"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only remedies that are possible."""
        if action != "choose":
            return super().check_action(action, parameters)
        why = self.why
        if why is None or self._read_only:
            return False
        match Remedy[str(parameters[0])]:
            case Remedy.CREATE:
                return bool(why.unknown_project)
            case Remedy.MOVE:
                return _other_project(why) is not None
            case Remedy.EDIT_RECEIVER:
                return bool(why.receiver_id)
            case Remedy.EDIT_SITE:
                return why.found is not None and _asks_site(why.found)

    def action_step(self, by: int) -> None:
        """Explain another object."""
        at = min(max(0, self._at + by), len(self._references) - 1)
        if at != self._at:
            self._at = at
            self._look()

    def action_values(self) -> None:
        """Show values for a minute, which is recorded, or mask them again."""
        if self._timer is not None:
            self._timer.stop()
        self._masked = not self._masked
        if not self._masked:
            self._timer = self.set_timer(SHOW_SECONDS, self.action_values)
        self._look()

    def action_choose(self, name: str) -> None:
        """Return a remedy for the object that is shown."""
        if self.why is not None:
            self.dismiss(Chosen(Remedy[name], self.why))


def _explained(
    reference: ObjectReference, masked: bool, actor: str, engine: EngineView
) -> ObjectWhy:
    return engine.objects.why(reference) if masked else engine.objects.shown_why(reference, actor)


def _other_project(why: ObjectWhy) -> str | None:
    """Return the project that the rules name now, if the session can be moved there."""
    identity = why.found.identity if why.found is not None else None
    if identity is None or not _can_move(why.session):
        return None
    project = identity.project.value
    is_other = why.session is not None and project != why.session.project
    return project if is_other else None


def _can_move(session: Session | None) -> bool:
    return session is not None and SessionAction.MOVE in possible_actions(session)


def _asks_site(found: Identification) -> bool:
    return any(step.source is Source.SITE for step in found.trace.steps)


# Asking and doing


async def explain(screen: ConsoleScreen, references: Sequence[ObjectReference]) -> None:
    """Explain objects on a screen, and carry out what is chosen."""
    snapshot = screen.engine_state.snapshot
    if snapshot is None or not references:
        return
    dialog = WhyDialog(references, snapshot.taken_at, read_only=screen.frame.read_only)
    chosen = await screen.app.push_screen_wait(dialog)
    if chosen is None:
        return
    why = chosen.why
    match chosen.remedy:
        case Remedy.EDIT_RECEIVER:
            screen.post_message(ReceiverCommand("edit", why.receiver_id))
        case Remedy.EDIT_SITE:
            screen.post_message(SettingsCommand("edit", "routing"))
        case Remedy.MOVE:
            await _move(screen, why, _other_project(why) or "", is_new=False)
        case Remedy.CREATE:
            await _move(screen, why, why.unknown_project, is_new=True)


async def explain_session(screen: ConsoleScreen, session: Session) -> None:
    """Explain a session by the first object of each of its scans."""

    def first_objects(engine: EngineView) -> tuple[ObjectReference, ...]:
        return engine.sessions.detail(session.id).first_objects

    references = await screen.engine.call(
        "look at a session", first_objects, about="why", changes=False
    )
    if not references:
        screen.app.notify("no object of the session is left", markup=False, timeout=3)
    await explain(screen, references)


async def _move(screen: ConsoleScreen, why: ObjectWhy, project: str, *, is_new: bool) -> None:
    session, name, console = why.session, safe(project), screen.console
    moves = _can_move(session) and session is not None
    label = safe(session.label, 60) if session is not None else ""
    verbs = [f"create project {name}"] if is_new else []
    verbs += [f"move {label} there" if is_new else f"move {label} to {name}"] if moves else []
    title = " and ".join(verbs)
    question = QuestionDialog(
        f"{title[0].upper()}{title[1:]}?",
        _consequences(why, name, is_new=is_new, moves=moves),
        (("do", "Create and move" if is_new and moves else verbs[0].split()[0].capitalize()),),
    )
    if await screen.app.push_screen_wait(question) is None:
        return
    number = session.id if session is not None and moves else None
    outcome = await screen.engine.call(
        title, partial(_moved, project, number, console.actor, is_new), about=SITE
    )
    await console.look()
    said = f"project {name} created" if is_new else ""
    console.show_toast("; ".join(filter(None, (said, outcome))))


def _consequences(why: ObjectWhy, name: str, *, is_new: bool, moves: bool) -> str:
    words = []
    if is_new:
        words.append(
            f"The project gets the usual settings of new projects (screen 6 changes them). "
            f"Objects that arrive from now on and name {name} go there."
        )
    if moves:
        words.append("Objects, scans and documents of the session go along.")
    elif why.session is not None:
        words.append(
            f"The session {safe(why.session.label, 60)} can't be moved in its present state; "
            f"{pressed('session.move')} moves it once it is ready."
        )
    return "\n\n".join(words)


def _moved(project: str, session: int | None, actor: str, is_new: bool, engine: EngineView) -> str:
    """Create a project if it is new, and move a session there; return what became of it."""
    if is_new:
        usual = engine.site().new_project_auto_archive
        engine.save_project(Project(project, auto_archive=usual), actor)
    if session is None:
        return ""
    engine.sessions.move(session, project, actor)
    outcome = engine.sessions.settled(session)
    label = outcome.session.label if outcome.session is not None else "the session"
    return f"{label}: {outcome.text}"
