"""The preview of routing rules: it shows how recent objects would be filed, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from engine.model.identity import DEFAULT_SESSION_LABEL, UNASSIGNED, Attribute, Source
from engine.model.processing import Verdict
from tui.text import clock, counted, safe
from tui.widgets.panel import hanging

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from textual.timer import Timer

    from engine.model.identity import Identification, Step
    from engine.model.processing import ProcessorStep, RoutingPreview


SHOWN = (Attribute.PROJECT, Attribute.SUBJECT, Attribute.SESSION)
MAX_FAILED_RULES = 3
"""Of one attribute: more would push the others out of sight."""
MAX_VALUE_CHARACTERS = 64
"""As much of a value as a rule sees (XNAT 6.4)."""
FILE_KEY = "f7"
"""Chooses a file, in any dialog that tries something on an object."""
NO_OBJECTS = (
    "there is no object to try the rules on: none arrived, and no session has one; "
    f"{FILE_KEY} tries a file"
)
AS_STORED = "as stored: scripts and processors may have changed it since it arrived"
_SITE_SHOWN = (*SHOWN, Attribute.AUTO_ARCHIVE)
"""A receiver has no rules for auto-archiving."""
OTHERWISE = {
    Attribute.PROJECT: UNASSIGNED,
    Attribute.SUBJECT: "no subject",
    Attribute.SESSION: DEFAULT_SESSION_LABEL,
    Attribute.AUTO_ARCHIVE: "as the project says",
}
"""What is filed in place of a value that nothing decides."""
_WHOSE = {Source.RECEIVER: "rule", Source.SITE: "site rule", Source.DEFAULT: "default"}


@dataclass(frozen=True, slots=True)
class AttributeWords:
    """What becomes of one attribute of one object."""

    attribute: Attribute
    value: str
    """What is decided; what is filed in its place if nothing is."""
    is_decided: bool
    by: str
    """Such as ``rule 2 · (0008,1030) StudyDescription``; empty if nothing decides."""
    taken: str
    """The element's value with the part that was taken, such as ``“[NEURO-01]^BRAIN”``."""
    passed_over: tuple[str, ...]
    """The rules considered that decided nothing, each with the reason."""

    @property
    def in_one_line(self) -> str:
        """The same, as short as it can be."""
        arrow = "→" if self.is_decided else "✗ nothing decides →"
        return " · ".join(filter(None, (f"{arrow} {self.value}", self.by)))


@dataclass(frozen=True, slots=True)
class ObjectWords:
    """One object under the rules that are being considered."""

    head: str
    """Which object it is."""
    refused: str
    """Why it would be refused, if it would."""
    attributes: tuple[AttributeWords, ...]
    change: str
    """Where it is filed by the settings in force, if that differs."""
    processing: tuple[str, ...] = ()
    """What processors do to it, in order, such as ``Relabel continued: project=A``."""


def object_words(preview: RoutingPreview, *, whose: Source = Source.RECEIVER) -> ObjectWords:
    """Say where an object would go and why.

    Args:
        preview: the object's dry run, masked or not.
        whose: whose rules are being considered.
    """
    draft, saved = preview.draft, preview.saved
    at = f"{preview.at.astimezone():%Y-%m-%d %H:%M}" if preview.as_stored else clock(preview.at)
    head = f"{at} from {safe(preview.calling_ae_title)}, {safe(preview.receiver)}"
    head += f", {AS_STORED}" if preview.as_stored else ""
    if preview.is_file:
        head = f"a file, as if it were sent to {safe(preview.receiver)}"
    attributes = (
        () if draft.identity is None else tuple(_words(a, draft, whose) for a in _shown(whose))
    )
    change = f"saved rules file it as {_filed(saved)}" if preview.changes else ""
    processing = tuple(processing_words(preview.draft_processing))
    return ObjectWords(head, safe(draft.failure), attributes, change, processing)


def totals(previews: Sequence[RoutingPreview], whose: Source = Source.RECEIVER) -> str:
    """Count for how many of the objects the rules considered decide, and what changes."""
    by_rule = {
        attribute: sum(_is_ruled(preview.draft, attribute, whose) for preview in previews)
        for attribute in _shown(whose)
    }
    found = ", ".join(f"{attribute} {number}" for attribute, number in by_rule.items())
    refused = sum(preview.draft.identity is None for preview in previews)
    moved = sum(preview.changes for preview in previews)
    number = counted(len(previews), "recent object")
    if any(preview.is_file for preview in previews):
        number = "a file" if len(previews) == 1 else f"a file at {len(previews)} receivers"
    words = [f"{number}; these rules decide {found}"]
    words += [f"✗ {counted(refused, 'object')} would be refused"] if refused else []
    words += [f"{moved} filed otherwise than now"] if moved else []
    return "; ".join(words)


def _shown(whose: Source) -> tuple[Attribute, ...]:
    return _SITE_SHOWN if whose is Source.SITE else SHOWN


def _words(attribute: Attribute, draft: Identification, whose: Source) -> AttributeWords:
    step = draft.trace.deciding(attribute)
    passed_over = tuple(
        f"rule {step.line}: {step.element}: {safe(step.why_not)}"
        for step in draft.trace.of(attribute)
        if step.source is whose and not step.decided
    )
    value = value_of(attribute, draft) or OTHERWISE[attribute]
    decided = step is not None or attribute is Attribute.AUTO_ARCHIVE  # its default is no miss
    by = decided_by(step) if step is not None else ""
    taken = taken_words(step) if step is not None else ""
    return AttributeWords(
        attribute, safe(value), decided, by, taken, passed_over[:MAX_FAILED_RULES]
    )


def processing_words(steps: Iterable[ProcessorStep]) -> Iterator[str]:
    """Say what each processor did that had to do with the object; safe text."""
    for step in steps:
        if step.verdict not in {Verdict.NOT_SEEN, Verdict.SKIPPED}:
            changed = f"{counted(len(step.changes), 'element')} changed" if step.changes else ""
            said = ", ".join(filter(None, (step.why, step.assigned.words(), changed)))
            yield safe(f"{step.processor} {step.verdict}{': ' if said else ''}{said}")


def value_of(attribute: Attribute, found: Identification) -> str:
    """Return what is decided on an attribute; empty if nothing is."""
    if found.identity is None:
        return ""
    if attribute is Attribute.AUTO_ARCHIVE:
        return {None: "", True: "yes", False: "no"}[found.identity.auto_archive]
    return dict(zip(SHOWN, found.identity.labels, strict=True))[attribute]


def decided_by(step: Step) -> str:
    """Name the source of a step and its element; safe text."""
    if step.source in {Source.IDENTIFIER, Source.PROCESSOR}:
        return safe(step.rule)
    number = f" {step.line}" if step.line is not None else ""
    return f"{_WHOSE[step.source]}{number} · {step.element}"


def taken_words(step: Step) -> str:
    """Show the element's value, with what was taken from it in brackets."""
    if step.value is None:
        return ""
    value, captured = safe(step.value), safe(step.captured or "")
    if captured and captured != value and captured in value:
        value = value.replace(captured, f"[{captured}]", 1)
    ellipsis = "…" if step.cut or len(value) > MAX_VALUE_CHARACTERS else ""
    return f"“{value[:MAX_VALUE_CHARACTERS]}{ellipsis}”"


def _filed(found: Identification) -> str:
    if found.identity is None:
        return f"refused: {safe(found.failure)}"
    return " / ".join(safe(label or "no subject") for label in found.identity.labels)


def _is_ruled(found: Identification, attribute: Attribute, whose: Source) -> bool:
    step = found.trace.deciding(attribute)
    return step is not None and step.source is whose


SHOW_SECONDS = 60
"""Values of patients are masked again by themselves."""
_LABEL_WIDTH = 9
UNKNOWN_WIDTH = 1_000
"""Before the first layout nothing is broken."""
_SHORT = {Attribute.AUTO_ARCHIVE: "Archive"}


@runtime_checkable
class ShowsPreview(Protocol):
    """The body of a dialog with a preview in it."""

    def show_preview(self, previews: tuple[RoutingPreview, ...], note: str = "") -> None:
        """Show a dry run of the rules, or say why there is none."""
        ...


class RoutingPreviewPanel(Static, can_focus=True):
    """Draws what a dry run brought; knows no engine."""

    BINDINGS = [
        Binding("left", "step(-1)", "Newer object", show=False, id="preview.newer"),
        Binding("right", "step(1)", "Older object", show=False, id="preview.older"),
        Binding("v", "unmask", "Show values", show=False, id="preview.unmask"),
    ]

    class Moved(Message):
        """Another object is shown, or the same one with or without its values."""

    class Wanted(Message):
        """Values are to be shown, or no longer: that is the engine's to answer."""

    def __init__(self, whose: Source = Source.RECEIVER) -> None:
        """Take whose rules are being considered."""
        super().__init__("", id="routing-preview", markup=False)
        self._whose = whose
        self._previews: tuple[RoutingPreview, ...] = ()
        self._masked_previews: tuple[RoutingPreview, ...] = ()
        self._note = ""
        self._at = 0
        self._mask_timer: Timer | None = None
        self.masked = True
        """Whether values are masked."""

    def show(self, previews: tuple[RoutingPreview, ...], note: str = "") -> None:
        """Show a dry run; a note says why there is none, or that it is not of the present rules."""
        self._previews, self._note = previews, note
        if self.masked:
            self._masked_previews = previews
        self._at = min(self._at, max(0, len(previews) - 1))
        self._draw()

    @property
    def is_current(self) -> bool:
        """Whether what is shown is a dry run of the present rules."""
        return bool(self._previews) and not self._note

    @property
    def words(self) -> ObjectWords | None:
        """The words on the object that is shown; None if there is none."""
        if not self._previews:
            return None
        return object_words(self._previews[self._at], whose=self._whose)

    def action_step(self, by: int) -> None:
        """Go to another object."""
        self._at = max(0, min(len(self._previews) - 1, self._at + by))
        self._redraw()

    def action_unmask(self) -> None:
        """Ask for the values of the objects for a while, or mask them again."""
        if not self.masked:
            self._mask()
        elif self._previews:
            self.masked = False
            self._mask_timer = self.set_timer(SHOW_SECONDS, self._mask)
            self._draw()
            self.post_message(self.Wanted())

    def _mask(self) -> None:
        self.masked = True
        if self._mask_timer is not None:
            self._mask_timer.stop()
        self._previews = self._masked_previews
        self._at = min(self._at, max(0, len(self._previews) - 1))
        self._redraw()
        self.post_message(self.Wanted())

    def _redraw(self) -> None:
        self._draw()
        self.post_message(self.Moved())

    def _draw(self) -> None:
        words = self.words
        self.border_title = Content(f" Routing preview{self._place()} ")
        self.border_subtitle = Content(self._keys() if words else f" {FILE_KEY} try a file ")
        if words is None:
            self.update(Content.styled(self._note or NO_OBJECTS, "$text-muted"))
            return
        lines = [Content.styled(words.head, "$text-muted"), *_object(words)]
        lines.append(Content.styled(totals(self._previews, self._whose), "$text-muted"))
        if self._note:
            lines.append(Content.styled(self._note, "$text-warning"))
        width = self.scrollable_content_region.width or UNKNOWN_WIDTH
        broken = [part for line in lines for part in hanging(line, width, _indent(line))]
        self.update(Content("\n").join(broken))

    def on_resize(self) -> None:
        """Break the lines for the new width."""
        self._draw()

    def _keys(self) -> str:
        value = "shows" if self.masked else "masks"
        step = "receiver" if self._is_file else "object"
        steps = f"←→ {step}   " if len(self._previews) > 1 or not self._is_file else ""
        return f" {steps}v {value} values   {FILE_KEY} file "

    def _place(self) -> str:
        """Return which of the previews is shown: of an object each, or of a file at receivers."""
        place = f"{self._at + 1} of {len(self._previews)}"
        if self._is_file:
            return f" · a file, receiver {place}" if len(self._previews) > 1 else " · a file"
        return f" · object {place}" if self._previews else ""

    @property
    def _is_file(self) -> bool:
        return any(preview.is_file for preview in self._previews)


def _indent(line: Content) -> int:
    """Return where a broken line goes on: below the value, or behind the dash of a reason."""
    labelled = line.plain[:_LABEL_WIDTH].rstrip() in {*map(_name, Attribute), ""}
    return _LABEL_WIDTH + 2 if labelled else 2


def _name(attribute: Attribute) -> str:
    return _SHORT.get(attribute, attribute.capitalize())


def _object(words: ObjectWords) -> list[Content]:
    processed = [Content.styled(f"▸ {said}", "$text-muted") for said in words.processing]
    if words.refused:
        refused = Content.styled(f"✗ would be refused: {words.refused}", "$text-error")
        return [*processed, refused]
    lines = processed + [line for attribute in words.attributes for line in _attribute(attribute)]
    if words.change:
        lines.append(Content.styled(f"! {words.change}", "$text-warning"))
    return lines


def _attribute(words: AttributeWords) -> list[Content]:
    label = Content.styled(f"{_name(words.attribute):<{_LABEL_WIDTH}}", "$text-primary")
    style = "bold" if words.is_decided else "$text-warning"
    mark = "" if words.is_decided else "✗ "
    first = label + Content.styled(f"{mark}{words.value}", style)
    lines = [first.append(Content.styled(f"  {words.by} {words.taken}".rstrip(), "$text-muted"))]
    indent = " " * _LABEL_WIDTH
    lines += [Content.styled(f"{indent}– {why}", "$text-muted") for why in words.passed_over]
    return lines
