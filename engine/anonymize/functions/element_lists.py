"""Functions on all elements that lists of paths mean (dicomedit 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.datasets.reading import text_of, vr_of
from engine.anonymize.datasets.writing import remove, store
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element, part_of
from engine.anonymize.functions.function import Argument, Function, paths_in
from engine.anonymize.functions.in_place import hits_of
from engine.anonymize.language.paths import Path
from engine.anonymize.language.values import VOID, Void, flattened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize.datasets.tree import Hit
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun

_BLANKS: Final = " \0"
_PADDING_BYTES: Final = 16
"""Encodings and padding make a value longer than its text, by less than a factor and this."""


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
    """Pass over sequences, and over bytes that are far too long to be one of the values."""
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
    return text.strip(_BLANKS)


FUNCTIONS: Final = {
    "removeTags": Function(_remove_tags, 0, None, (Argument.PATHS,)),
    "collectValues": Function(_collect_values, 0, None, (Argument.ANY,)),
    "blankValues": Function(_blank_values, 0, None, (Argument.ANY,)),
}
