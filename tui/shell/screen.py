"""The base classes of the screens: frame, tabs, pause, zoom, filter, copy, and the way back.

A screen sets class variables and implements `compose_body` and `show_panels`. It needs a line in
`tui.places`, its keys in `tui.keys` under its own `Scope`, and panels with ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import (
    TYPE_CHECKING,
    ClassVar,
    NamedTuple,
    Protocol,
    runtime_checkable,
)

from textual import on
from textual.widgets import Input

from tui.console_settings import KeptSettings
from tui.engine_client import (
    ChoiceRequested,
    EngineState,
    RefreshRequested,
)
from tui.keys import KEYS, Key, Scope, bindings, changes, needs_engine, pressed, with_keys
from tui.places import HOME, SCREEN_SPECS, ScreenSpec
from tui.shell.dialogs import MessageDialog
from tui.shell.engine_app import EngineScreen
from tui.shell.health import Banners
from tui.shell.status import STATUS, KeyLine, StatusLine, stopping_sentence
from tui.shell.tabs import Breadcrumb, TabRow
from tui.text import clock, counted, cut, safe
from tui.theme import palette_of
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.marks import Marks
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Excerpt, Panel
from tui.widgets.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from textual.app import ComposeResult
    from textual.widget import Widget

    from engine.api import EngineSnapshot
    from engine.errors import EngineError
    from tui.shell.details import Details
    from tui.theme import Palette


TINY_HEIGHT = 20
"""Below that many rows a screen shows only what it is for."""
_DECIDING = ("receivers", "associations", "ended_associations", "read_only")
"""What of a snapshot decides which keys there are."""


VIEW_REASONS = {
    "view.filter": "this screen has no filter, or no rows yet",
    "view.sort": "this panel has no table to sort",
    "view.columns": "this panel has no table",
}
"""Why a key of every screen does nothing."""


@dataclass(frozen=True, slots=True)
class ScreenContext:
    """What all screens of one console have in common."""

    blink: bool = True
    demo: bool = False
    read_only: bool = False
    hosting: bool | None = None
    """Whether the engine runs in this process; None says nothing about it."""
    restarts: bool = False
    """Whether a key starts an engine in place of one that has ended."""
    places: tuple[ScreenSpec, ...] = SCREEN_SPECS
    actor: str = "console"
    """Who acts, for histories and the journal."""
    kept: KeptSettings = field(default_factory=lambda: KeptSettings(None, 0))
    """What the user chose, now and before."""


@runtime_checkable
class Painted(Protocol):
    """A widget that draws with the colors of a palette."""

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        ...


class PaletteEntry(NamedTuple):
    """One line of the palette."""

    name: str
    """Such as ``receiver: Edit XNAT:8104``; safe text."""
    detail: str
    shown: str
    """The key, if there is one."""
    run: Callable[[], object]


class ConsoleScreen(EngineScreen[None]):
    """Shows one reading after another while it is seen; asks for commands by message."""

    PLACE: ClassVar[str] = HOME
    """The place in `tui.places` that it is, or that it lies behind."""
    SCOPES: ClassVar[tuple[Scope, ...]] = ()
    """Whose keys work on it, besides those of every screen."""
    PANELS: ClassVar[tuple[str, ...]] = ()
    """Ids of the panels that can be focused; the first is home."""
    OFFERS_RECEIVERS: ClassVar[bool] = False
    """Whether `palette_entries` names each receiver itself."""
    BINDINGS = bindings(Scope.SCREENS, Scope.VIEW)

    def __init_subclass__(cls, **options: object) -> None:
        """Bind the keys of the screen's scopes."""
        if "SCOPES" in cls.__dict__:
            cls.BINDINGS = bindings(*cls.SCOPES)
        super().__init_subclass__(**options)  # type: ignore[arg-type]

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__()
        self.frame = frame
        self._engine_state = EngineState()
        self._paused_reading: EngineState | None = None
        self._painted: tuple[Palette, bool] | None = None
        self._built = False
        self._bar: FilterBar | None = None
        self._tables: dict[str, LiveTable | PagedTable] = {}
        self._stopping = False
        self._words = ""

    # What a screen says about itself

    def compose_body(self) -> ComposeResult:
        """Build everything between the tabs and the key line."""
        yield from ()

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Show a reading in the panels; called often, so write only what changed."""

    def crumbs(self) -> tuple[str, ...]:
        """Return the way to a deeper screen, safe text; none for a screen with a number."""
        return ()

    def details(self) -> Details | None:
        """Return what opening or copying the row under the cursor gives."""
        return None

    def copied(self) -> Details | None:
        """Return what copying gives: the row under the cursor, if the screen says nothing else."""
        return self.details()

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Return what the palette offers on this screen."""
        yield from self.key_entries(*self.SCOPES, Scope.VIEW)

    def key_entries(self, *scopes: Scope) -> Iterator[PaletteEntry]:
        """Offer what keys of some scopes do, as far as they work now."""
        for key in KEYS:
            parameters = (key.argument,) if key.argument else ()
            if key.scope in scopes and self.check_action(key.verb, parameters):
                name = f"{key.scope.lower()}: {key.label}"
                yield PaletteEntry(name, key.help, key.shown, partial(self.run_action, key.action))

    def impossible_entries(self) -> Iterator[PaletteEntry]:
        """Say why keys of the screen do nothing now; offered only when looked for."""
        for key in KEYS:
            parameters = (key.argument,) if key.argument else ()
            if key.scope in self.SCOPES and not self.check_action(key.verb, parameters):
                reason = self.why_not(key)
                if reason:
                    tell = partial(self.app.notify, reason, markup=False, timeout=5)
                    name = f"{key.scope.lower()}: {key.label}"
                    yield PaletteEntry(name, f"not now: {reason}", "", tell)

    @property
    def has_content(self) -> bool:
        """Whether there is anything to filter, sort, pause, zoom or copy."""
        return self._engine_state.snapshot is not None

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Decide on an action of the screen's own scopes, as `check_action` does."""
        return True

    # What is shown

    @property
    def engine_state(self) -> EngineState:
        """The newest reading."""
        return self._engine_state

    @property
    def shown_reading(self) -> EngineState:
        """The reading in the panels: the newest, or the one that is held."""
        return self._paused_reading or self._engine_state

    @property
    def leaving(self) -> bool:
        """Whether the console is taking the screen's widgets away."""
        return self._pruning

    def compose(self) -> ComposeResult:
        """Build the frame and the body in it."""
        yield StatusLine(demo=self.frame.demo, read_only=self.frame.read_only, kept=self.frame.kept)
        yield Banners(read_only=self.frame.read_only, restarts=self.frame.restarts)
        yield TabRow(self.frame.places, self.PLACE, hosting=self.frame.hosting)
        yield Breadcrumb()
        yield from self.compose_body()
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what is known before the first paint."""
        # Nothing was mounted if the console ends while the screen is being made.
        self._built = bool(self.query(StatusLine))
        if not self._built:
            return
        self._bar = next(iter(self.query(FilterBar)), None)
        found = self.query("LiveTable, PagedTable")
        self._tables = {str(t.id): t for t in found if isinstance(t, LiveTable | PagedTable)}
        kept, is_deep = self.frame.kept, bool(self.crumbs())
        for table in self._tables.values():
            table.restore(kept.table(self._kept_as(table)))
        words = self._words or ("" if is_deep else kept.settings.filters.get(self.PLACE, ""))
        if words:
            self.look_for(words)
        self.set_class(is_deep, "-deep")
        self.paint(palette_of(self.app.current_theme))
        self.show(self._engine_state)

    def on_resize(self) -> None:
        """Let the style sheets know that there is hardly any room."""
        self.set_class(self.size.height < TINY_HEIGHT, "-tiny")

    def on_screen_resume(self) -> None:
        """Ask for the newest reading: while hidden there was none."""
        self.post_message(RefreshRequested())

    def show(self, engine_state: EngineState) -> None:
        """Show a new reading; the panels stand still while paused."""
        before, self._engine_state = self._engine_state, engine_state
        if not self._built:
            return
        self.query_one(StatusLine).show(engine_state)
        self.set_class(engine_state.silent, "-silent")
        if self._painted is not None and self._painted[1] != engine_state.silent:
            self.paint(self._painted[0])
        snapshot = engine_state.snapshot
        if snapshot is not None:
            self.query_one(Banners).show(engine_state)
            self.query_one(TabRow).show(snapshot)
            self.query_one(Breadcrumb).show(self.crumbs())
        if snapshot is not None and self._paused_reading is None:
            self.show_panels(engine_state, snapshot)
        # Every key is asked what it can do, which costs too much for each poll.
        if _keys_may_differ(before, engine_state):
            self.refresh_bindings()

    def show_again(self) -> None:
        """Show the panels once more, after a filter or a choice changed."""
        engine_state = self.shown_reading
        if self._built and engine_state.snapshot is not None:
            self.show_panels(engine_state, engine_state.snapshot)
            self.refresh_bindings()

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on; what may be outdated is greyed."""
        painted = (palette, self._engine_state.silent)
        if not self._built or self._painted == painted:
            return
        self._painted = painted
        panels = palette.greyed() if self._engine_state.silent else palette
        for widget in self.query("*"):
            if isinstance(widget, Painted):
                widget.paint(palette if widget.id == STATUS else panels)

    def announce_stop(self) -> None:
        """Say that the engine is being stopped and take no more commands."""
        self._stopping = True
        if self._built:
            self.query_one(StatusLine).stopping(stopping_sentence(self._engine_state.snapshot))
            self.refresh_bindings()

    def panel(self, name: str) -> Panel:
        """Return a panel by its id."""
        return self.query_one(f"#{name}", Panel)

    def focused_panel(self) -> str | None:
        """Return the id of the panel that the focus is in."""
        focused: Widget | None = self.focused
        path = focused.ancestors_with_self if focused is not None else ()
        return next((str(node.id) for node in path if node.id in self.PANELS), None)

    def table_here(self) -> LiveTable | PagedTable | None:
        """Return the table of the focused panel, else of the first panel with one."""
        names = (f"{name}-table" for name in (self.focused_panel(), *self.PANELS))
        return next((self._tables[name] for name in names if name in self._tables), None)

    def filter_bar(self) -> FilterBar | None:
        """Return the filter line, if the screen has one."""
        return self._bar

    def look_for(self, words: str) -> None:
        """Filter by some words, now or when it is built; none show everything."""
        self._words = words
        bar = self.filter_bar()
        if bar is not None:
            bar.value = words

    def invited(self, fact: str, step: str) -> str:
        """Return a fact with the next step, which a read-only console does not name.

        An ``{id}`` in it is replaced by the key.
        """
        return fact if self.frame.read_only else with_keys(f"{fact}: {step}")

    # What happens

    @on(Input.Changed, "FilterBar")
    def _filter_changed(self) -> None:
        self.show_again()

    @on(Input.Submitted, "FilterBar")
    def _filter_kept(self) -> None:
        bar = self.filter_bar()
        if bar is not None:
            bar.close()
            if not self.crumbs():
                self._say_kept(self.frame.kept.keep_filter(self.PLACE, bar.value))
        table = self.table_here()
        if table is not None:
            table.focus()
        self.show_again()

    @on(Table.Arranged)
    def _table_arranged(self, arranged: Table.Arranged) -> None:
        """Keep what was chosen for a table."""
        table = arranged.table
        self._say_kept(self.frame.kept.keep_table(self._kept_as(table), table.arrangement))

    def _kept_as(self, table: Table) -> str:
        """Return the name of a table in the settings, such as ``dashboard.receivers``."""
        screen = type(self).__name__.removesuffix("Screen").lower()
        return f"{screen}.{str(table.id).removesuffix('-table')}"

    def _say_kept(self, problem: str) -> None:
        if problem:
            self.console.show_toast(problem, "warning")

    @on(Marks.MarksChanged)
    def _marks_changed(self) -> None:
        self.show_again()

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense here, grey what makes none for this row."""
        if self.frame.read_only and changes(action, parameters):
            return False
        if self._stopping and action in _own_actions(type(self)):
            return False
        if action == "back":
            return self._can_go_back()
        if action in ("order", "columns", "pause", "zoom", "copy", "open") and not self.has_content:
            return False
        if action == "order":
            table = self.table_here()
            return isinstance(table, LiveTable) or (table is not None and table.SORTS)
        if action == "columns":
            return self.table_here() is not None
        if action == "filter":
            bar = self.filter_bar()
            return bar is not None and not bar.has_focus and self.has_content
        own = self.check_own(action, parameters)
        if own and self._engine_state.silent and needs_engine(action, parameters):
            return None
        return own

    def explain_key(self, pressed: str) -> None:
        """Say why a key of this screen, which was pressed, does nothing now."""
        scopes = (*self.SCOPES, Scope.VIEW, Scope.EVERYWHERE)
        keys = [key for key in KEYS if key.scope in scopes and pressed == key.bound]
        if keys and keys[0].id != "view.back" and not self._stopping:
            words = f"{keys[0].shown} ({keys[0].label}): {self.why_not(keys[0])}"
            self.console.show_toast(words, "warning")

    def why_not(self, key: Key) -> str:
        """Return why a key does nothing now; safe text."""
        if self.frame.read_only and key.changes:
            return "this console is read-only"
        if self._engine_state.silent and (key.changes or key.asks):
            return "the engine does not answer"
        if self._engine_state.snapshot is None:
            return "the engine is being started"
        if key.id == "app.start_engine":
            return "only in place of an engine that has ended, and not in every console"
        if key.scope is Scope.VIEW:
            return VIEW_REASONS.get(key.id, "there is nothing here to do that with")
        return "not possible with what is selected now"

    def _can_go_back(self) -> bool:
        bar = self.filter_bar()
        filtering = bar is not None and bar.active
        held = self.has_class("-zoomed") or self._paused_reading is not None
        return self._built and (filtering or held or bool(self.crumbs()))

    def action_filter(self) -> None:
        """Show the filter line."""
        bar = self.filter_bar()
        if bar is not None:
            bar.open()
            self.show_again()

    def action_order(self) -> None:
        """Choose the column that rows are sorted by."""
        table = self.table_here()
        if table is None:
            return
        choices: list[tuple[str, Callable[[], None]]] = [
            (table.UNSORTED, partial(table.sort_by, None)),
            *(
                (f"by {c.label}", partial(table.sort_by, c.key))
                for c in table.shown_columns
                if c.key in table.sortable
            ),
        ]
        self.post_message(ChoiceRequested(f"Sort {table.NOUN}s…", choices))

    def action_columns(self) -> None:
        """Choose the columns of the table, one after the other."""
        table = self.table_here()
        if table is None:
            return
        seen = table.picked or tuple(column.key for column in table.shown_columns)
        # Columns of the same label are forms of one; columns without a label hold marks and stay.
        labels = {column.key: column.label for column in table.columns}
        shown = {labels[key] for key in seen if key in labels}
        choices: list[tuple[str, Callable[[], None]]] = []
        if table.picked:
            choices.append(("usual columns, by width", partial(table.pick, ())))
        for label in filter(None, dict.fromkeys(labels.values())):
            then = shown ^ {label} | {""}
            wanted = [key for key, its_label in labels.items() if its_label in then]
            if then != {""}:
                mark = "✓" if label in shown else " "
                choices.append((f"{mark} {label}", partial(self._pick, table, wanted)))
        self.post_message(ChoiceRequested(f"Columns of {table.NOUN}s…", choices))

    def _pick(self, table: Table, columns: Sequence[str]) -> None:
        table.pick(columns)
        self.call_after_refresh(self.action_columns)  # for the next one, until escape

    def action_pause(self) -> None:
        """Hold the panels still, or let them go on."""
        paused = self._paused_reading is None and self._engine_state.snapshot is not None
        self._paused_reading = self._engine_state if paused else None
        self.set_class(paused, "-paused")
        at = clock(self._engine_state.snapshot.taken_at) if self._engine_state.snapshot else ""
        note = f"‖ PAUSED at {at}   {pressed('view.pause')} goes on" if paused else ""
        for panel in self.query(Panel):
            panel.override_note(note)
        self.show(self._engine_state)
        self.refresh_bindings()

    def action_zoom(self) -> None:
        """Give the focused panel the whole screen, or end that."""
        self.zoom_on(self.focused_panel() if not self.has_class("-zoomed") else None)

    def zoom_on(self, name: str | None) -> None:
        """Give a panel the whole screen; none ends that."""
        for panel in self.query(Panel):
            panel.set_class(panel.id == name, "-zoom")
        for group in self.query(".panels"):
            inside = name is not None and self.panel(name) in group.walk_children()
            group.set_class(inside, "-zoom")
        self.set_class(name is not None, "-zoomed")
        self.refresh_bindings()

    def action_back(self) -> None:
        """End filter, then zoom, then pause; then go back."""
        bar = self.filter_bar()
        if bar is not None and bar.active:
            bar.value = ""
            self._filter_kept()
        elif self.has_class("-zoomed"):
            self.action_zoom()
        elif self._paused_reading is not None:
            self.action_pause()
        elif self.crumbs():
            self.dismiss()
            return
        self.refresh_bindings()

    def action_open(self) -> None:
        """Show everything about the row under the cursor."""
        details = self.details()
        if details is not None:
            self.app.push_screen(MessageDialog(details.title, details.text, error=False))

    def action_copy(self, form: str) -> None:
        """Copy the row under the cursor, or the marked ones."""
        details = self.copied()
        if details is None:
            return
        text = f"{details.title}\n{details.text}" if form == "text" else details.to_json()
        self.app.copy_to_clipboard(text)
        lines = counted(len(text.splitlines()), "line")
        kind = "JSON" if form == "json" else "text"
        self.app.notify(f"{lines} of {kind} copied", markup=False, timeout=2)


def _keys_may_differ(before: EngineState, now: EngineState) -> bool:
    """Tell whether anything changed on which it depends what a key can do.

    Which keys those are is asked of every one of them; not for a clock that went on.
    """
    old, new = before.snapshot, now.snapshot
    if old is None or new is None or before.silent != now.silent:
        return True
    return any(getattr(old, name) != getattr(new, name) for name in _DECIDING)


def _own_actions(screen: type[ConsoleScreen]) -> frozenset[str]:
    """Return the actions that need the engine or its values."""
    scopes = (*screen.SCOPES, Scope.VIEW)
    return frozenset(key.verb for key in KEYS if key.scope in scopes)


RETRY = "asks again by itself, {sender.refresh} at once"


class FetchingScreen(ConsoleScreen):
    """Subclasses say in `problem` why what they show may be old."""

    def __init__(self, frame: ScreenContext) -> None:
        super().__init__(frame)
        self._stale = False
        self._wants_news = False
        self._was_seen = False

    @property
    def problem(self) -> EngineError | None:
        """Why the last answer is missing; None if it is there."""
        return None

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        super().paint(palette)
        if self._stale:
            self._paint_body(palette.greyed())

    def show_staleness(self) -> None:
        """Grey what may be old and say why, or end that."""
        if not self._built:
            return
        self._say_problem()
        stale = self.problem is not None
        if stale != self._stale:
            self._stale = stale
            palette = palette_of(self.app.current_theme)
            grey = stale or self._engine_state.silent
            self._paint_body(palette.greyed() if grey else palette)

    def _paint_body(self, palette: Palette) -> None:
        for widget in self.query("#body *"):
            if isinstance(widget, Painted):
                widget.paint(palette)

    def problem_line(self) -> Excerpt:
        """Return the line that says why what is shown may be old; seen only then."""
        line = Excerpt(id="not-read")
        line.display = False
        return line

    def _say_problem(self) -> None:
        line, words = self.query_one("#not-read", Excerpt), problem_words(self.problem)
        if words:
            line.update(f"✗ not read: {words}; {with_keys(RETRY)}")
        line.display = bool(words)

    def palette_entries(self) -> Iterator[PaletteEntry]:
        """Offer the error too, for a report."""
        words = problem_words(self.problem)
        if words:
            copy = partial(self.app.copy_to_clipboard, words)
            yield PaletteEntry("error: Copy why nothing newer is read", cut(words, 70), "", copy)
        yield from super().palette_entries()

    def on_screen_resume(self) -> None:
        """Ask anew: while hidden nothing was asked."""
        self._wants_news, self._was_seen = self._was_seen, True
        super().on_screen_resume()

    def action_look_again(self) -> None:
        """Ask the engine again now."""
        self._wants_news = True
        self.show_again()


def problem_words(error: EngineError | None) -> str:
    """Return what went wrong and what to do; safe text, empty without an error."""
    if error is None:
        return ""
    remedy = f"; {safe(error.remedy)}" if error.remedy else ""
    return safe(error.detail) + remedy
