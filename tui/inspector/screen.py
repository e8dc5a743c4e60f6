"""The screen of one object: header or comparison with the received header, image, and trail."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll

from engine.api.objects import ComparedRow, ObjectReference, RowChange, arrival_words
from tui.engine_client import Fetch
from tui.inspector.header import (
    FIELDS,
    HeaderLine,
    HeaderTable,
    HeaderTreeState,
    element_facts,
    header_lines,
    header_rows,
    rule_for,
    tag_words,
    uncompared,
    value_words,
)
from tui.inspector.image import InspectorImage, Picture
from tui.keys import Scope, pressed
from tui.places import HOME
from tui.shell.details import Details
from tui.shell.dialogs import MessageDialog
from tui.shell.screen import ConsoleScreen
from tui.text import counted, moment, safe
from tui.widgets.filter import FilterBar
from tui.widgets.paged_table import PagedTable
from tui.widgets.panel import Facts, Panel
from tui.widgets.routing_preview import SHOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from textual.app import ComposeResult
    from textual.timer import Timer

    from engine.api import EngineSnapshot, EngineView
    from engine.api.objects import Comparison, ObjectHeader, ObjectTrail, TrailStep
    from engine.api.sessions import ScanObjectPage
    from engine.errors import EngineError
    from tui.engine_client import EngineState
    from tui.shell.screen import ScreenContext


Fact = tuple[str, str]
MOST_STEPS = 20


def trail_facts(trail: ObjectTrail, scripts: Sequence[str], now: datetime) -> list[Fact]:
    """Return the sessions an object went to, and every time that it arrived."""
    facts = list[Fact]()
    for session in trail.sessions:
        facts.append(("session", safe(session.place.words, 160)))
        facts.append(("  arrivals", arrival_words(session.id, trail.steps)))
    ran = ", ".join(safe(number, 20) for number in scripts)
    facts.append(
        (
            "anonymized",
            f"script {ran}; {pressed('object.compare')} compares" if ran else "no script has run",
        )
    )
    numbered = list(enumerate(trail.steps, start=1))
    for number, step in numbered[-MOST_STEPS:]:
        facts += _step(number, step, now)
    if len(trail.steps) > MOST_STEPS:
        facts.append(("earlier", f"{len(trail.steps) - MOST_STEPS:,} more times"))
    return facts


def _step(number: int, step: TrailStep, now: datetime) -> list[Fact]:
    reason = f": {safe(step.reason)}" if step.reason else ""
    return [
        (f"arrival {number}", moment(step.at, now)),
        ("  by", f"{safe(step.receiver)} ← {safe(step.calling_ae_title)}"),
        ("  outcome", f"{safe(step.state)}, answered 0x{step.status:04X}{reason}"),
        ("  went to", safe(step.went_to, 160)),
        *([("  file", safe(step.file))] if step.file else []),
    ]


@dataclass(frozen=True, slots=True)
class PlaceInScan:
    """Which object of a scan is seen."""

    session: int
    scan: str
    index: int
    """From 0."""
    total: int


class InspectorScreen(ConsoleScreen):
    """Shows the object with one reference; the brackets go through the objects of its scan."""

    PLACE = "sessions"
    SCOPES = (Scope.INSPECTOR,)
    PANELS = ("header", "picture", "trail", "element")
    AUTO_FOCUS = "#header-table"
    CSS_PATH = "style.tcss"

    def __init__(
        self,
        frame: ScreenContext,
        reference: ObjectReference,
        way: Sequence[str] = (),
        place: PlaceInScan | None = None,
    ) -> None:
        """Take the object, the safe words of the way to it, and where it is in its scan."""
        super().__init__(frame)
        self._reference = reference
        self._way = tuple(way)
        self._place = place
        self._view = HeaderTreeState()
        self._compares = False
        self._masked = True
        self._timer: Timer | None = None
        self._lines: dict[str, HeaderLine] = {}
        self._pairs: tuple[object, tuple[ComparedRow, ...]] = (None, ())
        self._drawn: tuple[tuple[ComparedRow, ...], HeaderTreeState] = ((), HeaderTreeState())
        self._header: Fetch[ObjectHeader] = Fetch("read the header", self, self._answered)
        self._both: Fetch[Comparison] = Fetch("compare headers", self, self._compared)
        self._trail: Fetch[ObjectTrail] = Fetch("look where it went", self, self._answered)
        self._next: Fetch[ScanObjectPage] = Fetch("find an object", self, self._found)
        self._image = InspectorImage(self, self._answered)

    def compose_body(self) -> ComposeResult:
        """Build the header at the left; image, trail and element beside or below it."""
        with Horizontal(id="body", classes="panels"):
            with Panel("Header", id="header"):
                yield HeaderTable(id="header-table")
                yield FilterBar(
                    FIELDS,
                    blink=self.frame.blink,
                    placeholder="words, !word, tag:0010 vr:UI keyword:date value:… change:removed",
                )
            with Vertical(id="side", classes="panels"):
                with Panel("Image", id="picture"):
                    yield Picture(id="image")
                with Panel("Where it went", id="trail"), VerticalScroll(classes="scroll"):
                    yield Facts(id="trail-facts", name_width=12)
                with Panel("Element", id="element"), VerticalScroll(classes="scroll"):
                    yield Facts(id="element-facts", name_width=8)

    def crumbs(self) -> tuple[str, ...]:
        """Return the way from the list to the object."""
        place = self._place
        if place is None:
            return (*self._way, "object")
        number = f"object {place.index + 1:,} of {place.total:,}"
        return (*self._way, f"scan {safe(place.scan)}", number)

    # What is shown

    def show_panels(self, engine_state: EngineState, snapshot: EngineSnapshot) -> None:
        """Ask for what is wanted of the object and show what is there."""
        now, actor = snapshot.taken_at, self.frame.actor
        wish = (self._reference, self._masked)
        if self._compares:
            self._both.want(wish, partial(_compare, *wish, actor), now)
        if not self._compares or self._header.answer is None:
            self._header.want(wish, partial(_read, *wish, actor), now)
        self._trail.want(self._reference, partial(_follow, self._reference), now)
        header = self._header.answer
        frames = header.frames if header is not None else 1
        sop_class = header.sop_class if header is not None else ""
        self._image.want(self.query_one(Picture), self._reference, now)
        self._show_header()
        self.panel("picture").describe(*self._image.show(self.query_one(Picture), sop_class))
        self._image.frames = frames
        self._show_trail(now)

    def _show_header(self) -> None:
        table, bar = self.query_one(HeaderTable), self.query_one(FilterBar)
        rows, problem = self._rows()
        view = replace(self._view, wanted=bar.wanted)
        if rows is not self._drawn[0] or view != self._drawn[1] or not rows:
            self._drawn = (rows, view)
            lines = header_lines(rows, view)
            self._lines = {line.element.path: line for line in lines}
            table.show(header_rows(lines), self._why_empty(problem))
        self.panel("header").describe(self._title(rows, len(self._lines)), self._note(problem))
        self._show_element()

    def _rows(self) -> tuple[tuple[ComparedRow, ...], EngineError | None]:
        """Return what is there of what is wanted; never values that shall be masked again."""
        wish = (self._reference, self._masked)
        both, header = self._both, self._header
        if self._compares:
            compared = both.answer if both.wish == wish else None
            return (compared.rows if compared is not None else ()), None
        if header.answer is None or header.wish != wish:
            return (), header.problem
        if self._pairs[0] is not header.answer:
            self._pairs = (header.answer, uncompared(header.answer.elements))
        return self._pairs[1], header.problem

    def _why_empty(self, problem: EngineError | None) -> str:
        if problem is not None:
            return _said(problem)
        bar = self.query_one(FilterBar)
        compared = self._compares and self._both.answer is not None
        all_key = pressed("object.equal")
        waits = f"nothing was changed; {all_key} shows all" if compared else "reading …"
        return bar.empty(waits)

    def _title(self, rows: Sequence[ComparedRow], shown: int) -> str:
        private = sum((row.stored or row.received).private for row in rows)  # type: ignore[union-attr]
        title = self.query_one(FilterBar).count(shown, len(rows))
        if not self._view.private and private:
            title += f"   {private:,} private hidden"
        if not self._compares:
            return f"{title} elements   as stored"
        changes = sum(row.change is not RowChange.EQUAL for row in rows)
        verb = "shows" if self._view.only_changes else "hides"
        equal = f"{pressed('object.equal')} {verb} equal ones"
        return f"{title}   {counted(changes, 'change')} since reception; {equal}"

    def _note(self, problem: EngineError | None) -> str:
        if problem is not None:
            return f"✗ {_said(problem)}"
        compared = self._both.answer
        if self._compares and compared is not None:
            return f"compared up to {tag_words(compared.last_tag)}, as more is not kept"
        key = pressed("object.values")
        return f"masked; {key} shows" if self._masked else f"shown for a minute; {key} masks"

    def _show_element(self) -> None:
        line = self._line()
        facts = element_facts(line.row) if line is not None else []
        name = ""
        if line is not None:
            keyword = safe(line.element.keyword) or ("private" if line.element.private else "–")
            name = f"{line.tag} {line.vr} {keyword}"
        self.query_one("#element-facts", Facts).show(facts)
        self.panel("element").describe(name)

    def _show_trail(self, now: datetime) -> None:
        facts = self.query_one("#trail-facts", Facts)
        trail, header = self._trail.answer, self._header.answer
        if self._trail.problem is not None:
            facts.show((("problem", _said(self._trail.problem)),))
        elif trail is not None and self._trail.wish == self._reference:
            scripts = header.anonymized_by if header is not None else ()
            facts.show(trail_facts(trail, scripts, now))

    def _line(self) -> HeaderLine | None:
        chosen = self.query_one(HeaderTable).chosen if self._built else None
        return self._lines.get(chosen or "")

    def details(self) -> Details | None:
        """Return the element under the cursor."""
        line = self._line()
        if line is None:
            return None
        text = "\n".join(f"{name:10} {value}" for name, value in element_facts(line.row))
        title = f"{line.tag} {line.vr} {safe(line.element.keyword)}".strip()
        return Details(title, text, asdict(line.row))

    # What happens

    def _answered(self) -> None:
        if self.is_mounted and not self.leaving:  # an answer may come after that
            self.show_again()

    def _compared(self) -> None:
        problem = self._both.problem
        if problem is not None and self._compares and not self.leaving:
            self._compares = False
            self._view = replace(self._view, only_changes=False)
            self.app.push_screen(MessageDialog(problem.title, problem.detail, problem.remedy))
        self._answered()

    @on(PagedTable.Chosen)
    def _element_chosen(self) -> None:
        self._show_element()
        self.refresh_bindings()

    @on(Picture.Sized)
    def _picture_sized(self) -> None:
        self.show_again()

    @on(Picture.Adjusted)
    def _window_adjusted(self, event: Picture.Adjusted) -> None:
        self._image.adjust(event.centre, event.width)
        self.show_again()

    # Keys

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense for this object."""
        if action == "neighbour":
            return self._place is not None and self._place.total > 1
        if action == "frame":
            return self._image.frames > 1
        if action == "equal":
            return self._compares
        if action in ("copy_tag", "copy_rule"):
            return self._line() is not None
        return super().check_own(action, parameters)

    def action_open(self) -> None:
        """Open or close a sequence; show another element in full."""
        line = self._line()
        if line is not None and line.element.vr == "SQ" and self.focused_panel() == "header":
            self._view = self._view.toggled(line.element.path)
            self.show_again()
        else:
            super().action_open()

    def action_sequences(self) -> None:
        """Open all sequences, or close them."""
        opened = not self._view.all_unfolded
        self._view = replace(self._view, all_unfolded=opened, unfolded=frozenset())
        self.show_again()

    def action_private(self) -> None:
        """Hide private elements, or show them."""
        self._view = replace(self._view, private=not self._view.private)
        self.show_again()

    def action_compare(self) -> None:
        """Show what changed since reception, or the object as stored again."""
        self._compares = not self._compares
        if self._compares:
            self._both.forget()
        self._view = replace(self._view, only_changes=self._compares)
        self.show_again()
        self.refresh_bindings()

    def action_equal(self) -> None:
        """Show equal elements of a comparison too, or hide them again."""
        self._view = replace(self._view, only_changes=not self._view.only_changes)
        self.show_again()

    def action_values(self) -> None:
        """Show identifying values for a while, or mask them again."""
        if self._masked:
            self._masked = False
            self._timer = self.set_timer(SHOW_SECONDS, self._mask)
            self.show_again()
        else:
            self._mask()

    def _mask(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._masked = True
        self._header.forget()  # values are kept no longer than they are shown
        self._both.forget()
        self._pairs = (None, ())
        self.show_again()

    def action_copy(self, form: str) -> None:
        """Copy the value of the element as it is shown."""
        line = self._line()
        if line is None or form != "text":
            super().action_copy(form)
        else:
            self._copied(value_words(line.element), "value")

    def action_copy_tag(self) -> None:
        """Copy the tag of the element."""
        line = self._line()
        if line is not None:
            self._copied(line.tag, "tag")

    def action_copy_rule(self) -> None:
        """Copy a routing rule that takes its value from the element."""
        line = self._line()
        if line is not None:
            self._copied(rule_for(line.element), "rule")

    def _copied(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        shown = f"{what} copied: {safe(text, 60)}"
        self.app.notify(shown, markup=False, timeout=3)

    def action_frame(self, step: int) -> None:
        """Show another frame."""
        self._image.step(step)
        self.show_again()

    def action_window(self) -> None:
        """Show the values between other limits."""
        self._image.next_window(self._header.answer.sop_class if self._header.answer else "")
        self.show_again()

    def action_why(self) -> None:
        """Say which rules put the object where it is."""
        from tui.inspector.why import explain

        self.ask(explain, self, (self._reference,))

    def action_only(self, name: str) -> None:
        """Give the image or the trail the whole screen, or end that."""
        shown = self.has_class("-zoomed") and self.panel(name).has_class("-zoom")
        self.zoom_on(None if shown else name)
        target = {"picture": "#image", "trail": "#trail .scroll"}[name]
        self.query_one("#header-table" if shown else target).focus()

    def action_neighbour(self, step: int) -> None:
        """Go to the object before or after this one in its scan."""
        place, snapshot = self._place, self._engine_state.snapshot
        if place is None or snapshot is None:
            return
        index = place.index + step
        if not 0 <= index < place.total:
            which = "first" if step < 0 else "last"
            self.app.notify(f"this is the {which} object of the scan", markup=False, timeout=2)
            return
        look = partial(_object, place.session, place.scan, index)
        self._next.want(index, look, snapshot.taken_at, at_once=True)

    def _found(self) -> None:
        page, place = self._next.answer, self._place
        if page is None or place is None or self.leaving:
            return
        if self._next.problem is not None or not page.objects:
            self.app.notify("that object is not there any more", markup=False, timeout=3)
            return
        found = page.objects[0]
        self._place = replace(place, index=page.offset, total=page.total)
        self._reference = ObjectReference(place.session, found.file, found.sop_instance_uid)
        self._image.restart()
        self._mask()
        self.show(self._engine_state)


class ReceivedObjectScreen(InspectorScreen):
    """The same on the way from a receiver, not through a session and its scans."""

    PLACE = HOME


def _read(reference: ObjectReference, masked: bool, actor: str, engine: EngineView) -> ObjectHeader:
    if masked:
        return engine.objects.header(reference)
    return engine.objects.shown(reference, actor)


def _compare(
    reference: ObjectReference, masked: bool, actor: str, engine: EngineView
) -> Comparison:
    if masked:
        return engine.objects.compare(reference)
    return engine.objects.shown_comparison(reference, actor)


def _follow(reference: ObjectReference, engine: EngineView) -> ObjectTrail:
    return engine.objects.trail(reference)


def _object(session: int, scan: str, index: int, engine: EngineView) -> ScanObjectPage:
    return engine.sessions.objects(session, scan, offset=index, limit=1)


def _said(problem: EngineError) -> str:
    return safe(f"{problem.detail}; {problem.remedy}" if problem.remedy else problem.detail)
