"""The key line at the bottom: it lists the keys that work now, and never wraps or cuts a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len
from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from tui.keys import BY_ID, ORDER, Key, Scope

if TYPE_CHECKING:
    from textual.screen import Screen

QUIT = "app.quit"


class Hint(NamedTuple):
    """A key in the footer, and whether it can be used now."""

    key: Key
    enabled: bool


class HintFormat(NamedTuple):
    """How closely the hints are set."""

    short: bool
    gap: str

    def label(self, key: Key) -> str:
        """Return what the key is called in this form."""
        return (self.short and key.short) or key.label


FORMS = (HintFormat(False, "  "), HintFormat(True, "  "), HintFormat(True, " "))


class KeyLine(Widget):
    """Shows the important active keys; each is also a mouse target."""

    auto_links = False
    COMPONENT_CLASSES = {"key-line--key", "key-line--off"}

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._hints: tuple[Hint, ...] = ()

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def render(self) -> Content:
        """Return the longest form that fits."""
        width = self.size.width - 2
        hints = active_hints(self.screen)
        shown, form = _arranged(hints, width)
        last = [hint for hint in shown if hint.key.id == QUIT]
        line = self._line([hint for hint in shown if hint not in last], form)
        end = self._line(last, form)
        gap = max(1, width - cell_len(line.plain) - cell_len(end.plain))
        return Content.assemble(" ", line, " " * gap, end)

    def _line(self, hints: list[Hint], form: HintFormat) -> Content:
        return Content(form.gap).join([self._hint(hint, form) for hint in hints])

    def _hint(self, hint: Hint, form: HintFormat) -> Content:
        label = form.label(hint.key)
        if not hint.enabled:
            off = self.get_visual_style("key-line--off")
            return Content.styled(f"{hint.key.shown} {label}", off)
        target = Style.from_meta({"@click": _click(hint.key)})
        shown = self.get_visual_style("key-line--key", partial=True)
        content = Content.assemble((hint.key.shown, shown), f" {label}")
        return content.stylize(target)

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        hints = tuple(active_hints(screen))
        if hints != self._hints:
            self._hints = hints
            self.refresh()


def active_hints(screen: Screen[Any]) -> list[Hint]:
    """Return the footer's keys that exist now, in the order of the key table."""
    hints = [
        Hint(BY_ID[active.binding.id], active.enabled)
        for active in screen.active_bindings.values()
        if active.binding.show and active.binding.id in BY_ID
    ]
    return sorted(hints, key=lambda hint: ORDER[hint.key.id])


def _arranged(hints: list[Hint], width: int) -> tuple[list[Hint], HintFormat]:
    for form in FORMS:
        if _width(hints, form) <= width:
            return hints, form
    hints = list(hints)
    closest = FORMS[-1]
    while hints and _width(hints, closest) > width:
        hints.remove(max(hints, key=lambda hint: hint.key.footer))
    return hints, closest


def _width(hints: list[Hint], form: HintFormat) -> int:
    texts = [f"{hint.key.shown} {form.label(hint.key)}" for hint in hints]
    return sum(map(cell_len, texts)) + len(form.gap) * max(0, len(texts) - 1)


def _click(key: Key) -> str:
    if "." in key.action.partition("(")[0]:
        return key.action
    return f"app.{key.action}" if key.scope is Scope.EVERYWHERE else f"screen.{key.action}"
