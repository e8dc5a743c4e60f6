"""An edit that a script has done to one object, done to others of its series without the script.

A script runs in a process of its own, which also tells which elements decide about the result
(`Dependence`). The edit is learned from one object and its result. It is done again if all that
decides is the same in another object; the result is then that of the script, byte for byte. Other
elements are copied, and UIDs are hashed anew. In any doubt the script runs.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from struct import pack
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.dataelem import RawDataElement

from engine.dicom.dataset import ElementIndexCache, IndexKey
from engine.dicom.elements import (
    ITEM_STARTS,
    LAST_TAG,
    LONG_VRS,
    encoding_of,
    value_at,
)
from engine.dicom.header import SOP_CLASS_UID, SOP_INSTANCE_UID
from engine.dicom.part10 import body_offset_in, with_instance
from engine.dicom.raw_elements import RawWalk
from engine.dicom.uid_hash import hash_uid
from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from engine.dicom.elements import Encoding, Index
    from engine.dicom.raw_elements import Elements

MOST_EDITS: Final = 16
"""Of one association: series, kinds of objects and labels that it may mix."""
MOST_LESSONS: Final = 3
"""So often an edit is learned anew without use in between; then it is not worth it."""
MOST_BYTES: Final = 64 * 1024
"""Of a header that is edited so; the values of longer ones are read in another way."""
_CHARACTER_SET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103
"""pydicom decodes it with every sequence that is stored, so that it is written anew."""
_SCRIPTS: Final = 0x00120064
"""Every script is recorded there (De-identification Method Code Sequence)."""
_SEQUENCES: Final = frozenset(("SQ", "UN"))
_MAY_BE_SEQUENCES: Final = LONG_VRS - _SEQUENCES
_WHOLE_TAG: Final = 0xFFFFFFFF
_UID: Final = re.compile(rb"([0-9.]{1,64})\0?")


@dataclass(frozen=True, slots=True)
class Dependence:
    """Which elements of the root data set decide what scripts make of an object."""

    read: frozenset[int]
    """Those whose values are read."""
    changed: frozenset[int]
    """Those that are written or removed."""
    removed: tuple[tuple[int, int], ...]
    """Mask and bits of the tags of others that are removed, whichever there are."""
    hashed: tuple[tuple[int, int], ...]
    """Those that become the hash of a UID, and whose that is."""
    has_sequences: bool
    """Whether elements in sequences are changed, too."""


class _Layout(NamedTuple):
    """Where the elements of a data set are, each proved to end where the next one begins."""

    tags: tuple[int, ...]
    places: dict[int, tuple[int, int]]
    """Beginning and end of each element, by its tag."""
    nested: tuple[int, ...]
    """Sequences, and what may be some by their VRs."""
    loose: tuple[int, ...]
    """Where values begin that are sequences if they begin as such."""


class _Hashed(NamedTuple):
    """An element that is made by hashing a UID."""

    target: int
    head: bytes
    """What stands before its length."""


class RepeatedEdit:
    """An edit that was learned from one object; used by one thread at a time."""

    def __init__(self, dependence: Dependence, encoding: Encoding) -> None:
        self._dependence = dependence
        self._encoding = encoding
        self._hashed: dict[int, int] = {}
        """Whose UID an element is the hash of."""
        self._same: dict[int, bytes] = {}
        """What must be the same; empty for an element that must not be there."""
        self._vrs: dict[int, bytes] = {}
        """Which VR a changed element must have; empty if it must not be there."""
        self._made: dict[int, bytes] = {}
        """What changed elements become; empty if they are removed."""
        self.instance = ""
        """The SOP instance that the last object became; empty if it stayed the same."""
        self._nested: tuple[int, ...] = ()
        self._layout: _Layout | None = None
        """That of the last object."""
        self._steps: tuple[tuple[int, int] | bytes | _Hashed, ...] = ()
        """How an object of that layout is edited: bytes to copy, to add, and UIDs to hash."""

    def learn(self, before: bytes, layout: _Layout, after: bytes, result: _Layout) -> bool:
        """Learn from a data set and its result; return whether that is certain."""
        depends = self._dependence
        # Items may be in any encoding; only VRs tell where some are.
        if depends.has_sequences and not self._encoding.explicit:
            return False
        self._nested = layout.nested if depends.has_sequences else ()
        for target, source in depends.hashed:
            if source in layout.places:
                self._hashed[target] = source
            else:  # nothing is hashed as long as it is not there
                self._same[source] = b""
        for tag in (*depends.changed, *self._nested, _SCRIPTS):
            self._vrs[tag] = self._vr(before, layout, tag)
            if tag in self._hashed:
                continue
            was, self._made[tag] = _element(before, layout, tag), _element(after, result, tag)
            # Perhaps it was left, perhaps the same was written: right for the same element only.
            if was == self._made[tag]:
                self._same[tag] = was
        # A SOP class that is not written as in the file meta is written there, too.
        for tag in (
            *(*depends.read, *self._nested, _SCRIPTS),
            *(_CHARACTER_SET, _PIXEL_REPRESENTATION, SOP_CLASS_UID),
        ):
            self._same[tag] = _element(before, layout, tag)
        return self.apply(before, layout) == after

    def apply(self, data: bytes, layout: _Layout) -> bytes | None:
        """Return an edited data set; None if it must be edited by the scripts."""
        self.instance = ""
        if layout is not self._layout:
            if not self._fits(data, layout):
                return None
            self._layout, self._steps = layout, tuple(self._steps_for(layout))
        if any(_element(data, layout, tag) != content for tag, content in self._same.items()):
            return None
        # One that is no plain UID is written to the file meta.
        if not self._uid(data, layout, SOP_INSTANCE_UID):
            return None
        loose = layout.loose if self._dependence.has_sequences else ()
        if any(data[at : at + 4] in ITEM_STARTS for at in loose):
            return None
        made = []
        for step in self._steps:
            if isinstance(step, bytes):
                made.append(step)
            elif isinstance(step, _Hashed):
                source = self._uid(data, layout, self._hashed[step.target])
                if not source:
                    return None
                uid = hash_uid(source)
                if step.target == SOP_INSTANCE_UID:
                    self.instance = uid
                made.append(step.head + _uid_value(uid, self._encoding))
            else:
                made.append(data[step[0] : step[1]])
        return b"".join(made)

    def _uid(self, data: bytes, layout: _Layout, tag: int) -> str:
        """Return a UID as scripts read it; empty if it is not there, or not one UID."""
        place = layout.places.get(tag)
        if place is None:
            return ""
        vr, value, _ = value_at(data, place[0], self._encoding)
        found = _UID.fullmatch(data, value, place[1]) if vr in ("", "UI") else None
        return found[1].decode("ascii") if found else ""

    @property
    def is_of_one_instance(self) -> bool:
        """Whether it was learned for one SOP instance only."""
        return SOP_INSTANCE_UID in self._same or SOP_INSTANCE_UID in self._made

    def _fits(self, data: bytes, layout: _Layout) -> bool:
        """Tell whether changed elements are there, or not, in the same form as in the first one."""
        if self._dependence.has_sequences and layout.nested != self._nested:
            return False
        return all(self._vr(data, layout, tag) == vr for tag, vr in self._vrs.items())

    def _vr(self, data: bytes, layout: _Layout, tag: int) -> bytes:
        place = layout.places.get(tag)
        if place is None:
            return b""
        return data[place[0] + 4 : place[0] + 6] if self._encoding.explicit else b"there"

    def _steps_for(self, layout: _Layout) -> Iterator[tuple[int, int] | bytes | _Hashed]:
        removed: set[int] = set()
        for mask, bits in self._dependence.removed:
            # Most name one element, which need not be there.
            tags = (bits,) if mask == _WHOLE_TAG else layout.tags
            removed.update(tag for tag in tags if tag & mask == bits)
        end = layout.places[layout.tags[-1]][1]
        copied = 0
        for tag in sorted({*self._made, *self._hashed, *removed}):
            at = bisect_left(layout.tags, tag)
            following = layout.places[layout.tags[at]][0] if at < len(layout.tags) else end
            start, after = layout.places.get(tag, (following, following))
            if copied < start:
                yield copied, start
            copied = after
            if tag in self._hashed:
                yield _Hashed(tag, _uid_head(tag, self._encoding))
            elif self._made.get(tag):
                yield self._made[tag]
        if copied < end:
            yield copied, end


class EditMemory:
    """The edits that were learned in one association; used by one thread at a time."""

    def __init__(self) -> None:
        self._layouts = ElementIndexCache()
        self._last: tuple[Index | None, _Layout | None] = (None, None)
        self._edits: dict[Hashable, RepeatedEdit] = {}
        self._lessons: dict[Hashable, int] = {}

    @property
    def has_edits(self) -> bool:
        """Whether an edit may be known for the next object."""
        return bool(self._edits)

    def apply(self, key: Hashable, file: bytes, begin: int, syntax: str) -> bytes | None:
        """Edit an object as the one before was edited; None if the scripts must run.

        Args:
            key: whose script it is, and all else that decides besides the elements.
            file: the object as a DICOM file of ours, with its own SOP instance in the file meta.
            begin: where its data set begins.
            syntax: its transfer syntax.
        """
        edit = self._edits.get(key)
        if edit is None or len(file) > MOST_BYTES:
            return None
        data = file[begin:]
        layout = self._layout(data, syntax)
        made = edit.apply(data, layout) if layout is not None else None
        if made is None or layout is None:
            return None
        self._lessons[key] = 0
        return _meta_for(edit, file[:begin]) + made

    def learn(
        self, key: Hashable, depends: Dependence, file: bytes, begin: int, syntax: str, after: bytes
    ) -> None:
        """Learn an edit from an object and what the scripts have made of it."""
        lessons = self._lessons.get(key, 0)
        if lessons >= MOST_LESSONS or len(file) > MOST_BYTES:
            self._edits.pop(key, None)
            return
        if len(self._lessons) >= MOST_EDITS:
            self._edits.clear()
            self._lessons.clear()
        self._lessons[key] = lessons + 1
        data, edit = file[begin:], RepeatedEdit(depends, encoding_of(syntax))
        layout = self._layout(data, syntax)
        place = body_offset_in(after)
        if layout is None or place is None:
            return
        made = after[place:]
        result = self._layout(made, syntax)
        if result is None or not edit.learn(data, layout, made, result):
            return
        meta = _meta_for(edit, file[:begin])
        if meta == after[:place] and not edit.is_of_one_instance:
            self._edits[key] = edit

    def _layout(self, data: bytes, syntax: str) -> _Layout | None:
        try:
            found = self._layouts.index(data, IndexKey(syntax, LAST_TAG, len(data), None))
            # An equal layout is the same index: then it was looked at already.
            if found is not self._last[0]:
                self._last = found, _layout_of(data, found, syntax)
            return self._last[1]
        except UnreadableObject:
            return None


def _layout_of(data: bytes, found: Index, syntax: str) -> _Layout | None:
    """Return where elements are; None if a group length is there, which is not written (PS3.5 7.2).

    Raises:
        UnreadableObject: if scripts could not read the data set by one walk, and so copy elements.
    """
    walk = RawWalk.of_bytes(data)
    encoding = walk.encoding(syntax)
    elements: Elements = {}
    while (pixels := walk.take(elements, encoding)) is not None:
        walk.skip(pixels, encoding)
    # After that walk all are known to be in order, each once, without gaps.
    tags = tuple(map(encoding.key, found.starts))
    if not all(tag & 0xFFFF for tag in tags):
        return None
    places = dict(zip(tags, pairwise((*found.starts.values(), len(data))), strict=True))
    taken = [element for element in elements.values() if isinstance(element, RawDataElement)]
    nested = tuple(int(each.tag) for each in taken if each.VR in _SEQUENCES)
    loose = tuple(each.value_tell for each in taken if each.VR in _MAY_BE_SEQUENCES)
    return _Layout(tags, places, nested, loose)


def _element(data: bytes, layout: _Layout, tag: int) -> bytes:
    start, end = layout.places.get(tag, (0, 0))
    return data[start:end]


def _uid_head(tag: int, encoding: Encoding) -> bytes:
    head = pack(">HH" if encoding.big_endian else "<HH", tag >> 16, tag & 0xFFFF)
    return head + b"UI" if encoding.explicit else head


def _uid_value(uid: str, encoding: Encoding) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)  # PS3.5 6.2
    form = ("H" if encoding.explicit else "I", ">" if encoding.big_endian else "<")
    return pack(form[1] + form[0], len(value)) + value


def _meta_for(edit: RepeatedEdit, meta: bytes) -> bytes:
    """Return the file meta of the object that was edited last."""
    return with_instance(meta, edit.instance) if edit.instance else meta
