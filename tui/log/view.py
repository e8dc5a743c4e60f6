"""Draws the lines of the event log on demand: the cost does not grow with the number of events."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.events import Severity
from tui.keys import Scope, bindings
from tui.text import age, clock, duration, fit, safe
from tui.theme import DARK, SEVERITY_STYLES, Palette, Tone, palette_of
from tui.widgets.table import HEADER, LineStyles, Piece, TableLines

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console
    from textual.events import Click, Resize

    from tui.log.event_log import LogEntry, LogModel, LogPosition
    from tui.theme import StateStyle


class TimeFormat(StrEnum):
    """How a line says when."""

    CLOCK = "clock"
    DATE = "date"
    AGO = "ago"


class LogColumn(NamedTuple):
    """One column and its width."""

    key: str
    label: str
    width: int


WIDE = (
    LogColumn("level", "Level", 7),
    LogColumn("receiver", "Receiver", 16),
    LogColumn("caller", "Calling AE", 16),
    LogColumn("association", "Number", 7),
    LogColumn("topic", "What", 9),
)
NARROW = (
    LogColumn("level", "Level", 7),
    LogColumn("ae_title", "Receiver", 11),
    LogColumn("caller", "Calling AE", 12),
)
WIDE_FROM = 100
EMPTY_LINE = 2


class LogView(ScrollView, can_focus=True):
    """Shows an `LogModel`, newest first; the cursor stays with its entry unless it follows."""

    HELP_TITLE = "Event log"
    HELP = (
        "Everything the engine told since the console looks, newest first, up to 10,000 events. "
        "While it follows, the cursor stays on the newest event; moving down holds your place. "
        "`a` shows the audit log: what people did, also before this run of the engine. "
        "A filter takes words, !word and field:value with level, receiver, caller, association, "
        "topic and text. Marks are lines of yours, to see what came later."
    )
    COLUMNS = WIDE
    COMPONENT_CLASSES = {"log-view--cursor", "log-view--header", "log-view--mark"}
    BINDINGS = [
        *bindings(Scope.LISTS),
        Binding("down", "cursor_down", show=False),
        Binding("up", "cursor_up", show=False),
        Binding("home", "scroll_top", show=False),
        Binding("end", "scroll_bottom", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("pageup", "page_up", show=False),
    ]

    class Chosen(Message):
        """Another entry is under the cursor."""

    class FollowChanged(Message):
        """It follows the newest event now, or does not any more."""

    def __init__(self, log: LogModel, *, id: str) -> None:
        super().__init__(id=id)
        self._log = log
        self._palette: Palette = palette_of(DARK)
        self._lines = TableLines()
        self._place: LogPosition | None = None
        self._tops: list[int] = []
        self._cursor_top = 0
        """Line of the cursor when it was last drawn, before newer entries came above it."""
        self._now: datetime | None = None
        self._line_styles: dict[str, LineStyles] = {}
        self._drawn: tuple[object, ...] = ()
        self.empty = ""
        """Why there are no lines; safe text."""
        self.times = TimeFormat.CLOCK
        self.wraps = False
        self.follows = True

    @property
    def chosen(self) -> LogEntry | None:
        """The entry under the cursor."""
        return self._log.entry(self.row) if len(self._log) else None

    @property
    def row(self) -> int:
        """The row under the cursor; 0 is the newest."""
        if self.follows or self._place is None:
            return 0
        return self._log.row_of(self._place)

    def use(self, log: LogModel) -> None:
        """Show another log from now on, from its newest event."""
        self._log, self._place, self._drawn = log, None, ()
        self.follow(True)

    def paint(self, palette: Palette) -> None:
        """Use other colors from now on."""
        self._palette = palette
        self.refresh()

    def show(self, now: datetime) -> None:
        """Show the log as it is now, at its place or at the newest event."""
        self._now = now
        drawn = (self._log.version, self.follows, self.wraps, self.times, self.size, self._moment())
        if drawn == self._drawn:
            return
        self._drawn = drawn
        from_cursor = self._cursor_top - self.scroll_offset.y
        self._measure()
        self._remember()
        self._cursor_top = self._top(self.row)
        top = 0 if self.follows else self._cursor_top - from_cursor
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row; the first one makes it follow."""
        if not len(self._log):
            return
        row = max(0, min(len(self._log) - 1, row))
        self._place = self._log.entry(row).place
        self._cursor_top = self._top(row)
        self.follow(row == 0)
        self._see_row(row)
        self.refresh()
        self.post_message(self.Chosen())

    def follow(self, follows: bool) -> None:
        """Stay at the newest event, or hold the place."""
        if follows != self.follows:
            self.follows = follows
            self.post_message(self.FollowChanged())
        if follows:
            self._remember()
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
            self.refresh()

    def _remember(self) -> None:
        place = self._log.entry(self.row).place if len(self._log) else None
        if place != self._place:
            self._place = place
            self.post_message(self.Chosen())

    def _moment(self) -> int:
        return int(self._now.timestamp()) if self._now and self.times is TimeFormat.AGO else 0

    # Where rows are

    def _measure(self) -> None:
        rows = len(self._log)
        if self.wraps:
            heights = (len(self._wrapped(self._log.entry(row))) for row in range(rows))
            self._tops = list(accumulate(heights, initial=0))
        lines = self._tops[-1] if self.wraps else rows
        self.virtual_size = Size(self.scrollable_content_region.width, lines + 1)

    def _top(self, row: int) -> int:
        return self._tops[min(row, len(self._tops) - 1)] if self.wraps and self._tops else row

    def _row_at(self, line: int) -> tuple[int, int]:
        """Return the row that a line belongs to, and which line of it that is."""
        if not self.wraps:
            return line, 0
        row = bisect_right(self._tops, line) - 1
        return row, line - self._tops[row]

    def _see_row(self, row: int) -> None:
        height = self.size.height - 1
        top, end = self._top(row), self._top(row + 1) if self.wraps else row + 1
        y = self.scroll_offset.y
        if top < y:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)
        elif end > y + height:
            self.scroll_to(y=end - height, animate=False, force=True, immediate=True)

    # Drawing

    @property
    def _columns(self) -> tuple[LogColumn, ...]:
        wide = self.size.width >= WIDE_FROM
        at = {
            TimeFormat.CLOCK: 12 if wide else 8,
            TimeFormat.DATE: 19,
            TimeFormat.AGO: 12 if wide else 8,
        }
        others = WIDE if wide else NARROW
        return (LogColumn("at", "Time", at[self.times]), *others)

    @property
    def _message_width(self) -> int:
        used = 1 + sum(column.width + 1 for column in self._columns)
        return max(10, self.scrollable_content_region.width - used - 1)

    def _wrapped(self, entry: LogEntry) -> list[str]:
        width = self._message_width
        if len(entry.sentence) <= width // 2:
            return [entry.sentence]
        console: Console = self.app.console
        return [line.plain for line in Text(entry.sentence).wrap(console, width)]

    def render_lines(self, crop: object) -> list[Strip]:
        """Return the visible lines; the styles under them are worked out once for all."""
        base = self.rich_style
        self._line_styles = {
            "row": LineStyles(base, Style.null()),
            **{
                name: LineStyles(base, self.get_component_rich_style(f"log-view--{name}"))
                for name in ("cursor", "header", "mark")
            },
        }
        return super().render_lines(crop)  # type: ignore[arg-type]

    def render_line(self, y: int) -> Strip:
        """Return the heads for the first line, then entries from where it is scrolled to."""
        width = self.size.width
        if y == 0:
            heads = tuple(Piece(fit(c.label, c.width) + " ") for c in self._columns)
            pieces = (Piece(" "), *heads, Piece("What happened"))
            return self._lines.strip(HEADER, pieces, self._line_styles["header"], width)
        line = y - 1 + self.scroll_offset.y
        row, part = self._row_at(line) if line < self.virtual_size.height - 1 else (-1, 0)
        if not len(self._log) and y == EMPTY_LINE and self.empty:
            note = (Piece(f"  {self.empty}", self._palette.style(Tone.MUTED)),)
            return self._lines.strip(HEADER, note, self._line_styles["row"], width)
        if not 0 <= row < len(self._log):
            return Strip.blank(width, self._line_styles["row"].base)
        entry = self._log.entry(row)
        here = row == self.row
        kind = "cursor" if here else ("mark" if entry.recorded is None else "row")
        pieces = self._pieces(entry, part, here=here)
        return self._lines.strip(row, pieces, self._line_styles[kind], width)

    def _pieces(self, entry: LogEntry, part: int, *, here: bool) -> tuple[Piece, ...]:
        pointer = Piece("▸" if here and part == 0 else " ")
        if entry.recorded is None:
            rule = f"──────── mark {clock(entry.at)} ────────"
            return (pointer, Piece(rule))
        tone = Tone.PLAIN if entry.severity is Severity.INFO else self._look(entry).tone
        style = self._palette.style(tone)
        sentence = self._wrapped(entry)[part] if self.wraps else entry.sentence
        message = Piece(fit(sentence, self._message_width), style)
        cells = (self._cell(column, entry, part) for column in self._columns)
        return (pointer, *cells, message)

    def _cell(self, column: LogColumn, entry: LogEntry, part: int) -> Piece:
        if part:
            return Piece(" " * (column.width + 1))
        style = ""
        if column.key == "level":
            style = self._palette.style(self._look(entry).tone)
        elif column.key == "at":
            style = self._palette.style(Tone.MUTED)
        return Piece(fit(self._value(column, entry), column.width) + " ", style)

    def _look(self, entry: LogEntry) -> StateStyle:
        return SEVERITY_STYLES[entry.severity or Severity.INFO]

    def _value(self, column: LogColumn, entry: LogEntry) -> str:
        assert entry.recorded is not None
        event = entry.recorded.event
        match column.key:
            case "at":
                return self._time(entry.at, column.width)
            case "level":
                return str(self._look(entry))
            case "receiver":
                return safe(event.receiver) or "–"
            case "ae_title":
                return safe(event.receiver.rpartition(":")[0]) or "–"
            case "caller":
                return safe(event.calling_ae_title) or "–"
            case "association":
                return safe(event.association) or "–"
            case _:
                return safe(event.topic)

    def _time(self, at: datetime, width: int) -> str:
        match self.times:
            case TimeFormat.CLOCK if self._is_of_another_day(at):
                if width < 12:
                    return age(at, self._now or at)
                return at.astimezone().strftime("%m-%d %H:%M")
            case TimeFormat.CLOCK:
                return at.astimezone().strftime("%H:%M:%S.%f")[: 12 if width >= 12 else 8]
            case TimeFormat.DATE:
                return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            case TimeFormat.AGO:
                seconds = (self._now - at).total_seconds() if self._now else 0
                return duration(seconds)

    def _is_of_another_day(self, at: datetime) -> bool:
        return self._now is not None and at.astimezone().date() < self._now.astimezone().date()

    # Keys and mouse

    def action_cursor_down(self) -> None:
        """Go to the next older entry."""
        self.go_to(self.row + 1)

    def action_cursor_up(self) -> None:
        """Go to the next newer entry."""
        self.go_to(self.row - 1)

    def action_scroll_top(self) -> None:
        """Go to the newest entry."""
        self.go_to(0)

    def action_scroll_bottom(self) -> None:
        """Go to the oldest entry."""
        self.go_to(len(self._log) - 1)

    def action_page_down(self) -> None:
        """Go a page of older entries down."""
        self.go_to(self.row + max(1, self.size.height - 2))

    def action_page_up(self) -> None:
        """Go a page of newer entries up."""
        self.go_to(self.row - max(1, self.size.height - 2))

    def on_click(self, event: Click) -> None:
        """Put the cursor on the row that was clicked."""
        row = event.style.meta.get("row", HEADER)
        if row != HEADER:
            self.go_to(row)

    def on_resize(self, event: Resize) -> None:
        """Use the new size."""
        if self._now is not None:
            self.show(self._now)
