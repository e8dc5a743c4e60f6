"""Reading the header of a received object: from the encoded data set to a `HeaderView`.

The bytes come from `engine.intake.pipeline`; what is wrong with them is said here. Where one data
set has its elements, the next one of its series mostly has them: a walk depends on nothing but the
heads of the elements that it visits. If all of them are the same at the same places as in an
earlier data set of the same length, its outcome is the same (`ElementIndexCache`).
"""

from __future__ import annotations

from dataclasses import replace
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from engine.dicom.elements import (
    UNDEFINED_LENGTH,
    Buffer,
    Encoding,
    Index,
    encoding_of,
    index,
    skip_fragments,
    value_at,
)
from engine.dicom.header import DEFAULT_LAST_TAG, MAX_VALUE_BYTES, HeaderView
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_HEADS = 2_000
MOST_KNOWN = 16
"""Layouts that an association may mix, such as by the digits of Instance Number."""

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_PREFIX_BYTES = 256 * 1024
_MAX_KEPT_BYTES = 16 * 1024 * 1024
_MAX_REST_BYTES = 64 * 1024


def read_complete(
    data: Buffer,
    transfer_syntax_uid: str,
    *,
    last_tag: int = DEFAULT_LAST_TAG,
    layouts: ElementIndexCache | None = None,
) -> HeaderView:
    """Check a whole data set to its end and return its header, in one walk.

    Args:
        data: the data set.
        transfer_syntax_uid: of the data set.
        last_tag: the greatest tag that is wanted.
        layouts: the layouts of data sets that came before, if some may be the same.

    Raises:
        UnreadableObject: if the data set is empty, cut short, followed by something else or is a
            file instead of a data set.
    """
    found = _index_whole(data, transfer_syntax_uid, last_tag, None, layouts)
    return _view(data, transfer_syntax_uid, encoding_of(transfer_syntax_uid), found, last_tag)


def read_in_parts(
    beginning: Buffer,
    rest_from: Callable[[int], Buffer],
    transfer_syntax_uid: str,
    size_bytes: int,
    *,
    last_tag: int = DEFAULT_LAST_TAG,
    layouts: ElementIndexCache | None = None,
) -> HeaderView | None:
    """Do as `read_complete` does, without reading one long value, mostly pixel data.

    Args:
        beginning: what comes before that value, and perhaps more.
        rest_from: gives what is from a position to the end.
        transfer_syntax_uid: of the data set.
        size_bytes: of the whole data set.
        last_tag: the greatest tag that is wanted.
        layouts: the layouts of data sets that came before, if some may be the same.

    Returns:
        None if the whole data set must be looked at, also to say what is wrong with it.
    """
    encoding = encoding_of(transfer_syntax_uid)
    try:
        found = _index_whole(beginning, transfer_syntax_uid, last_tag, size_bytes, layouts)
        rest_bytes = size_bytes - found.reached
        if found.end > len(beginning) or rest_bytes > _MAX_REST_BYTES:
            return None
        rest = rest_from(found.reached) if rest_bytes else b""
        if found.inside_fragments:
            position, goes_on = skip_fragments(rest, 0, encoding)
            if goes_on:
                return None
            rest = rest[position:]
        # Wanted elements behind the long value: they must be in the view, so all is walked.
        if rest and index(rest, encoding, last_tag, to_end=True).starts:
            return None
    except UnreadableObject:
        return None
    return _view(beginning, transfer_syntax_uid, encoding, found, last_tag)


def read_header(
    data: Buffer,
    transfer_syntax_uid: str,
    *,
    last_tag: int = DEFAULT_LAST_TAG,
    size_bytes: int | None = None,
) -> HeaderView:
    """Return the header from a data set or its beginning; what follows `last_tag` is not looked at.

    Raises:
        UnreadableObject: if the elements up to `last_tag` can't be found, or if `data` is only the
            beginning of `size_bytes` and ends too early.
    """
    _require_data_set(data)
    encoding = encoding_of(transfer_syntax_uid)
    found = index(data, encoding, last_tag, to_end=False)
    if found.complete and size_bytes is not None and size_bytes > len(data):
        raise UnreadableObject(f"the header is longer than {len(data)} bytes")
    return _view(data, transfer_syntax_uid, encoding, found, last_tag)


def check_complete(data: Buffer, transfer_syntax_uid: str) -> None:
    """Check that a data set ends where its last element ends.

    Raises:
        UnreadableObject: as `read_complete` does.
    """
    _index_whole(data, transfer_syntax_uid, DEFAULT_LAST_TAG)


def _index_whole(
    data: Buffer,
    transfer_syntax_uid: str,
    last_tag: int,
    size_bytes: int | None = None,
    layouts: ElementIndexCache | None = None,
) -> Index:
    _require_data_set(data)
    form = IndexKey(transfer_syntax_uid, last_tag, len(data), size_bytes)
    found = (layouts or ElementIndexCache()).index(data, form)
    if transfer_syntax_uid == _EXPLICIT_LITTLE and found.has_no_vr:
        # Stored as it is it would be mislabelled; some writers do so in compressed syntaxes,
        # where no other label exists and every reader copes.
        raise UnreadableObject("the data set is in implicit VR, its transfer syntax is not")
    return found


def _require_data_set(data: Buffer) -> None:
    """PS3.8: what travels is the data set alone, without the preamble and file meta of a file."""
    if len(data) == 0:
        raise UnreadableObject("the data set is empty")
    # A whole file, or one without its preamble (PS3.10 7.1).
    if bytes(data[128:134]) == b"DICM\x02\x00" or bytes(data[:2]) in {b"\x02\x00", b"\x00\x02"}:
        raise UnreadableObject("the data set begins with a file header")


def _view(
    data: Buffer, transfer_syntax_uid: str, encoding: Encoding, found: Index, last_tag: int
) -> HeaderView:
    if found.end > _PREFIX_BYTES:  # long values are cut: the view stays until the object is filed
        kept, starts = _compact(data, found, encoding)
        return HeaderView(transfer_syntax_uid, encoding, kept, starts, {}, last_tag)
    kept = bytes(data[: found.end])
    return HeaderView(transfer_syntax_uid, encoding, kept, found.starts, found.odd, last_tag)


def _compact(data: Buffer, found: Index, encoding: Encoding) -> tuple[bytes, dict[int, int]]:
    """Copy the elements one by one, cutting the long values that make the header so large."""
    kept = bytearray()
    moved = {}
    for key, start in found.starts.items():
        if key in found.odd:
            continue  # its place was found by what follows it, which may be cut
        _, position, length = value_at(data, start, encoding)
        moved[key] = len(kept)
        kept += data[start : position + min(length, MAX_VALUE_BYTES)]
        if len(kept) > _MAX_KEPT_BYTES:
            raise UnreadableObject(f"the header is longer than {_MAX_KEPT_BYTES} bytes")
    return bytes(kept), moved


class IndexKey(NamedTuple):
    """What a walk depends on besides the data set."""

    transfer_syntax_uid: str
    last_tag: int
    kept_bytes: int
    size_bytes: int | None


class _CachedIndex(NamedTuple):
    """The heads that a walk visited, and what it found."""

    heads: Struct
    contents: tuple[bytes, ...]
    found: Index


class ElementIndexCache:
    """The forms of the last objects of one association; used by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[IndexKey, _CachedIndex] = {}
        # Hashes only: the positions are 20 kB an association, and there may be a thousand open ones
        # that send one object each. Two layouts of one hash cost a needless note.
        self._last: dict[IndexKey, int | None] = {}
        """Where the last data set of each form had its elements; None if that can't be learned."""

    def index(self, data: Buffer, form: IndexKey) -> Index:
        """Do as `elements.index` does, to the end.

        Raises:
            UnreadableObject: as that does.
        """
        # One comparison of all heads in C, instead of a walk over them in Python.
        layout = self._known.get(form)
        if layout is not None and layout.heads.unpack_from(data) == layout.contents:
            return layout.found
        found = _walk(data, form, encoding_of(form.transfer_syntax_uid))
        # A peer that sends long headers must not fill the cache.
        if len(found.starts) <= MOST_HEADS:
            self._note(data, form, found)
        return found

    def _note(self, data: Buffer, form: IndexKey, found: Index) -> None:
        if form not in self._last and len(self._last) >= MOST_KNOWN:
            # Of a peer that mixes so many nothing can be learned; what it mixes may change.
            self._last.clear()
            self._known.clear()
        # Learned from the second of two equal ones: to note heads takes longer than to walk.
        if form in self._last and self._last[form] is None:
            return
        layout = hash(tuple(found.starts.values()))
        is_same = self._last.setdefault(form, None) == layout
        self._last[form] = layout if not is_same or self._learn(data, form) else None

    def _learn(self, data: Buffer, form: IndexKey) -> bool:
        notes = _HeadRecorder(encoding_of(form.transfer_syntax_uid))
        try:
            found = _walk(data, form, notes.encoding)
        except _NotCacheable:
            return False
        heads = Struct("<" + "".join(_formats(sorted(notes.places))))
        self._known[form] = _CachedIndex(heads, heads.unpack_from(data), found)
        return True


def _walk(data: Buffer, form: IndexKey, encoding: Encoding) -> Index:
    return index(data, encoding, form.last_tag, to_end=True, size_bytes=form.size_bytes)


class _NotCacheable(Exception):
    """A walk looks at too many places, or elsewhere, as for an unknown VR or a sequence as UN."""


class _HeadRecorder:
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
            raise _NotCacheable
        return content

    def _key_and_length(self, data: Buffer, position: int) -> tuple[int, ...]:
        self._note(position, 8)
        return self._noted.key_and_length(data, position)

    def _length32(self, data: Buffer, position: int) -> tuple[int, ...]:
        self._note(position, 4)
        content = self._noted.length32(data, position)
        if self._vr == self._noted.un and content[0] == UNDEFINED_LENGTH:
            raise _NotCacheable
        return content

    def _note(self, position: int, size: int) -> None:
        self.places.append((position, size))
        if len(self.places) > MOST_HEADS:
            raise _NotCacheable


def _formats(places: list[tuple[int, int]]) -> list[str]:
    """Return struct formats of places, which are in order and do not overlap."""
    formats, reached = [], 0
    for position, size in places:
        formats.append(f"{position - reached}x{size}s")
        reached = position + size
    return formats
