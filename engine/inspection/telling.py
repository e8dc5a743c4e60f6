"""The identifying values of an object, at every depth of its data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.multival import MultiValue

from engine.anonymize.datasets.reading import UNREADABLE
from engine.anonymize.datasets.tree import Level
from engine.anonymize.errors import StatementFailure
from engine.model.identity import IdentifyingValue, identifies_anywhere, is_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

_MOST_BYTES: Final = 256
"""Longer binary values are no text that anybody would know."""


def identifying_values_in(ds: Dataset) -> Iterator[IdentifyingValue]:
    """Yield the values by which an object's patient may be known.

    Args:
        ds: the object as it arrived; what can't be read of it is left out.
    """
    yield from _in_level(Level(ds), in_private=False)


def _in_level(level: Level, *, in_private: bool) -> Iterator[IdentifyingValue]:
    """Yield those of a level and below; in an item of a private sequence everything is private."""
    for tag in level.tags():
        private = in_private or is_private(int(tag))
        try:
            items = level.below(tag)
            element = level.ds[tag]
        except (StatementFailure, *UNREADABLE):
            continue
        for item in items:
            yield from _in_level(item, in_private=private)
        if element.VR != "SQ" and (in_private or identifies_anywhere(int(tag), element.VR)):
            yield from _values(element.value, element.VR, private)


def _values(value: object, vr: str, private: bool) -> Iterator[IdentifyingValue]:
    for one in value if isinstance(value, MultiValue) else (value,):
        text = _text(one)
        if text and text.isprintable():
            yield IdentifyingValue(text, vr, private)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").decode("latin-1") if len(value) <= _MOST_BYTES else ""
    return "" if value is None else str(value)
