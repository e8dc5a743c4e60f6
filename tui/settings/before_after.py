"""The effect of a script on a recent object: findings by line, elements before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from engine.api.objects import RowChange
from engine.api.scripts import FindingKind, TrialOutcome
from engine.errors import Problem
from engine.model.anonymization import SITE_SCRIPT
from tui.settings.form import Remark
from tui.text import clock, counted, safe
from tui.theme import DARK, Tone, palette_of
from tui.widgets.routing_preview import FILE_KEY, SHOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from textual.timer import Timer

    from engine.api.objects import RecentObject
    from engine.api.scripts import EditedRow, LeftText, ScriptFinding, ScriptPreview
    from engine.model.file_sample import FileSample


NO_OBJECTS = (
    "no object is in memory to try it on; the next one that arrives can be used, "
    f"or a file by {FILE_KEY}"
)
A_FILE = "a file as it is, with the labels that the first receiver would give it"
MAX_ROWS = 200
"""Of the elements that change: more are only counted."""
MAX_SAID = 6
"""Findings that are said in full below the text."""
_GLYPHS = {
    RowChange.CHANGED: "~",
    RowChange.REMOVED: "-",
    RowChange.ADDED: "+",
    RowChange.EQUAL: " ",
}


@dataclass(frozen=True, slots=True)
class RowWords:
    """One element before and after, safe to show."""

    glyph: str
    element: str
    before: str
    after: str
    change: RowChange


def problem_of(finding: ScriptFinding) -> Problem:
    """Return a finding as a problem of the script's field."""
    where = (finding.line, finding.column)
    return Problem(SITE_SCRIPT, "", safe(finding.message), safe(finding.remedy), *where)


def errors(findings: Sequence[ScriptFinding]) -> tuple[Problem, ...]:
    """Return what keeps the text from being a script."""
    return tuple(problem_of(f) for f in findings if f.kind is FindingKind.ERROR)


def finding_remarks(text: str, findings: Sequence[ScriptFinding]) -> tuple[Remark, ...]:
    """Return one remark for each line of a script."""
    remarks = [Remark()] * (text.count("\n") + 1)
    for finding in reversed(findings):
        wrong = finding.kind is FindingKind.ERROR
        at = min(max(finding.line, 1), len(remarks)) - 1
        said = f"{'✗' if wrong else '!'} {finding.message}"
        remarks[at] = Remark(said, is_wrong=wrong, is_warning=not wrong)
    return tuple(remarks)


def findings_in_words(
    findings: Sequence[ScriptFinding], left: Sequence[LeftText], text: str
) -> str:
    """Say below the text what the linter found, in full, and what the script leaves; safe text."""
    names = ", ".join(safe(f"{one.name} {one.path}") for one in left)
    remark = f"neither this script nor the basic profile removes: {names}" if names else ""
    return "\n".join(filter(None, (_traps_in_words(findings, text), remark)))


def _traps_in_words(findings: Sequence[ScriptFinding], text: str) -> str:
    traps = [f for f in findings if f.kind is FindingKind.TRAP]
    if not traps:
        return "✓ the script is valid" if text.strip() and not findings else ""
    said = [f"! line {f.line}: {safe(f.message)}; {safe(f.remedy)}" for f in traps[:MAX_SAID]]
    more = len(traps) - MAX_SAID
    return "\n".join([*said, *([f"! and {counted(more, 'more remark')}"] if more > 0 else [])])


def object_title(recent: RecentObject) -> str:
    """Say which object a script is tried on."""
    where = " / ".join(safe(part) for part in (recent.project, recent.label) if part)
    filed = f", filed in {where}" if where else ""
    kind = safe(recent.modality or recent.sop_class)
    received = "as received" if recent.as_received else "as stored"
    return f"{clock(recent.at)} {kind} from {safe(recent.calling_ae_title)}, {received}{filed}"


def row_words(row: EditedRow) -> RowWords:
    """Return one element in words; a value that is hidden says so by its dots."""
    path = safe(row.path)
    element = f"{path} {safe(row.keyword)}".rstrip()
    before = "–" if row.before is None else safe(row.before) or "(empty)"
    after = "–" if row.after is None else safe(row.after) or "(empty)"
    return RowWords(_GLYPHS[row.change], element, before, after, row.change)


def outcome_words(preview: ScriptPreview) -> str:
    """Say what became of the object; empty if it was edited and something changed."""
    remedy = f"; {safe(preview.remedy)}" if preview.remedy else ""
    line = f"line {preview.line}: " if preview.line else ""
    match preview.outcome:
        case TrialOutcome.EDITED:
            return "" if preview.rows else "nothing would change in this object"
        case TrialOutcome.REJECTED:
            return f"✗ the script would reject it: {line}{safe(preview.why)}{remedy}"
        case TrialOutcome.FAILED:
            return f"✗ it would be refused: {line}{safe(preview.why)}{remedy}"
        case TrialOutcome.INVALID:
            return f"✗ not a script: {line}{safe(preview.why)}{remedy}"


def count_words(preview: ScriptPreview) -> str:
    """Count what changes, by kind."""
    found = [row.change for row in preview.rows]
    kinds = (RowChange.CHANGED, RowChange.REMOVED, RowChange.ADDED)
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in kinds if kind in found)
    header = "" if preview.complete else "; only the header was tried"
    more = len(found) - MAX_ROWS
    return f"{counts}{header}" + (f"; {counted(more, 'element')} not shown" if more > 0 else "")


_TONES = {
    RowChange.CHANGED: Tone.WARNING,
    RowChange.REMOVED: Tone.ERROR,
    RowChange.ADDED: Tone.OK,
    RowChange.EQUAL: Tone.MUTED,
}


class BeforeAfter(Static, can_focus=True):
    """Draws a trial; knows no engine. Values stay hidden until they are asked for."""

    BINDINGS = [
        Binding("left", "step(-1)", "Newer object", show=False, id="trial.newer"),
        Binding("right", "step(1)", "Older object", show=False, id="trial.older"),
        Binding("v", "unmask", "Show values", show=False, id="trial.unmask"),
    ]

    class Wanted(Message):
        """Another object is to be tried, or the same one with its values shown."""

    def __init__(self) -> None:
        super().__init__("", id="before-after", markup=False)
        self._objects: tuple[RecentObject, ...] = ()
        self._at = 0
        self.file: FileSample | None = None
        """What is tried in place of the objects."""
        self._preview: ScriptPreview | None = None
        self._masked_preview: ScriptPreview | None = None
        self._note = "looking for recent objects…"
        self._mask_timer: Timer | None = None
        self.masked = True

    @property
    def chosen(self) -> RecentObject | None:
        """The object that is tried."""
        return self._objects[self._at] if self._objects else None

    def choose_from(self, objects: tuple[RecentObject, ...]) -> None:
        """Take the objects that can be tried, newest first."""
        self._objects, self._at = objects, 0
        self._note = "" if objects else NO_OBJECTS
        self._draw()

    def take_file(self, file: FileSample | None) -> None:
        """Try a file from now on, or the objects again."""
        self.file, self._preview, self._masked_preview = file, None, None
        self._note = "" if file is not None or self._objects else NO_OBJECTS
        self._draw()
        self.post_message(self.Wanted())

    def take_as_stored(self) -> bool:
        """Go on with the stored object if what was received is gone; tell whether there is one."""
        chosen = self.chosen
        if chosen is None or not chosen.as_received or not chosen.reference.file:
            return False
        stored = replace(chosen, as_received=False)
        self._objects = tuple(stored if one is chosen else one for one in self._objects)
        return True

    def show(self, preview: ScriptPreview) -> None:
        """Show what a trial came to."""
        self._preview, self._note = preview, ""
        if self.masked:
            self._masked_preview = preview
        self._draw()

    def explain(self, note: str) -> None:
        """Say why there is no trial, or that what is shown is not of the present text."""
        self._note = note
        self._draw()

    def action_step(self, by: int) -> None:
        """Go to another object."""
        at = max(0, min(len(self._objects) - 1, self._at + by))
        if at != self._at and self.file is None:
            self._at, self._preview, self._masked_preview = at, None, None
            self._draw()
            self.post_message(self.Wanted())

    def action_unmask(self) -> None:
        """Ask for the values for a while, or hide them again."""
        if not self.masked:
            self._mask()
        elif self._objects or self.file is not None:
            self.masked = False
            self._mask_timer = self.set_timer(SHOW_SECONDS, self._mask)
            self.post_message(self.Wanted())

    def _mask(self) -> None:
        self.masked = True
        if self._mask_timer is not None:
            self._mask_timer.stop()
        self._preview = self._masked_preview  # at once: masking does not wait for the engine
        self._draw()
        self.post_message(self.Wanted())

    def _draw(self) -> None:
        number = f" · object {self._at + 1} of {len(self._objects)}" if self._objects else ""
        if self.file is not None:
            number = " · a file"
        self.border_title = Content(f" Before and after{number} ")
        values = f"v {'shows' if self.masked else 'hides'} values   "
        step = "←→ object   " if self._objects and self.file is None else ""
        tried = self._objects or self.file is not None
        self.border_subtitle = Content(f" {step}{values if tried else ''}{FILE_KEY} file ")
        self.update(Group(*self._parts()))

    def _parts(self) -> list[RenderableType]:
        palette = palette_of(DARK if not self.is_attached else self.app.current_theme)
        muted, warning = palette.style(Tone.MUTED), palette.style(Tone.WARNING)
        parts: list[RenderableType] = []
        if self.file is not None:
            parts.append(Text(A_FILE, muted))
        elif self.chosen is not None:
            parts.append(Text(object_title(self.chosen), muted))
        preview = self._preview
        if preview is not None:
            words = outcome_words(preview)
            if words:
                bad = words.startswith("✗")
                parts.append(Text(words, palette.style(Tone.ERROR) if bad else muted))
            if preview.rows:
                parts.append(self._table([row_words(row) for row in preview.rows[:MAX_ROWS]]))
                parts.append(Text(count_words(preview), muted))
        if self._note:
            parts.append(Text(self._note, warning if preview else muted))
        if preview is None and not self._note:
            parts.append(Text("trying…", muted))
        return parts

    def _table(self, rows: list[RowWords]) -> Table:
        palette = palette_of(self.app.current_theme)
        head = palette.style(Tone.MUTED)
        table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style=head)
        table.add_column(Text(" "), width=1)
        table.add_column(Text("Element"), ratio=5, overflow="fold")
        table.add_column(Text("Before"), ratio=4, overflow="fold")
        table.add_column(Text("After"), ratio=4, overflow="fold")
        for row in rows:
            style = palette.style(_TONES[row.change])
            table.add_row(
                Text(row.glyph, style), Text(row.element), Text(row.before), Text(row.after, style)
            )
        return table
