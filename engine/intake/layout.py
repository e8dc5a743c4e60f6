"""Data sets of one form: where one has its elements, the next one of its series mostly has them.

A walk depends on nothing but the heads of the elements that it visits. If all of them are the same
at the same places as in an earlier data set of the same length, its outcome is the same.
"""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from engine.elements import UNDEFINED_LENGTH, Index, encoding_of, index

if TYPE_CHECKING:
    from engine.elements import Buffer, Encoding

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
        self._last: dict[Form, dict[int, int] | None] = {}
        """Where the last data set of each form had its elements; None if that can't be learned."""

    def index(self, data: Buffer, form: Form) -> Index:
        """Do as `elements.index` does, to the end.

        Raises:
            UnreadableObject: as that does.
        """
        layout = self._known.get(form)
        if layout is not None and layout.heads.unpack_from(data) == layout.contents:
            return layout.found
        found = _walk(data, form, encoding_of(form.transfer_syntax_uid))
        if len(found.starts) <= MOST_HEADS:
            self._note(data, form, found)
        return found

    def _note(self, data: Buffer, form: Form, found: Index) -> None:
        if form not in self._last and len(self._last) >= MOST_KNOWN:
            self._last.clear()
            self._known.clear()
        last = self._last.setdefault(form, found.starts)
        if last is not None and last is not found.starts:
            is_same = last == found.starts
            learned = not is_same or self._learn(data, form)
            self._last[form] = found.starts if learned else None

    def _learn(self, data: Buffer, form: Form) -> bool:
        notes = _Notes(encoding_of(form.transfer_syntax_uid))
        try:
            found = _walk(data, form, notes.encoding)
        except _Unlearnable:
            return False
        heads = Struct("<" + "".join(_formats(sorted(notes.places))))
        self._known[form] = _Layout(heads, heads.unpack_from(data), found)
        return True


def _walk(data: Buffer, form: Form, encoding: Encoding) -> Index:
    return index(data, encoding, form.last_tag, to_end=True, size_bytes=form.size_bytes)


class _Unlearnable(Exception):
    """A walk looks at too many places, or elsewhere, as for an unknown VR or a sequence as UN."""


class _Notes:
    """An encoding that notes every place where a walk looks."""

    def __init__(self, encoding: Encoding) -> None:
        self._noted = encoding
        self._known_vrs = encoding.short_vrs | encoding.long_vrs
        self._vr = 0
        """Of the element that the walk is at."""
        self.places: list[tuple[int, int]] = []
        """Positions and lengths."""
        self.encoding = replace(
            encoding,
            head=self._head if encoding.explicit else self._key_and_length,
            key_and_length=self._key_and_length,
            length32=self._length32,
        )

    def _head(self, data: Buffer, position: int) -> tuple[int, ...]:
        self._note(position, 8)
        content = self._noted.head(data, position)
        key, self._vr, _ = content
        if self._vr not in self._known_vrs and key != self._noted.item_end:
            raise _Unlearnable
        return content

    def _key_and_length(self, data: Buffer, position: int) -> tuple[int, ...]:
        self._note(position, 8)
        return self._noted.key_and_length(data, position)

    def _length32(self, data: Buffer, position: int) -> tuple[int, ...]:
        self._note(position, 4)
        content = self._noted.length32(data, position)
        if self._vr == self._noted.un and content[0] == UNDEFINED_LENGTH:
            raise _Unlearnable
        return content

    def _note(self, position: int, size: int) -> None:
        self.places.append((position, size))
        if len(self.places) > MOST_HEADS:
            raise _Unlearnable


def _formats(places: list[tuple[int, int]]) -> list[str]:
    """Return struct formats of places, which are in order and do not overlap."""
    formats, reached = [], 0
    for position, size in places:
        formats.append(f"{position - reached}x{size}s")
        reached = position + size
    return formats
