"""The console application: polls the engine, shows screens, carries out commands, and quits."""

from __future__ import annotations

import asyncio
import pkgutil
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.app import ScreenStackError
from textual.command import SimpleProvider
from textual.drivers.linux_driver import LinuxDriver

from engine.errors import EngineError
from tui.console_settings import KeptSettings, Symbols
from tui.dashboard.screen import DashboardScreen
from tui.engine_client import (
    CONSOLES,
    AllowRequested,
    ChoiceRequested,
    EngineStopped,
    GoRequested,
    ReceiverCommand,
    ReceiverWanted,
    RefreshRequested,
    RestoreRequested,
    SettingsCommand,
    SwitchRequested,
    UndoRequested,
    UrgentEvent,
)
from tui.keymap import keymap, user_keys
from tui.keys import Scope, bindings, rebind
from tui.places import HOME, SCREEN_SPECS, ScreenSpec
from tui.shell.dialogs import MessageDialog, QuestionDialog, TooSmallScreen, is_too_small
from tui.shell.engine_app import EngineApp
from tui.shell.palette import ConsoleCommands, ConsolePalette
from tui.shell.screen import ConsoleScreen, ScreenContext
from tui.shell.status import pace_words
from tui.terminal import CHECK_SECONDS, TerminalWatch, end_at_once
from tui.terminal_output import PatientDriver
from tui.terminal_picture import TerminalPicture
from tui.theme import DARK, QUIET, THEMES, OnceParsed, palette_of, user_theme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from rich.console import RenderableType
    from textual.command import Provider
    from textual.driver import Driver
    from textual.events import Resize
    from textual.screen import Screen
    from textual.theme import Theme
    from textual.timer import Timer

    from engine.api import EngineView
    from tui.associations.commands import AssociationCommands
    from tui.history.revisions import HistoryCommands
    from tui.receivers.commands import ReceiverCommands
    from tui.sessions.find import Finding
    from tui.settings.commands import SettingsCommands, SiteCommands


class CommandApp(EngineApp):
    """Takes commands and has them carried out.

    Each group of commands is imported when the first of them is given. They bring the model of
    everything that can be configured, which the first picture does without.
    """

    def __init__(self, engine: EngineView, frame: ScreenContext) -> None:
        super().__init__(engine, read_only=frame.read_only, actor=frame.actor, blink=frame.blink)
        self.frame = frame
        self.dashboard = DashboardScreen(frame)
        self._stopping = False

    def select_receiver(self, receiver_id: int) -> None:
        """Put the cursor of the dashboard on a receiver."""
        self.dashboard.select(receiver_id)

    @cached_property
    def _receiver_commands(self) -> ReceiverCommands:
        from tui.receivers.commands import ReceiverCommands

        return ReceiverCommands(self)

    @cached_property
    def _association_commands(self) -> AssociationCommands:
        from tui.associations.commands import AssociationCommands

        return AssociationCommands(self)

    @cached_property
    def _site_commands(self) -> SiteCommands:
        from tui.settings.commands import SiteCommands

        return SiteCommands(self)

    @cached_property
    def _settings_commands(self) -> SettingsCommands:
        from tui.settings.commands import SettingsCommands

        return SettingsCommands(self)

    @cached_property
    def _history_commands(self) -> HistoryCommands:
        from tui.history.revisions import HistoryCommands

        return HistoryCommands(self)

    # Commands

    @on(ReceiverCommand)
    def _command_receiver(self, command: ReceiverCommand) -> None:
        if self.may(changing=command.action not in ("echo", "reach")):
            self.carry_out(self._receiver_commands.run, command.action, command.receiver_id)

    @on(AllowRequested)
    def _allow_caller(self, request: AllowRequested) -> None:
        if self.may():
            self.carry_out(self._association_commands.allow, request.association)

    @on(SwitchRequested)
    def _switch_receivers(self, request: SwitchRequested) -> None:
        if self.may():
            self.carry_out(self._site_commands.switch, request.allowed)

    @on(SettingsCommand)
    def _command_settings(self, command: SettingsCommand) -> None:
        if self.may():
            self.carry_out(self._settings_commands.run, command)

    @on(UndoRequested)
    def _undo(self) -> None:
        if self.may():
            self.carry_out(self._history_commands.undo)

    @on(RestoreRequested)
    def _restore(self, request: RestoreRequested) -> None:
        if self.may():
            self.carry_out(self._history_commands.restore, request.number)


REDRAW_SECONDS = 0.2
PACES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Looks per second that keys choose."""
MOST_PROBLEMS = 4
PROBLEM_SECONDS = 20
"""What is wrong with settings is shown so long."""
REST = timedelta(seconds=5)
"""A screen behind a dialog is drawn so often."""


def _named_things() -> type[Provider]:
    # Loaded when the palette is opened: the first picture does without it.
    from tui.names import NamedThings

    return NamedThings


class ConsoleApp(CommandApp):
    """The terminal console of one engine, in this process or another."""

    TITLE = "dicomdock"
    CSS_PATH = ["theme.tcss", "style.tcss"]
    BINDINGS = bindings(Scope.EVERYWHERE)
    DEFAULT_MODE = HOME
    COMMANDS = {ConsoleCommands, _named_things}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (140, "-very-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]

    def __init__(
        self,
        engine: EngineView,
        *,
        refresh_hz: float = 4.0,
        blink: bool = True,
        actor: str = "console",
        on_start: Callable[[], None] | None = None,
        on_quit: Callable[[], None] | None = None,
        on_hangup: Callable[[], None] | None = None,
        on_keep: Callable[[], None] | None = None,
        on_shown: Callable[[], None] | None = None,
        obstacle: Callable[[], str] | None = None,
        hosting: bool | None = None,
        service: Callable[[], str] = str,
        demo: bool = False,
        read_only: bool = False,
        settings_path: Path | None = None,
        usual_refresh: bool = False,
        theme_name: str = "",
        places: tuple[ScreenSpec, ...] = (),
    ) -> None:
        """Take the engine, and how and how often it is shown.

        Args:
            engine: What is shown and commanded.
            refresh_hz: Looks per second; 0 looks once, then only when asked.
            blink: Whether text cursors blink.
            actor: Who changes the configuration, for its history.
            on_start: Starts the engine; called on a worker thread when the first picture is there.
                An `EngineError` ends the console, and is its `start_failure`.
            on_quit: Stops the engine; called on a worker thread, may take seconds.
            on_hangup: Called on this thread when the terminal is gone, before the console ends
                without `on_quit`; None quits then.
            on_keep: Called on this thread before the console ends without `on_quit`, because the
                user keeps the engine running; None never asks whether to.
            on_shown: Called on a worker thread when console and engine are there, for what may
                take time.
            obstacle: Says on a worker thread why no engine can be started in place of one that
                has ended; empty if one can. None offers no start.
            hosting: Whether the engine runs in this process; None says nothing about it.
            service: Names the service that is installed for the engine's data directory.
            demo: Whether to say that nothing here is real.
            read_only: Whether nothing that changes anything can be reached.
            settings_path: Where the user's settings are kept; None keeps none.
            usual_refresh: Whether `refresh_hz` gives way to the one in the settings.
            theme_name: Instead of the one in the settings.
            places: The screens there are, instead of `SCREEN_SPECS`.
        """
        places = places or SCREEN_SPECS
        self._kept = KeptSettings(settings_path, refresh_hz)
        if usual_refresh and self._kept.settings.refresh is not None:
            self._kept.hz = self._kept.settings.refresh
        frame = ScreenContext(
            blink=blink,
            demo=demo,
            read_only=read_only,
            hosting=hosting,
            restarts=obstacle is not None and not read_only,
            places=places,
            actor=actor,
            kept=self._kept,
        )
        super().__init__(engine, frame)
        self.stylesheet = OnceParsed(variables=self.get_css_variables())
        self._was_silent = self._is_asked = False
        self._shown_at: datetime | None = None
        """When the snapshot was taken that was shown last."""
        self._looks_timer: Timer | None = None
        self._on_start = on_start
        self._on_quit = on_quit
        self._on_hangup = on_hangup
        self._on_keep = on_keep
        self._obstacle = obstacle
        self.wants_engine = False
        """Whether the console ended so that it can be opened again with an engine of its own."""
        self._service = service
        self._on_shown = on_shown
        self.start_failure: EngineError | None = None
        """Why the engine could not be started, which ended the console."""
        self.goes_on = False
        """Whether the console ended and left its engine running."""
        self._terminal_watch = TerminalWatch(self._hang_up, self._terminate)
        self._picture = TerminalPicture()
        self._settings_problems = [self._kept.problem] if self._kept.problem else []
        self.console_themes = (*THEMES, *self._user_themes())
        """What can be chosen."""
        for theme in self.console_themes:
            self.register_theme(theme)
        self.theme = self._known_theme(theme_name or self._kept.settings.theme)
        keys, problems = user_keys(self._kept.settings.keys)
        self._settings_problems += problems
        rebind(keys)
        self._user_keys = keymap(keys)
        for place in places:
            if place.screen:
                self.add_mode(place.name, partial(self._screen_of, place))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give themes that are not ours the variables that our styles use."""
        return {"quiet": QUIET, "key": "#8cc8ec", "line": "#3a4756"}

    # Settings

    def _user_themes(self) -> Iterator[Theme]:
        for name, said in self._kept.settings.themes.items():
            try:
                yield user_theme(name, said)
            except ValueError as error:
                self._settings_problems.append(str(error))

    def _known_theme(self, name: str) -> str:
        if name in {theme.name for theme in self.console_themes}:
            return name
        self._settings_problems.append(f"there is no theme “{name}”, the usual one is used")
        return DARK.name

    def choose_theme(self, name: str) -> None:
        """Use a theme from now on, and the next time."""
        self.theme = name
        self._say_kept(self._kept.keep_theme(name))

    def _say_kept(self, problem: str) -> None:
        if problem:
            self.show_toast(problem, "warning")

    def action_pace(self, step: int) -> None:
        """Look more or less often, now and the next time."""
        hz = self._kept.hz
        paces = sorted({*PACES, hz})
        at = paces.index(hz) + step
        if not 0 <= at < len(paces):
            often = "more" if step > 0 else "less"
            self.show_toast(f"the console looks {pace_words(hz)}, and not {often} often")
            return
        self._say_kept(self._kept.keep_hz(paces[at]))
        self.show_toast(f"the console looks {pace_words(paces[at])}", seconds=2)
        self._look_regularly()
        self._show_reading()

    def _look_regularly(self) -> None:
        if self._looks_timer is not None:
            self._looks_timer.stop()
        self._looks_timer = self.set_interval(1 / self._kept.hz, self.refresh_from_engine)

    async def on_mount(self) -> None:
        """Poll the engine once, then start the timers."""
        self._terminal_watch.begin()
        self._link.start()
        self.set_keymap(self._user_keys)
        self._say_settings_problems()
        self.theme_changed_signal.subscribe(self, self._repaint)
        self.set_interval(CHECK_SECONDS, self._terminal_watch.check)
        await self.look()
        if self._kept.hz > 0:
            self._look_regularly()
        # Loading the engine takes longer than drawing: the first picture comes before it.
        self.call_after_refresh(self._begin)

    def _say_settings_problems(self) -> None:
        for problem in self._settings_problems[:MOST_PROBLEMS]:
            self.show_toast(problem, "warning", PROBLEM_SECONDS)
        more = len(self._settings_problems) - MOST_PROBLEMS
        if more > 0:
            self.show_toast(f"{more} more problems in {self._kept.path}", "warning")

    def _begin(self) -> None:
        self.carry_out(self._start_engine)

    async def _start_engine(self) -> None:
        if self._on_start is not None:
            try:
                await self._call_back("start the engine", self._on_start)
            except EngineError as error:
                self.start_failure = error
                self.exit()
                return
            await self.look()
        if self._on_shown is not None:
            await self._call_back("serve consoles", self._on_shown)

    async def _call_back(self, what: str, run: Callable[[], None]) -> None:
        await self.engine.call(what, lambda _: run(), about=CONSOLES, changes=False)

    # A fault of ours

    @property
    def fault(self) -> BaseException | None:
        """The unforeseen exception that has ended the console; `tui.fault` reports it."""
        return self._exception

    def _fatal_error(self) -> None:
        # Textual would print a traceback with local values, a patient's name among them.
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End the console; exceptions that render themselves come here, and show their text."""
        self._close_messages_no_wait()

    def on_unmount(self) -> None:
        """Unsubscribe from urgent events and stop polling."""
        self._link.stop()
        self.engine.close()

    # Looking at the engine

    def looked(self) -> None:
        """Show what changed; a screen behind a dialog rests, as drawing it costs most then."""
        if not self.screen_stack:
            return  # the console is being left, and its screens went while the engine was asked
        was_silent, self._was_silent = self._was_silent, self.engine_state.silent
        if self.screen is self._seen() or self._was_silent != was_silent or self._has_rested():
            self._show_reading()
        if self.engine_state.silent != was_silent and self.screen is not self._seen():
            # What changes behind a dialog is not always drawn, and no other change follows.
            self.set_timer(REDRAW_SECONDS, self._redraw)

    def _has_rested(self) -> bool:
        snapshot = self.engine_state.snapshot
        if snapshot is None or self._shown_at is None:
            return True
        return abs(snapshot.taken_at - self._shown_at) >= REST

    def _redraw(self) -> None:
        self.screen.refresh()

    def _show_reading(self) -> None:
        screen = self._seen()
        if screen is None:
            return
        snapshot = self.engine_state.snapshot
        self._shown_at = snapshot.taken_at if snapshot is not None else None
        with self.batch_update():
            screen.paint(palette_of(self.current_theme))
            screen.show(self.engine_state)

    def _repaint(self, theme: Theme) -> None:
        self._show_reading()

    @on(RefreshRequested)
    def _show_again(self) -> None:
        self._show_reading()

    # Screens

    def _seen(self) -> ConsoleScreen | None:
        """Return the screen that is seen, perhaps behind a dialog; none while leaving."""
        stack = reversed(self.screen_stack)
        return next((s for s in stack if isinstance(s, ConsoleScreen) and not s.leaving), None)

    def _screens(self) -> Iterator[ConsoleScreen]:
        # Textual has no public way to the screens of other modes.
        for stack in self._screen_stacks.values():
            yield from (screen for screen in stack if isinstance(screen, ConsoleScreen))

    def _screen_of(self, place: ScreenSpec) -> ConsoleScreen:
        if place.name == HOME:
            return self.dashboard
        screen = pkgutil.resolve_name(place.screen)(self.frame)
        assert isinstance(screen, ConsoleScreen)
        return screen

    def go(self, name: str) -> None:
        """Show a screen as it was left; the one that is seen, from its beginning."""
        if name != self.current_mode:
            self.switch_mode(name)
        else:
            while isinstance(self.screen, ConsoleScreen) and self.screen.crumbs():
                self.pop_screen()
        self._show_reading()

    def action_go(self, name: str) -> None:
        """Go to a screen by its key."""
        self.go(name)

    @on(GoRequested)
    def _go_with_filter(self, request: GoRequested) -> None:
        self.go(request.place)
        self.go(request.place)  # again: closes deeper screens that were left open there
        screen = self.screen
        if isinstance(screen, ConsoleScreen):
            screen.look_for(request.words)

    @on(ReceiverWanted)
    def _show_receiver(self, wanted: ReceiverWanted) -> None:
        self.go(HOME)
        self.go(HOME)  # again: closes deeper screens that were left open there
        if self.engine_state.receiver(wanted.receiver_id) is not None:
            self.dashboard.open_receiver(wanted.receiver_id)

    def clear_selection(self) -> None:
        """Clear the selection of text, if there is a screen.

        Since Python 3.12 the first one is composed before it is on the stack, its fields included.
        """
        with suppress(ScreenStackError):
            super().clear_selection()

    async def _check_bindings(self, key: str, priority: bool = False) -> bool:
        # Textual has no public way to hear of a key that did nothing.
        acts = await super()._check_bindings(key, priority)
        if not acts and not priority and isinstance(self.screen, ConsoleScreen):
            self.screen.explain_key(key)
        return acts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide keys of missing screens, and of changes in a read-only console."""
        if action == "undo":
            if self.frame.read_only or self._stopping:
                return False
            return None if self.engine_state.silent else True
        if action == "start_engine":
            return self.frame.restarts and self.engine_state.silent and not self._stopping
        if action == "pace":
            return self._kept.hz > 0
        if action == "go":
            return any(place.name == parameters[0] and place.screen for place in self.frame.places)
        return super().check_action(action, parameters)

    @on(UrgentEvent)
    def _show_urgent_event(self, news: UrgentEvent) -> None:
        event = news.recorded.event
        where = f"{event.receiver} " if event.receiver else ""
        self.show_toast(f"{where}{event.sentence()}", "error")
        self.refresh_from_engine()

    # Keys

    def action_undo(self) -> None:
        """Ask to take back the newest change of the configuration."""
        self.post_message(UndoRequested())

    async def action_start_engine(self) -> None:
        """Open the console again with an engine of its own, if nothing stands against it."""
        if self._obstacle is not None:
            self.carry_out(self._start_another, self._obstacle)

    async def _start_another(self, obstacle: Callable[[], str]) -> None:
        why = await asyncio.to_thread(obstacle)
        if why:
            self.push_screen(MessageDialog("No engine is started here", why))
        elif self.engine_state.silent:
            self.wants_engine = True
            self._leave()

    def action_command_palette(self) -> None:
        """Open the palette."""
        if not isinstance(self.screen, ConsolePalette):
            self.push_screen(
                ConsolePalette(blink=self.blink, placeholder="What do you want to do?")
            )

    @on(ChoiceRequested)
    def _choose(self, request: ChoiceRequested) -> None:
        provider = SimpleProvider(self.screen, list(request.choices))
        self.push_screen(
            ConsolePalette(blink=self.blink, providers=[provider], placeholder=request.placeholder)
        )

    def action_help(self) -> None:
        """Show all keys."""
        from tui.shell.help import HelpScreen, all_keys

        page = all_keys(palette_of(self.current_theme), self._seen() or self.dashboard)
        self.push_screen(HelpScreen("Keys and help", page))

    def action_help_here(self) -> None:
        """Show help on the focused panel."""
        from tui.shell.help import HelpScreen, help_on

        screen = self._seen() or self.dashboard
        title, page = help_on(self.focused or screen, palette_of(self.current_theme), screen)
        self.push_screen(HelpScreen(title, page))

    def action_find(self) -> None:
        """Look for something in all areas, and show what is chosen."""
        self.carry_out(self._find)

    async def _find(self) -> None:
        from tui.sessions.find import FindDialog

        snapshot = self.engine_state.snapshot
        if snapshot is None or isinstance(self.screen, FindDialog):
            return
        found = await self.push_screen_wait(FindDialog(snapshot.taken_at, blink=self.frame.blink))
        if found is not None:
            self.show_found(found)

    def show_found(self, found: Finding) -> None:
        """Show a session or an object that was looked for."""
        from engine.api.sessions import FoundSession

        self.go("sessions")
        self.go("sessions")  # again: closes deeper screens that were left open there
        screen: ConsoleScreen
        if isinstance(found, FoundSession):
            from tui.sessions.session import SessionScreen

            screen = SessionScreen(self.frame, found.session)
        else:
            from tui.inspector.screen import InspectorScreen

            screen = InspectorScreen(self.frame, found, ("Found",))
        screen.show(self.engine_state)
        self.push_screen(screen)

    @work(group="diagnostics", exclusive=True, description="diagnostics")
    async def action_diagnostics(self) -> None:
        """Show versions, files, terminal, engine and its health, for a report."""
        from tui.shell.help import console_facts, diagnostics

        health = None
        # Without an engine that answers, the rest is shown all the same.
        with suppress(EngineError):
            health = await self.engine.call(
                "health", lambda engine: engine.monitoring.health(), changes=False
            )
        facts = console_facts(self, self._kept.path)
        text = diagnostics(facts, self.engine_state, health)
        self.push_screen(MessageDialog("Diagnostics", text, error=False))

    # The terminal

    @property
    def symbols(self) -> Symbols:
        """Which characters the user wants to see; the driver draws with them."""
        return self._kept.settings.symbols

    def get_driver_class(self) -> type[Driver]:
        """Use Textual's driver, but never wait for a terminal that nobody reads."""
        usual = super().get_driver_class()
        return PatientDriver if usual is LinuxDriver else usual

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, self._picture.shortened(self, screen, renderable))

    def action_repaint(self) -> None:
        """Write the whole screen again: something else may have written to the terminal."""
        self._picture.forget()
        self.screen.refresh()

    def on_resize(self, event: Resize) -> None:
        """Write all anew, and show a notice while the terminal is too small."""
        self.action_repaint()  # it comes also when the console is resumed after a suspension
        small = is_too_small(*event.size)
        shown = isinstance(self.screen, TooSmallScreen)
        if small and not shown:
            self.push_screen(TooSmallScreen())
        elif shown and not small:
            self.pop_screen()

    # Leaving

    async def action_quit(self) -> None:
        """Leave; if the engine is ours, ask first what becomes of it."""
        if isinstance(self.screen, QuestionDialog) and self._is_asked:
            return  # it is on the screen, and says which keys answer it
        if self._on_keep is None or self._stopping or self.engine_state.snapshot is None:
            self._leave()
        else:
            self._is_asked = True
            self._ask_and_leave(self._on_keep)

    # In no group that `stop_work` or a screen ends.
    @work(group="quit", description="quit")
    async def _ask_and_leave(self, on_keep: Callable[[], None]) -> None:
        from tui.shell.leaving import KEEP, leave_question

        snapshot = self.engine_state.snapshot
        assert snapshot is not None
        service = await asyncio.to_thread(self._service)
        answer = await self.push_screen_wait(leave_question(snapshot, service))
        self._is_asked = False
        if answer == KEEP:
            self._go_on_without_console(on_keep)
        elif answer is not None:
            self._leave()

    def _leave(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        self.stop_work()
        for screen in self._screens():
            screen.announce_stop()
        if self._on_quit is None:
            self.exit()
        else:
            self._stop_engine(self._on_quit)

    @work(thread=True, group="quit", exit_on_error=False)
    def _stop_engine(self, on_quit: Callable[[], None]) -> None:
        try:
            on_quit()
        finally:
            self.post_message(EngineStopped())

    @on(EngineStopped)
    def _engine_stopped(self) -> None:
        self.exit()

    def _hang_up(self) -> None:
        self._terminal_watch.forget_lost_terminal(self._driver)
        if self._on_hangup is None or self._stopping:
            self._leave()
            return
        self._go_on_without_console(self._on_hangup)

    def _go_on_without_console(self, prepare: Callable[[], None]) -> None:
        self._stopping = self.goes_on = True
        self.stop_work()
        self._terminal_watch.release_signals()
        prepare()
        self.exit()

    def _terminate(self) -> None:
        if self._stopping:
            end_at_once(self._driver)
        self._leave()
