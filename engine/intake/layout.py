"""Data sets of one form: where one has its elements, the next one of its series mostly has them.

A walk depends on nothing but the heads of the elements that it visits. If all of them are the same
at the same places as in an earlier data set of the same length, its outcome is the same.
"""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from engine.intake.elements import UNDEFINED_LENGTH, Index, encoding_of, index

if TYPE_CHECKING:
    from engine.intake.elements import Buffer, Encoding

MOST_HEADS = 2_000
MOST_KNOWN = 16
"""Layouts that an association may mix, such as by the digits of Instance Number."""


class Form(NamedTuple):
    """What a walk depends on besides the data set."""

    transfer_syntax_uid: str
    last_tag: int
    kept_bytes: int
    size_bytes: int | None


class _Layout(NamedTuple):
    """The heads that a walk visited, and what it found."""

    heads: Struct
    contents: tuple[bytes, ...]
    found: Index


class Layouts:
    """The forms of the last objects of one association; used by its reading thread."""

    def __init__(self) -> None:
        self._known: dict[Form, _Layout] = {}
        self._last: dict[Form, dict[int, int]] = {}
        """Where the last data set of each form had its elements."""

    def index(self, data: Buffer, form: Form) -> Index:
        """Do as `elements.index` does, to the end.

        Raises:
            UnreadableObject: as that does.
        """
        layout = self._known.get(form)
        if layout is not None and layout.heads.unpack_from(data) == layout.contents:
            return layout.found
        found = _walk(data, form, encoding_of(form.transfer_syntax_uid))
        if self._last.get(form) == found.starts:
            self._learn(data, form)
        elif len(self._last) >= MOST_KNOWN:
            self._last.clear()
            self._known.clear()
        self._last[form] = found.starts
        return found

    def _learn(self, data: Buffer, form: Form) -> None:
        notes = _Notes(encoding_of(form.transfer_syntax_uid))
        found = _walk(data, form, notes.encoding)
        if not notes.is_incomplete and len(notes.places) <= MOST_HEADS:
            heads = Struct("<" + "".join(_formats(sorted(notes.places))))
            self._known[form] = _Layout(heads, heads.unpack_from(data), found)


def _walk(data: Buffer, form: Form, encoding: Encoding) -> Index:
    return index(data, encoding, form.last_tag, to_end=True, size_bytes=form.size_bytes)


class _Notes:
    """An encoding that notes every place where a walk looks."""

    def __init__(self, encoding: Encoding) -> None:
        self._noted = encoding
        self._known_vrs = encoding.short_vrs | encoding.long_vrs
        self._vr = 0
        """Of the element that the walk is at."""
        self.places: list[tuple[int, int]] = []
        """Positions and lengths."""
        self.is_incomplete = False
        """Whether it looked elsewhere, too, as it does for an unknown VR and a sequence as UN."""
        self.encoding = replace(
            encoding,
            head=self._head if encoding.explicit else self._key_and_length,
            key_and_length=self._key_and_length,
            length32=self._length32,
        )

    def _head(self, data: Buffer, position: int) -> tuple[int, ...]:
        self.places.append((position, 8))
        content = self._noted.head(data, position)
        key, self._vr, _ = content
        if self._vr not in self._known_vrs and key != self._noted.item_end:
            self.is_incomplete = True
        return content

    def _key_and_length(self, data: Buffer, position: int) -> tuple[int, ...]:
        self.places.append((position, 8))
        return self._noted.key_and_length(data, position)

    def _length32(self, data: Buffer, position: int) -> tuple[int, ...]:
        self.places.append((position, 4))
        content = self._noted.length32(data, position)
        if self._vr == self._noted.un and content[0] == UNDEFINED_LENGTH:
            self.is_incomplete = True
        return content


def _formats(places: list[tuple[int, int]]) -> list[str]:
    """Return struct formats of places, which are in order and do not overlap."""
    formats, reached = [], 0
    for position, size in places:
        formats.append(f"{position - reached}x{size}s")
        reached = position + size
    return formats
