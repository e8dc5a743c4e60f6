"""Calls the engine on worker threads: one at a time for each subject, or many with progress."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.shell.dialogs import MessageDialog
from tui.shell.work import ProgressDialog, WorkAnswered, WorkEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from tui.app import CommandApp
    from tui.engine_client import EngineAnswered, EngineCall, EngineLink, WorkOutcome, WorkRequested


class EngineCalls:
    """Makes calls on worker threads and hands their answers on, for one console."""

    def __init__(self, app: CommandApp, link: EngineLink) -> None:
        self._app = app
        self._link = link
        self._busy: set[Hashable] = set()
        self._waiting: dict[Hashable, EngineCall] = {}
        self._work: ProgressDialog | None = None

    def make(self, call: EngineCall) -> None:
        """Make a call now, later if it may wait, or not at all."""
        if not self._app.may(changing=call.changes):
            return
        if call.about not in self._busy:
            self._busy.add(call.about)
            self._on_thread(partial(self._perform, call), "engine")
        elif call.latest:
            self._waiting[call.about] = call
        else:
            self._app.show_toast(f"{call.what}: wait, the last command is not done yet", "warning")

    def answered(self, answer: EngineAnswered) -> None:
        """Hand an answer to whoever asked; make the call that waited for this one."""
        call = answer.call
        self._busy.discard(call.about)
        waiting = self._waiting.pop(call.about, None)
        if waiting is not None:
            self.make(waiting)
        if answer.error is None:
            call.then(answer.result)
        elif call.otherwise is not None:
            call.otherwise(answer.error)
        else:
            self._app.refresh_from_engine()
            error = answer.error
            self._app.push_screen(MessageDialog(error.title, error.detail, error.remedy))

    def work(self, request: WorkRequested) -> None:
        """Make many calls one after the other, seen in a box that can end it between two."""
        if self._app.may(changing=any(call.changes for call in request.calls)):
            screen = ProgressDialog(request.title, request.calls)
            self.work_on(screen, request.calls, request.then)

    def work_on(
        self,
        screen: ProgressDialog,
        calls: tuple[EngineCall, ...],
        then: Callable[[WorkOutcome], None],
    ) -> None:
        """Make many calls, followed by a screen."""

        def ended(outcome: WorkOutcome | None) -> None:
            self._app.refresh_from_engine()
            if outcome is not None:
                then(outcome)

        self._work = screen
        self._app.push_screen(screen, ended)
        self._on_thread(partial(self._perform_all, screen, calls), "work")

    def stop(self) -> None:
        """Make no more of the many calls."""
        if self._work is not None:
            self._work.cancelled.set()

    def _on_thread(self, run: Callable[[], None], group: str) -> None:
        self._app.run_worker(run, thread=True, group=group, exit_on_error=False)

    def _perform(self, call: EngineCall) -> None:
        self._app.post_message(self._link.perform(call))

    def _perform_all(self, screen: ProgressDialog, calls: tuple[EngineCall, ...]) -> None:
        for call in calls:
            if screen.cancelled.is_set():
                break
            screen.post_message(WorkAnswered(self._link.perform(call)))
        screen.post_message(WorkEnded())
