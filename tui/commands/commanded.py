"""An app that carries out what its screens ask for by message."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from textual import on
from textual.app import App

from tui.commands.calls import EngineCalls
from tui.link import (
    AbortRequested,
    AllowRequested,
    CallRequested,
    EngineAnswered,
    EngineCall,
    EngineLink,
    ForwardingCommand,
    ProcessorCommand,
    Reading,
    ReceiverCommand,
    RestoreRequested,
    SettingsCommand,
    SwitchRequested,
    UndoRequested,
    WorkRequested,
)
from tui.screens.dashboard import DashboardScreen
from tui.text import safe

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from engine.model.receiver import Receiver
    from engine.view import EngineView
    from tui.commands.associations import AssociationCommands
    from tui.commands.history import HistoryCommands
    from tui.commands.processors import ProcessorCommands
    from tui.commands.receivers import ReceiverCommands
    from tui.commands.settings import SettingsCommands
    from tui.commands.site import SiteCommands
    from tui.screens.console_screen import Frame

MAX_TOAST_CELLS = 400


class CommandedApp(App[None]):
    """Takes commands, makes calls to the engine for them, and tells what came of it.

    Each group of commands is imported when the first of them is given. They bring the model of
    everything that can be configured, which the first picture does without.
    """

    def __init__(self, engine: EngineView, frame: Frame) -> None:
        super().__init__()
        self.blink = frame.blink
        self.frame = frame
        self.reading = Reading()
        self.dashboard = DashboardScreen(frame)
        self._engine = engine
        self._link = EngineLink(engine, self.post_message)
        self._calls = EngineCalls(self, self._link)
        self._stopping = False

    @cached_property
    def _receiver_commands(self) -> ReceiverCommands:
        from tui.commands.receivers import ReceiverCommands

        return ReceiverCommands(self, self._engine, self.frame.actor)

    @cached_property
    def _association_commands(self) -> AssociationCommands:
        from tui.commands.associations import AssociationCommands

        return AssociationCommands(self, self._engine, self.frame.actor)

    @cached_property
    def _site_commands(self) -> SiteCommands:
        from tui.commands.site import SiteCommands

        return SiteCommands(self, self.frame.actor)

    @cached_property
    def _settings_commands(self) -> SettingsCommands:
        from tui.commands.settings import SettingsCommands

        return SettingsCommands(self, self._engine, self.frame.actor)

    @cached_property
    def _history_commands(self) -> HistoryCommands:
        from tui.commands.history import HistoryCommands

        return HistoryCommands(self, self.frame.actor)

    @cached_property
    def _processor_commands(self) -> ProcessorCommands:
        from tui.commands.processors import ProcessorCommands

        return ProcessorCommands(self, self._engine, self.frame.actor)

    def refresh_from_engine(self) -> None:
        """Look at the engine once."""
        self.reading = self._link.read()

    def look_at(self, receiver_id: int) -> Receiver | None:
        """Look at the engine again and return a receiver as it is now."""
        self.refresh_from_engine()
        status = self.reading.receiver(receiver_id)
        return status.receiver if status is not None else None

    def may(self, *, changing: bool = True) -> bool:
        """Tell whether commands are taken now; a read-only console says why not."""
        if changing and self.frame.read_only:
            self.tell("this console is read-only: nothing is changed", "warning")
            return False
        return not self._stopping

    def tell(
        self, sentence: str, severity: SeverityLevel = "information", seconds: float = 0
    ) -> None:
        """Show a toast; whatever is in the sentence is shown as it is."""
        timeout = seconds or (12 if severity == "error" else 5)
        text = safe(sentence, MAX_TOAST_CELLS)
        self.notify(text, severity=severity, timeout=timeout, markup=False)

    def tell_saved(self, sentence: str, severity: SeverityLevel = "information") -> None:
        """Tell what became of a change, and how to take it back."""
        self.tell(f"{sentence}   Z undoes it", severity)

    # Calls to the engine

    def call_engine(self, call: EngineCall) -> None:
        """Make a call that may block, one at a time for each thing that calls are about."""
        self._calls.make(call)

    @on(CallRequested)
    def _call(self, request: CallRequested) -> None:
        self._calls.make(request.call)

    @on(EngineAnswered)
    def _answered(self, answer: EngineAnswered) -> None:
        self._calls.answered(answer)

    @on(WorkRequested)
    def _begin_work(self, request: WorkRequested) -> None:
        self._calls.work(request)

    # Commands

    @on(ReceiverCommand)
    def _command_receiver(self, command: ReceiverCommand) -> None:
        if self.may(changing=command.action != "echo"):
            self._receiver_commands.run(command.action, command.receiver_id)

    @on(AllowRequested)
    def _allow_caller(self, request: AllowRequested) -> None:
        if self.may():
            self._association_commands.allow(request.association)

    @on(AbortRequested)
    def _abort_associations(self, request: AbortRequested) -> None:
        if self.may():
            self._association_commands.abort(request)

    @on(ProcessorCommand)
    def _command_processor(self, command: ProcessorCommand) -> None:
        if self.may(changing=command.action != "test"):
            self._processor_commands.run(command)

    @on(ForwardingCommand)
    def _command_forwarding(self, command: ForwardingCommand) -> None:
        if self.may():
            self._processor_commands.forwarding(command)

    @on(SwitchRequested)
    def _switch_receivers(self, request: SwitchRequested) -> None:
        if self.may():
            self._site_commands.switch(allowed=request.allowed)

    @on(SettingsCommand)
    def _command_settings(self, command: SettingsCommand) -> None:
        if self.may():
            self._settings_commands.run(command)

    @on(UndoRequested)
    def _undo(self) -> None:
        if self.may():
            self._history_commands.undo()

    @on(RestoreRequested)
    def _restore(self, request: RestoreRequested) -> None:
        if self.may():
            self._history_commands.restore(request.number)
