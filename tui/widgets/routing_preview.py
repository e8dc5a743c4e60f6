"""The live preview of routing rules: one recent object at a time, and all of them counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from engine.model.trace import Attribute, Source
from tui.forms.routing_preview import NO_OBJECTS, AttributeWords, ObjectWords, object_words, totals
from tui.widgets.hanging_text import hanging

if TYPE_CHECKING:
    from textual.timer import Timer

    from engine.model.identity import RoutingPreview

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
        """Whether nobody has asked for the values."""

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
        """What is said of the object that is shown; None if there is none."""
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
        number = f" · object {self._at + 1} of {len(self._previews)}" if words else ""
        self.border_title = Content(f" Routing preview{number} ")
        self.border_subtitle = Content(self._keys()) if words else None
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
        return f" ←→ object   v {'shows' if self.masked else 'masks'} values "


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
