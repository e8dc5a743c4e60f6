"""Functions that set, delete or keep elements, one or many, and private blocks (dicomedit 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.datasets.decoding import UnreadableItems
from engine.anonymize.datasets.pixels import Rectangle, blacken
from engine.anonymize.datasets.private import is_creator, is_private
from engine.anonymize.datasets.reading import text_of, vr_of
from engine.anonymize.datasets.tree import roots
from engine.anonymize.datasets.writing import assign, remove, store
from engine.anonymize.errors import PathFault, StatementFailure
from engine.anonymize.files.values import kept_element, part_of
from engine.anonymize.functions.function import Argument, Function, hits_of, paths_in
from engine.anonymize.language.paths import Path, plain_path
from engine.anonymize.language.values import VOID, Void, flattened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.tag import BaseTag

    from engine.anonymize.datasets.tree import Hit, Level
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


_BLANKS: Final = " \0"
_PADDING_BYTES: Final = 16
"""Encoding and padding make a value longer than its text: by less than a factor, and this."""


def _remove_tags(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    for path in paths_in(arguments):
        for hit in reversed(run.find(path)):
            remove(hit)
    return VOID


def _collect_values(run: ScriptRun, arguments: tuple[Value, ...]) -> tuple[str, ...]:
    return tuple(_collected(run, arguments))


def _blank_values(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    """Blank every element, wherever it is, whose whole text is one of the collected (9.6)."""
    unwanted = {text.strip(_BLANKS) for text in _collected(run, arguments)} - {""}
    if not unwanted:
        return VOID
    longest = max(map(len, unwanted))
    # A list, as elements change while it is walked.
    for hit in list(run.everything()):
        if _comparable(hit, longest) and _plain_text(hit) in unwanted:
            store(hit, "")
    return VOID


def _collected(run: ScriptRun, arguments: tuple[Value, ...]) -> Iterator[str]:
    for value in flattened(arguments):
        if isinstance(value, Path):
            for hit in hits_of(run, [value]):
                yield text_of(hit.level.ds, hit.tag) or ""
        elif isinstance(value, str):
            yield value
        elif value is not None:
            raise StatementFailure("an argument is neither a tag path nor a text")


def _comparable(hit: Hit, longest: int) -> bool:
    """Return False for sequences, and for bytes that are too long to be one of the values."""
    if hit.tag not in hit.level.ds or vr_of(hit.level.ds, hit.tag) == "SQ":
        return False
    element = kept_element(hit.level.ds, hit.tag)
    part = part_of(element)
    if part is not None:
        return part.size_bytes <= longest * 8 + _PADDING_BYTES
    value = element.value if element is not None else None
    return not isinstance(value, bytes) or len(value) <= longest * 8 + _PADDING_BYTES


def _plain_text(hit: Hit) -> str:
    text = text_of(hit.level.ds, hit.tag) or ""
    # XNAT compares UN, OB and OW by their bytes, so that padded text escapes it (dicomedit 9.6).
    return text.strip(_BLANKS)


def _set(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    path, text = _plain(arguments[0]), run.text(arguments[1])
    # dicomedit 4.4: null does nothing, as with `:=`.
    if text is not None:
        assign(run.ds, path, text)
    return VOID


def _delete(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    # From the last to the first: to remove an item changes the numbers of those behind it.
    for hit in reversed(run.find(_plain(arguments[0]))):
        remove(hit)
    return VOID


def _plain(value: Value) -> Path:
    if not isinstance(value, str):
        raise StatementFailure("the path must be a text", "put it in quotes")
    try:
        return plain_path(value)
    except PathFault as fault:
        raise StatementFailure(f"the path {fault.reason}", fault.remedy) from fault


def _alter_pixels(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    shape, bounds, fill, value = (run.needed(argument) for argument in arguments)
    if shape.lower() != "rectangle":
        raise StatementFailure("the shape is not known", 'write "rectangle"')
    if fill.lower() != "solid":
        raise StatementFailure("the fill is not known", 'write "solid"')
    _check_fill(value)
    blacken(run.ds, Rectangle.parse(bounds), run.tick)
    return VOID


def _check_fill(value: str) -> None:
    """Check the fill value, which is not used: XNAT always fills with 0 (dicomedit 9.8)."""
    name, equals, number = value.partition("=")
    if name.strip().lower() not in ("v", "value") or not equals or not number.strip():
        raise StatementFailure("the fill value can't be read", 'write "v=0"; the fill is always 0')


_PLAIN, _TEXT = Argument.PLAIN_PATH, Argument.TEXT


_Kept = set[tuple[int, int]]
"""Identity of the data set, and tag."""


def _retain_private_tags(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    paths = paths_in(arguments)
    for path in paths:
        # dicomedit 9.6: nothing private would be kept, which nobody means.
        if all(step.creator is None for step in path.tag_steps):
            remedy = "name private elements: (gggg,{CREATOR}ee)"
            raise StatementFailure(f"{path.text} names no private element", remedy)
    kept = _kept(run, paths)
    for level in roots(run.ds):
        _prune(level, kept, run)
    return VOID


def _kept(run: ScriptRun, paths: list[Path]) -> _Kept:
    return {(id(hit.level.ds), hit.tag) for path in paths for hit in run.find(path)}


def _prune(level: Level, kept: _Kept, run: ScriptRun) -> bool:
    """Remove all but the kept elements of a level and its items; return whether there are any."""
    any_kept = False
    for tag in level.tags():
        run.tick()
        if (id(level.ds), tag) in kept:
            # A kept sequence keeps all that is in it (dicomedit 9.6).
            any_kept = True
        elif not is_creator(tag):
            kept_inside = _prune_items(level, tag, kept, run)
            any_kept |= kept_inside
            if is_private(tag) and not kept_inside:
                del level.ds[tag]
    _remove_idle_creators(level)
    return any_kept


def _prune_items(level: Level, tag: BaseTag, kept: _Kept, run: ScriptRun) -> bool:
    try:
        items = level.below(tag)
    # Its items are not known: a private element goes, a public one is an error.
    except UnreadableItems:
        if is_private(tag):
            return False
        raise
    # A list: every item must be pruned, also after the first one with something kept.
    return True in [_prune(item, kept, run) for item in items]


def _remove_idle_creators(level: Level) -> None:
    """Remove creators without elements in their data set (PS3.5 7.8.1)."""
    tags = level.tags()
    owned = {(tag >> 16, (tag & 0xFFFF) >> 8) for tag in tags}
    for tag in tags:
        if is_creator(tag) and (tag >> 16, tag & 0xFFFF) not in owned:
            del level.ds[tag]


FUNCTIONS: Final = {
    "set": Function(_set, 2, 2, (_PLAIN, _TEXT)),
    "delete": Function(_delete, 1, 1, (_PLAIN,)),
    "alterPixels": Function(_alter_pixels, 4, 4),
    "removeTags": Function(_remove_tags, 0, None, (Argument.PATHS,)),
    "collectValues": Function(_collect_values, 0, None, (Argument.ANY,)),
    "blankValues": Function(_blank_values, 0, None, (Argument.ANY,)),
    "retainPrivateTags": Function(_retain_private_tags, 0, None, (Argument.PATHS,)),
}
