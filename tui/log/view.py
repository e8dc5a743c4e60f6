"""The table of the event log: it follows the newest event, wraps sentences, and shows marks.

Rows are made of the entries that are drawn: the cost does not grow with the number of events.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message

from engine.events import Severity
from tui.text import age, clock, duration, safe
from tui.theme import SEVERITY_STYLES, Tone
from tui.widgets.table import Cell, Column, Piece, Table, TableRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from textual.events import Resize

    from tui.log.event_log import LogEntry, LogModel, LogPosition


class TimeFormat(StrEnum):
    """How a line says when."""

    CLOCK = "clock"
    DATE = "date"
    AGO = "ago"


WIDE = 99
"""From this width on there is room for longer columns."""
WIDER = 140
"""From this width on there is room for all columns: before, the sentences need it."""
BY_WIDTH = (
    Column("at", "Time", 12, at_least=WIDER),
    Column("at", "Time", 11, at_least=WIDE, at_most=WIDER - 1),
    Column("at", "Time", 8, at_most=WIDE - 1),
)
TIMES = {
    TimeFormat.CLOCK: BY_WIDTH,
    TimeFormat.DATE: (Column("at", "Time", 19),),
    TimeFormat.AGO: BY_WIDTH,
}
MARK = "mark"
MESSAGE = "message"


class LogView(Table):
    """Shows a `LogModel`, newest first; the cursor stays with its entry unless it follows."""

    HELP_TITLE = "Event log"
    HELP = (
        "The events that this console has read, newest first, up to 10,000. "
        "While it follows, the cursor stays on the newest event; moving down holds your place. "
        "`a` shows the audit log: what people did, also before this run of the engine. "
        "A filter takes words, !word and field:value with level, kind, topic, receiver, caller, "
        "association, address, session, project, status and text. Marks are lines of yours, to see "
        "what came later."
    )
    COLUMNS = (
        Column("level", "Level", 7),
        Column(MESSAGE, "What happened", 20, flexible=True),
        Column("receiver", "Receiver", 16, at_least=WIDER),
        Column("ae_title", "Receiver", 11, at_most=WIDER - 1),
        Column("caller", "Calling AE", 16, at_least=WIDE),
        Column("association", "Number", 7, at_least=WIDER),
        Column("topic", "What", 9, at_least=WIDER),
    )
    SORTS = False
    OPENS = False
    KINDS = (*Table.KINDS, MARK)
    COMPONENT_CLASSES = {"table--mark"}

    class FollowChanged(Message):
        """It follows the newest event now, or does not any more."""

    def __init__(self, log: LogModel, *, id: str) -> None:
        super().__init__(id=id)
        self._log = log
        self._place: LogPosition | None = None
        self._tops: list[int] = []
        """First lines of all rows, while sentences are wrapped."""
        self._cursor_top = 0
        """Line of the cursor when it was last drawn, before newer entries came above it."""
        self._now: datetime | None = None
        self._shown_state: tuple[object, ...] = ()
        self.times = TimeFormat.CLOCK
        self.wraps = False
        self.follows = True

    @property
    def entry(self) -> LogEntry | None:
        """The entry under the cursor."""
        return self._log.entry(self.row) if len(self._log) else None

    @property
    def row(self) -> int:
        """The row under the cursor; 0 is the newest."""
        if self.follows or self._place is None:
            return 0
        return self._log.row_of(self._place)

    @property
    def row_count(self) -> int:
        """How many entries there are."""
        return len(self._log)

    @property
    def columns(self) -> Sequence[Column]:
        """The columns, the time in the form that is wanted."""
        return (*TIMES[self.times], *self.COLUMNS)

    def use(self, log: LogModel) -> None:
        """Show another log from now on, from its newest event."""
        self._log, self._place, self._shown_state = log, None, ()
        self.follow(True)

    def show(self, now: datetime, empty: str = "") -> None:
        """Show the log as it is now, at its place or at the newest event.

        Args:
            now: what ages are counted from.
            empty: why there are no lines; safe text.
        """
        self._now = now
        second = int(now.timestamp()) if self.times is TimeFormat.AGO else 0
        state = (
            *(self._log.version, self.follows, second),
            *(self.wraps, self.times, self.size, empty),
        )
        if state == self._shown_state:
            return
        self._shown_state, self._empty = state, empty
        from_cursor = self._cursor_top - self.scroll_offset.y
        self._fit()
        self._measure()
        self._remember()
        self._cursor_top = self._top(self.row)
        self._scroll(0 if self.follows else self._cursor_top - from_cursor)
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row; the first one makes it follow."""
        if not len(self._log):
            return
        row = max(0, min(len(self._log) - 1, row))
        self._place = self._log.entry(row).place
        self._cursor_top = self._top(row)
        self.follow(row == 0)
        self._see(row)
        self.refresh_changed()
        self.post_message(self.Chosen(self))

    def follow(self, follows: bool) -> None:
        """Stay at the newest event, or hold the place."""
        if follows != self.follows:
            self.follows = follows
            self.post_message(self.FollowChanged())
        if follows:
            self._remember()
            self._scroll(0)
            self.refresh()  # not at once: of another log nothing is measured yet

    def _remember(self) -> None:
        place = self._log.entry(self.row).place if len(self._log) else None
        if place != self._place:
            self._place = place
            self.post_message(self.Chosen(self))

    def on_resize(self, event: Resize) -> None:
        """Use the new size."""
        # Textual calls the handler of the base class too, which brings the cursor into view.
        if self._now is not None:
            self.show(self._now, self._empty)

    # Where rows are, of which each may have several lines

    def _measure(self) -> None:
        if self.wraps:
            texts = (self._log.entry(row).sentence for row in range(len(self._log)))
            self._tops = list(accumulate((len(self._wrapped(text)) for text in texts), initial=0))
        super()._measure()

    def _top(self, row: int) -> int:
        return self._tops[min(row, len(self._tops) - 1)] if self.wraps and self._tops else row

    def _row_at(self, line: int) -> tuple[int, int]:
        if not self.wraps:
            return line, 0
        row = bisect_right(self._tops, line) - 1
        return row, line - self._tops[row]

    def _wrapped(self, sentence: str) -> Sequence[str]:
        width = next(column.width for column in self._fitted if column.key == MESSAGE)
        if len(sentence) <= width // 2:
            return (sentence,)
        return [line.plain for line in Text(sentence).wrap(self.app.console, width)]

    # Rows of entries

    def _known(self, row: int) -> TableRow | None:
        entry = self._log.entry(row)
        if entry.recorded is None:
            rule = Cell(f"──────── mark {clock(entry.at)} ────────")
            return TableRow(str(entry.place), {MESSAGE: rule}, MARK)
        event, look = entry.recorded.event, SEVERITY_STYLES[entry.recorded.event.severity]
        tone = Tone.PLAIN if event.severity is Severity.INFO else look.tone
        cells = {
            "at": Cell(self._time(entry.at, self._fitted[0].width), Tone.MUTED),
            "level": Cell(str(look), look.tone),
            "receiver": Cell(safe(event.receiver) or "–"),
            "ae_title": Cell(safe(event.receiver.rpartition(":")[0]) or "–"),
            "caller": Cell(safe(event.calling_ae_title) or "–"),
            "association": Cell(safe(event.association) or "–"),
            "topic": Cell(safe(event.topic)),
            MESSAGE: Cell(entry.sentence, tone),
        }
        return TableRow(str(entry.place), cells)

    def _pieces(self, row: TableRow, part: int) -> tuple[Piece, ...]:
        message = row.cells[MESSAGE]
        if row.kind == MARK:
            return (Piece(message.text),)
        if self.wraps:
            line = message._replace(text=self._wrapped(message.text)[part])
            row = TableRow(row.key, {MESSAGE: line} if part else {**row.cells, MESSAGE: line})
        return super()._pieces(row, part)

    def _time(self, at: datetime, width: int) -> str:
        match self.times:
            case TimeFormat.CLOCK if self._is_of_another_day(at):
                if width < 11:
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
