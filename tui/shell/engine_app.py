"""An app that asks an engine: what commands need of the console, whatever they are about."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, TypeVarTuple, cast

from textual import work
from textual.app import App
from textual.screen import Screen

from engine.errors import EngineError
from tui.engine_client import EngineClient, EngineLink, EngineState, NotNow
from tui.keys import pressed
from tui.shell.dialogs import MessageDialog, ProgressDialog, WorkAnswered, WorkEnded
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.notifications import SeverityLevel
    from textual.timer import Timer

    from engine.api import EngineView
    from tui.shell.dialogs import WorkOutcome, WorkStep


R = TypeVar("R")
Ts = TypeVarTuple("Ts")
MAX_TOAST_CELLS = 400


class EngineApp(App[None]):
    """Runs commands, keeps the newest poll of the engine, and shows outcomes.

    A command is a coroutine: it asks, awaits `engine.call`, and says the outcome. What the engine
    refuses ends it; `carry_out` shows that, and no command needs to.
    """

    def __init__(self, engine: EngineView, *, read_only: bool, actor: str, blink: bool) -> None:
        super().__init__()
        self.actor = actor
        self.blink = blink
        self.engine_state = EngineState()
        self._link = EngineLink(engine, self.post_message)
        self.engine = EngineClient(engine, self._link, read_only=read_only)
        self._work: ProgressDialog | None = None
        self._look_wanted = False
        self._looks = False

    # Looking

    def refresh_from_engine(self) -> None:
        """Poll the engine as soon as the poll before is over; returns at once."""
        self._look_wanted = True
        if not self._looks:
            self._looks = True
            self._look_on()

    @work(group="look", description="look")
    async def _look_on(self) -> None:
        try:
            # However often a poll is wanted while one goes on, only one follows.
            while self._look_wanted:
                self._look_wanted = False
                await self.look()
        finally:
            self._looks = False

    async def look(self) -> EngineState:
        """Poll the engine once and return the new state."""
        self.engine_state = await self.engine.look()
        self.looked()
        return self.engine_state

    def looked(self) -> None:
        """Called after each poll; `engine_state` is new."""

    def select_receiver(self, receiver_id: int) -> None:
        """Put the cursor of the dashboard on a receiver."""

    # Commands

    def may(self, *, changing: bool = True) -> bool:
        """Tell whether commands are possible now; a read-only console shows why not."""
        try:
            self.engine.check(changes=changing)
        except NotNow as refusal:
            self.show_toast(refusal.detail, "warning")
        except asyncio.CancelledError:
            pass  # it is being left
        else:
            return True
        return False

    def carry_out(self, command: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run a command; an error of the engine that it does not handle is shown."""
        self._carry_out(partial(command, *args))

    @work(group="commands", description="command")
    async def _carry_out(self, command: Callable[[], Awaitable[None]]) -> None:
        await self.told(command)

    async def told(self, command: Callable[[], Awaitable[None]]) -> None:
        """Await a command and show the engine's error, if that ends it."""
        try:
            await command()
        except NotNow as refusal:
            self.show_toast(refusal.detail, "warning")
        except EngineError as error:
            self.refresh_from_engine()
            self.push_screen(MessageDialog(error.title, error.detail, error.remedy))

    async def work_through(self, title: str, steps: Sequence[WorkStep]) -> WorkOutcome:
        """Make many calls one after the other, seen in a box that can end it between two.

        Args:
            title: safe text.
            steps: the calls, in their order.
        """
        self.engine.check(changes=True)
        dialog = self._work = ProgressDialog(title, steps)
        # Awaited at the end: meanwhile the box shows the calls that are made here.
        closed = self.push_screen(dialog, wait_for_dismiss=True)
        for step in steps:
            if dialog.cancelled:
                break
            try:
                await self.engine.call(step.what, step.run)
            except EngineError as error:
                dialog.post_message(WorkAnswered(step, error))
            else:
                dialog.post_message(WorkAnswered(step))
        dialog.post_message(WorkEnded())
        outcome = await closed
        await self.look()
        return outcome

    def stop_work(self) -> None:
        """Make no more calls, nor any more of many."""
        self.engine.stop()
        if self._work is not None:
            self._work.cancelled = True

    # What came of it

    def show_toast(
        self, sentence: str, severity: SeverityLevel = "information", seconds: float = 0
    ) -> None:
        """Show a toast; whatever is in the sentence is shown as it is."""
        timeout = seconds or (12 if severity == "error" else 5)
        text = safe(sentence, MAX_TOAST_CELLS)
        self.notify(text, severity=severity, timeout=timeout, markup=False)

    def show_saved(self, sentence: str, severity: SeverityLevel = "information") -> None:
        """Show the outcome of a change, and the key that undoes it."""
        self.show_toast(f"{sentence}   {pressed('app.undo')} undoes it", severity)


class EngineScreen(Screen[R]):
    """A screen or a dialog that asks the engine; it stops asking when it goes."""

    pause_seconds: ClassVar[float] = 0.3
    """So long nothing is typed before the engine is asked about what was typed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pauses: dict[Callable[[], None], Timer] = {}

    @property
    def console(self) -> EngineApp:
        """The app, which runs commands and shows their outcomes."""
        return cast("EngineApp", self.app)

    @property
    def engine(self) -> EngineClient:
        """The way to the engine."""
        return self.console.engine

    def ask(self, asking: Callable[[*Ts], Awaitable[None]], *args: *Ts) -> None:
        """Run what asks the engine, until the screen goes; an error not handled there is shown."""
        self._ask(partial(asking, *args))

    @work(group="asking", description="question")
    async def _ask(self, asking: Callable[[], Awaitable[None]]) -> None:
        await self.console.told(asking)

    def after_pause(self, act: Callable[[], None]) -> None:
        """Do something once nothing was typed for a moment; each call begins to wait anew."""
        self.cancel_pause(act)
        self._pauses[act] = self.set_timer(self.pause_seconds, act)

    def cancel_pause(self, act: Callable[[], None]) -> None:
        """Do not do it, if that is still waited for."""
        timer = self._pauses.pop(act, None)
        if timer is not None:
            timer.stop()
