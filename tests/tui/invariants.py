"""What must hold on every screen at every size: sentences on what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, split_graphemes
from textual._border import BORDER_CHARS
from textual.css.query import NoMatches
from textual.geometry import Offset, Region
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.widget import Widget
from textual.widgets import Button, Footer, Static, TextArea

from tui.shell.status import KeyLine, StatusLine, active_hints
from tui.widgets.field import Field
from tui.widgets.panel import HangingText

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.screen import Screen

EMPTY = "\0"
FRAMES = frozenset({"heavy", "round", "solid", "dashed"})


def drawn(screen: Screen[Any]) -> list[str]:
    """Return what is on the screen, each line as long as it is wide in cells."""
    strips = screen._compositor.render_strips(screen.app.size)
    return ["".join(_cells(strip.text)) for strip in strips]


def _cells(text: str) -> Iterator[str]:
    """Yield a text so that each cell has a character: a wide one is followed by an empty one."""
    for begin, end, width in split_graphemes(text)[0]:
        yield text[begin:end][:1] + EMPTY * (width - 1)


def faults(screen: Screen[Any]) -> list[str]:
    """Return what an eye would find wrong with a screen."""
    lines = drawn(screen)
    found = [*scrolled(screen), *broken_frames(screen, lines), *missing_lines(screen, lines)]
    return [*found, *lost_focus(screen), *cut_texts(screen, lines)]


# The frame


def scrolled(screen: Screen[Any]) -> Iterator[str]:
    """A screen as a whole never scrolls: what is in it does."""
    if screen.show_vertical_scrollbar or screen.show_horizontal_scrollbar:
        yield f"the whole screen has a scrollbar: it holds {screen.virtual_size}"


def broken_frames(screen: Screen[Any], lines: list[str]) -> Iterator[str]:
    """A frame is whole and its corners are drawn, unless it may be scrolled to."""
    for widget in shown(screen):
        kinds = {
            edge
            for edge, _ in (
                widget.styles.border_top,
                widget.styles.border_bottom,
                widget.styles.border_left,
                widget.styles.border_right,
            )
        }
        region = widget.region
        if len(kinds) != 1 or not kinds <= FRAMES or can_be_scrolled_to(widget):
            continue
        if not screen.region.contains_region(region):
            yield f"{named(widget)}: its frame {region} leaves the screen {screen.size}"
            continue
        (kind,) = kinds
        top, _, bottom = BORDER_CHARS[kind]
        corners = {
            (region.x, region.y): top[0],
            (region.right - 1, region.y): top[2],
            (region.x, region.bottom - 1): bottom[0],
            (region.right - 1, region.bottom - 1): bottom[2],
        }
        for (x, y), corner in corners.items():
            if lines[y][x] != corner:
                yield f"{named(widget)}: {lines[y][x]!r} instead of its corner {corner} at {x}, {y}"


def missing_lines(screen: Screen[Any], lines: list[str]) -> Iterator[str]:
    """The line at the top and the keys at the bottom are there, each one row."""
    if not isinstance(screen, ModalScreen):
        for kind, y in ((StatusLine, 0), (KeyLine, screen.size.height - 1)):
            for line in screen.query(kind):
                if line.region != Region(0, y, screen.size.width, 1):
                    yield f"{kind.__name__} is at {line.region}"
                if not lines[y].strip():
                    yield f"{kind.__name__} is empty"
        yield from _unsaid_keys(screen, lines[-1])
        return
    footers = [footer for footer in screen.query(Footer) if footer.display]
    for footer in footers:
        if footer.region.height != 1 or not lines[footer.region.y].strip():
            yield f"the footer is empty or has not one row: {footer.region}"
        if footer.max_scroll_x:
            yield f"the footer's keys don't fit: {lines[footer.region.y].rstrip()!r}"
    subtitles = [
        widget._border_subtitle.plain for widget in screen.query("*") if widget._border_subtitle
    ]
    if not footers and not any(keys in line for keys in subtitles for line in lines):
        yield "it says nowhere which keys there are"


def _unsaid_keys(screen: Screen[Any], line: str) -> Iterator[str]:
    left_out = [h for h in active_hints(screen) if f"{h.key.shown} " not in line]
    if left_out and "? Help" not in line:
        yield f"keys are left out, and no key says which: {line!r}"


# The focus


def lost_focus(screen: Screen[Any]) -> Iterator[str]:
    """What has the focus is seen: all of it, or the line with the cursor."""
    widget = screen.focused
    if widget is None:
        return
    seen = visible(widget)
    if not seen:
        yield f"{named(widget)} has the focus and is not seen: {widget.region}"
        return
    if isinstance(widget, TextArea):
        x, y = widget.cursor_screen_offset
        if not seen.contains(min(x, seen.right - 1), y):
            yield f"{named(widget)}: the line with the cursor, {y}, is not seen"
    elif not isinstance(widget, ScrollView) and widget.region.height == 1 and seen != widget.region:
        yield f"{named(widget)} has the focus and is cut to {seen}"
    middle = Offset(seen.x + seen.width // 2, seen.y)
    there, _ = screen.get_widget_at(*middle)
    if widget not in there.ancestors_with_self:
        yield f"{named(widget)} has the focus and is behind {named(there)}"


def unseen_problems(screen: Screen[Any]) -> Iterator[str]:
    """Of the field with the focus, what is wrong is seen."""
    focused = screen.focused
    path = focused.ancestors_with_self if focused is not None else []
    field = next((node for node in path if isinstance(node, Field)), None)
    if field is None or not field.problems:
        yield f"{named(focused) if focused else 'nothing'} has the focus, and has no problem"
        return
    below = field.query_one(".below")
    if not below.display or not visible(below):
        yield f"{named(field)}: “{field.problems[0]}” is not seen"


# Texts


def cut_texts(screen: Screen[Any], lines: list[str]) -> Iterator[str]:
    """No text ends where its room does, unless an ellipsis or a scrollbar says so."""
    for widget in shown(screen):
        # Of what is scrolled away in part, nothing is cut: it can be scrolled to.
        is_whole = visible(widget) == widget.region
        for said, row in _titles(widget) if is_whole else ():
            line = lines[row][widget.region.x : widget.region.right].replace(EMPTY, "")
            if said not in line:
                if "…" not in line:
                    yield f"{named(widget)}: its title is cut: {said!r}"
                elif isinstance(screen, ModalScreen) and row != widget.region.y:
                    yield f"{named(widget)}: its keys are cut: {said!r}"
        if isinstance(widget, Button):
            label = str(widget.label)
            if cell_len(label) > widget.content_size.width or not is_whole:
                yield f"{named(widget)}: the label {label!r} is cut: {visible(widget)}"
        if not isinstance(widget, Static | HangingText) or not widget.region.area:
            continue
        needed, seen = height_of(widget), widget.content_region
        if not is_whole:
            if not can_be_scrolled_to(widget):
                yield f"{named(widget)}: of {widget.region} only {visible(widget)} is seen"
        elif needed > seen.height and "…" not in lines[seen.bottom - 1][seen.x : seen.right]:
            yield f"{named(widget)}: {needed} lines in {widget.content_size.height} rows"


def _titles(widget: Widget) -> Iterator[tuple[str, int]]:
    edges = widget.styles.border_top[0], widget.styles.border_bottom[0]
    if widget._border_title is not None and edges[0] in FRAMES:
        yield widget._border_title.plain, widget.region.y
    if widget._border_subtitle is not None and edges[1] in FRAMES:
        yield widget._border_subtitle.plain, widget.region.bottom - 1


def height_of(widget: Widget) -> int:
    """Return how many rows a text needs at its width."""
    width = widget.content_size.width
    return widget.get_content_height(widget.size, widget.screen.size, width) if width else 0


# Where things are


def shown(screen: Screen[Any]) -> Iterator[Widget]:
    """Yield what is displayed, from the outside inwards."""
    for widget in screen.query("*"):
        around = [node for node in widget.ancestors_with_self[:-2] if isinstance(node, Widget)]
        is_folded = any(not node.content_size.height for node in around[1:])
        if widget.visible and not is_folded and all(node.display for node in around):
            yield widget


def visible(widget: Widget) -> Region:
    """Return the part of a widget that is not scrolled away or cut."""
    try:
        place = widget.screen.find_widget(widget)
    except NoMatches:
        return Region()
    return place.region.intersection(place.clip)


def can_be_scrolled_to(widget: Widget) -> bool:
    """Tell whether a widget is in something that scrolls, and shows that it does."""
    outside = [node for node in widget.ancestors[:-2] if isinstance(node, Widget)]
    return any(node.show_vertical_scrollbar and node.scrollbar_size_vertical for node in outside)


def named(widget: Widget) -> str:
    """Return a name that leads to a widget."""
    place = widget.id or next((node.id for node in widget.ancestors if node.id), "")
    name = (
        f"{type(widget).__name__}#{place}" if widget.id else f"{type(widget).__name__} in #{place}"
    )
    return f"{name}.{'.'.join(widget.classes)}" if widget.classes else name
