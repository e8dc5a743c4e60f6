"""Where the elements of an encoded data set are, found without decoding a single value.

The walk is a loop, never a recursion, and it is bounded in depth and in elements, so that the
time and memory a peer can cost us grow with nothing but the bytes it sends.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from itertools import repeat
from struct import Struct, error
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import UnreadableObject

if TYPE_CHECKING:
    from collections.abc import Callable

Buffer = bytes | bytearray | memoryview | mmap.mmap
Value = tuple[str, int, int]
"""VR (empty if the element does not say it), position and length of a value."""

MAX_DEPTH = 64
MAX_ELEMENTS = 2_000_000
MAX_INDEXED_ELEMENTS = 100_000
"""How many top-level elements the index may hold; it is what costs memory."""

UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
PIXEL_VRS = {0x7FE00008: "OF", 0x7FE00009: "OD", _PIXEL_DATA: "OW"}
"""The elements with pixel data (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3), and their VRs if implicit."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD  # PS3.5 7.5
ITEM_STARTS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item as it is encoded, in little and in big endian."""
LAST_TAG = 0xFFFDFFFF
"""The greatest tag before those of items, which no element of a data set may have."""
SHORT_HEAD_BYTES, LONG_HEAD_BYTES = 8, 12
DELIMITER_BYTES = 8
"""The head of an item, or the end of an item or sequence."""
_HEADER_GROUPS = (0x0000, 0x0002)  # PS3.5 7.1: for commands and the file meta

# PS3.5 7.1.2: the VRs with a 16-bit length, and those with two reserved bytes and 32 bits.
_SHORT_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG_VRS = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
LONG_VRS = frozenset(vr.decode("ascii") for vr in _LONG_VRS)

_CHUNK_ELEMENTS = 50_000
_SEQUENCE_COST, _ODD_COST = 3, 9
"""How many elements more a sequence and an odd element count for, as they take more time."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How a transfer syntax encodes elements.

    A tag is unpacked as one 32-bit number, its *key*. In big endian that is the tag itself, in
    little endian element and group are swapped; in either case group = key & `group_mask`.
    """

    explicit: bool
    big_endian: bool
    group_mask: int
    head: Callable[[Buffer, int], tuple[int, ...]]
    """Unpacks key, VR as a number and 16-bit length; or key and 32-bit length if implicit."""
    key_and_length: Callable[[Buffer, int], tuple[int, ...]]
    length32: Callable[[Buffer, int], tuple[int, ...]]
    # Sets beside the names: to look into one takes 14 ns, into a dictionary 17, for every element.
    short_vrs: frozenset[int]
    long_vrs: frozenset[int]
    vr_names: dict[int, str]
    un: int
    item: int
    item_end: int
    sequence_end: int

    def key(self, tag: int) -> int:
        """Return the key of a tag, or the tag of a key."""
        return tag if self.big_endian else (tag & 0xFFFF) << 16 | tag >> 16


def _encoding(*, explicit: bool, big_endian: bool = False) -> Encoding:
    mark = ">" if big_endian else "<"
    key_and_length = Struct(mark + "II").unpack_from

    def number(vr: bytes) -> int:
        return int.from_bytes(vr, "big" if big_endian else "little")

    def key(tag: int) -> int:
        return tag if big_endian else (tag & 0xFFFF) << 16 | tag >> 16

    return Encoding(
        explicit=explicit,
        big_endian=big_endian,
        group_mask=0xFFFF0000 if big_endian else 0xFFFF,
        head=Struct(mark + "IHH").unpack_from if explicit else key_and_length,
        key_and_length=key_and_length,
        length32=Struct(mark + "I").unpack_from,
        short_vrs=frozenset(map(number, _SHORT_VRS)),
        long_vrs=frozenset(map(number, _LONG_VRS)),
        vr_names={number(vr): vr.decode("ascii") for vr in (*_SHORT_VRS, *_LONG_VRS)},
        un=number(b"UN"),
        item=key(_ITEM),
        item_end=key(_ITEM_END),
        sequence_end=key(_SEQUENCE_END),
    )


IMPLICIT_LITTLE = _encoding(explicit=False)
EXPLICIT_LITTLE = _encoding(explicit=True)
EXPLICIT_BIG = _encoding(explicit=True, big_endian=True)

_ENCODINGS = {
    "1.2.840.10008.1.2": IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": EXPLICIT_BIG,
    "1.2.840.10008.1.20": IMPLICIT_LITTLE,  # Papyrus 3
    "1.2.840.113619.5.2": IMPLICIT_LITTLE,  # GE private: only the pixel data is big endian
}
_DEFLATED = frozenset(
    ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how a transfer syntax encodes elements; all but a few are explicit (PS3.5 A.4).

    Raises:
        UnreadableObject: if the whole data set is deflated.
    """
    if transfer_syntax_uid in _DEFLATED:
        raise UnreadableObject("deflated data sets are not accepted")
    return _ENCODINGS.get(transfer_syntax_uid, EXPLICIT_LITTLE)


class Index(NamedTuple):
    """Where the elements up to a group begin."""

    starts: dict[int, int]
    """Position of each element by its key; of a repeated element the last, as readers take it."""
    odd: dict[int, Value]
    """The values of those among them whose VR is none of the standard's."""
    end: int
    """Where the last of them ends."""
    complete: bool
    """Whether the walk came to the end of the data set."""
    reached: int = 0
    """Where the element is that the walk has not come to."""
    inside_fragments: bool = False
    """Whether it ended within pixel data of undefined length, so that an item is there instead."""

    @property
    def has_no_vr(self) -> bool:
        """Whether a data set that should be in explicit VR is in implicit VR throughout."""
        return len(self.odd) == len(self.starts) > 0 and not any(v[0] for v in self.odd.values())


def index(
    data: Buffer,
    encoding: Encoding,
    last_tag: int,
    *,
    to_end: bool,
    size_bytes: int | None = None,
) -> Index:
    """Note where the top-level elements up to the group of `last_tag` begin.

    Without `to_end` the walk stops at the first greater group; with it, every element is visited
    and a data set that is cut short or followed by anything else is refused. If `data` is only the
    beginning of a data set of `size_bytes`, the walk ends with the last element that begins there.

    Raises:
        UnreadableObject: saying what is wrong, with tags and numbers but no values.
    """
    walk = _walk_explicit if encoding.explicit else _walk_implicit
    limit = end = len(data)
    if size_bytes is not None and size_bytes > end:
        # A head must be whole to be read: the last bytes of a beginning may hold only part of one.
        limit, end = end - LONG_HEAD_BYTES, size_bytes
    last_group = encoding.key(last_tag) & encoding.group_mask
    found = walk(data, encoding, last_group, to_end, limit, end)
    # Both checks are here and not in the loops, which would make them for every element.
    first_group = encoding.key(next(iter(found.starts), _ITEM)) >> 16
    if first_group in _HEADER_GROUPS:
        raise UnreadableObject("the data set begins with a command or file header")
    if len(found.starts) > 1 and 0 in found.starts:
        raise UnreadableObject("zeros follow the last element")
    return found


# The loops below are long on purpose: they run once per element of every object, and a call
# per element would double their cost.


def _walk_explicit(
    data: Buffer, encoding: Encoding, last_group: int, to_end: bool, limit: int, end: int
) -> Index:
    head, length32, mask = encoding.head, encoding.length32, encoding.group_mask
    short_vrs, long_vrs, un = encoding.short_vrs, encoding.long_vrs, encoding.un
    starts: dict[int, int] = {}
    odd: dict[int, Value] = {}
    position = indexed_end = key = 0
    inside = False
    budget = MAX_ELEMENTS
    try:
        while position < limit:
            budget = _spend(budget, starts)
            for _ in repeat(None, _CHUNK_ELEMENTS):
                start = position
                key, vr, length = head(data, position)
                if vr in short_vrs:
                    position += 8 + length
                else:
                    if vr in long_vrs:
                        length = length32(data, position + 8)[0]
                        position += 12
                    else:
                        # Also the heads of items: they have no VR, and are refused in there.
                        value = odd_element(data, start, encoding)
                        budget -= _ODD_COST
                        _, position, length = value
                        vr = un
                        if key & mask <= last_group:
                            odd[key] = value
                    if length == UNDEFINED_LENGTH:
                        # PS3.5 6.2.2: of unknown VR it is encoded in Implicit VR Little Endian.
                        inner = IMPLICIT_LITTLE if vr == un else encoding
                        tag = encoding.key(key)
                        if tag == _PIXEL_DATA and end > len(data):
                            position, inside = skip_fragments(data, position, encoding)
                        else:
                            position, budget = skip_items(data, position, tag, inner, budget)
                    else:
                        position += length
                if key & mask <= last_group:
                    starts[key] = start
                    indexed_end = position
                elif not to_end:
                    return Index(starts, odd, indexed_end, complete=False)
                if position >= limit:
                    break
    except error as fault:
        raise UnreadableObject(f"the last {end - position} bytes are no element") from fault
    if position > end:
        raise _past_the_end(encoding.key(key), position - end)
    return Index(starts, odd, indexed_end, position == end, position, inside)


def _walk_implicit(
    data: Buffer, encoding: Encoding, last_group: int, to_end: bool, limit: int, end: int
) -> Index:
    head, mask, item_group = encoding.head, encoding.group_mask, _ITEM >> 16
    starts: dict[int, int] = {}
    position = indexed_end = key = 0
    budget = MAX_ELEMENTS
    try:
        while position < limit:
            budget = _spend(budget, starts)
            for _ in repeat(None, _CHUNK_ELEMENTS):
                start = position
                key, length = head(data, position)
                position += 8
                if length == UNDEFINED_LENGTH:
                    tag = encoding.key(key)
                    position, budget = skip_items(data, position, tag, encoding, budget)
                else:
                    position += length
                if key & mask <= last_group:
                    starts[key] = start
                    indexed_end = position
                elif not to_end:
                    return Index(starts, {}, indexed_end, complete=False)
                elif key & mask == item_group:
                    raise _stray_delimiter(encoding.key(key))
                if position >= limit:
                    break
    except error as fault:
        raise UnreadableObject(f"the last {end - position} bytes are no element") from fault
    if position > end:
        raise _past_the_end(encoding.key(key), position - end)
    return Index(starts, {}, indexed_end, position == end, position)


def skip_items(
    data: Buffer, position: int, tag: int, encoding: Encoding, budget: int
) -> tuple[int, int]:
    """Return where a value of undefined length ends, and what is left of the budget.

    The value is a sequence of items (PS3.5 7.5) or of pixel data fragments (PS3.5 A.4). Items and
    values of defined length are skipped unseen, so only undefined lengths can nest.
    """
    # The encodings of the sequences around, as UN may change it; a recursion could be exhausted.
    outer: list[Encoding] = []
    in_item = False
    head, short_vrs, item_end = encoding.head, encoding.short_vrs, encoding.item_end
    try:
        while budget > 0:
            budget -= 1
            if in_item and encoding.explicit:
                key, vr, length = head(data, position)
                if vr in short_vrs:
                    position += 8 + length
                    continue
                if key == item_end:
                    position += 8
                    in_item = False
                    continue
                vr, position, length, cost = _long_element(data, position, vr, encoding)
                budget -= cost
                inner = IMPLICIT_LITTLE if vr == encoding.un else encoding
            elif in_item:
                key, length = head(data, position)
                position += 8
                if key == item_end:
                    in_item = False
                    continue
                inner = encoding
            else:
                key, length = encoding.key_and_length(data, position)
                position += 8
                if key == encoding.item:
                    # A defined length is skipped as a whole: only what is open must be walked.
                    in_item = length == UNDEFINED_LENGTH
                    position += 0 if in_item else length
                    continue
                if key != encoding.sequence_end:
                    raise UnreadableObject(f"{_name(tag)} holds something that is no item")
                budget -= _SEQUENCE_COST
                if not outer:
                    return position, budget
                encoding, in_item = outer.pop(), True
                head, short_vrs, item_end = encoding.head, encoding.short_vrs, encoding.item_end
                continue
            if length != UNDEFINED_LENGTH:
                position += length
                continue
            outer.append(encoding)
            if len(outer) == MAX_DEPTH:
                raise UnreadableObject(f"sequences are nested deeper than {MAX_DEPTH}")
            encoding, in_item = inner, False
            head, short_vrs, item_end = encoding.head, encoding.short_vrs, encoding.item_end
    except error as fault:
        raise UnreadableObject(f"{_name(tag)} of undefined length has no end") from fault
    raise _too_many_elements()


def skip_fragments(data: Buffer, position: int, encoding: Encoding) -> tuple[int, bool]:
    """Skip pixel data fragments (PS3.5 A.4), of which `data` may hold only some.

    Returns:
        Where the value ends; or where the next item is, beyond `data`, and that it has not ended.

    Raises:
        UnreadableObject: if something else stands there.
    """
    while position <= len(data) - DELIMITER_BYTES:
        key, length = encoding.key_and_length(data, position)
        position += DELIMITER_BYTES
        if key == encoding.sequence_end:
            return position, False
        if key != encoding.item or length == UNDEFINED_LENGTH:
            raise UnreadableObject(f"{_name(_PIXEL_DATA)} holds something that is no item")
        position += length
    return position, True


def _long_element(
    data: Buffer, position: int, vr: int, encoding: Encoding
) -> tuple[int, int, int, int]:
    """Return VR, position and length of a value whose VR is not short, and what it costs more."""
    if vr in encoding.long_vrs:
        return vr, position + 12, encoding.length32(data, position + 8)[0], 0
    _, position, length = odd_element(data, position, encoding)
    return encoding.un, position, length, _ODD_COST


def value_at(data: Buffer, start: int, encoding: Encoding) -> Value:
    """Return where the value of the element at `start` is.

    Raises:
        KeyError: if its VR is none of the standard's; see `odd_element`.
        struct.error: if the data end inside its head.
    """
    if not encoding.explicit:
        return "", start + 8, encoding.head(data, start)[1]
    _, number, length = encoding.head(data, start)
    if number in encoding.short_vrs:
        return encoding.vr_names[number], start + 8, length
    return encoding.vr_names[number], start + 12, encoding.length32(data, start + 8)[0]


def head_bytes(vr: str | None) -> int:
    """Return how long the head of an element is; None is for an implicit VR."""
    return LONG_HEAD_BYTES if vr in LONG_VRS else SHORT_HEAD_BYTES


def odd_element(data: Buffer, start: int, encoding: Encoding) -> Value:
    """Find out how an element with an unknown VR is encoded.

    Two capitals may be a VR of a later standard, with a 32-bit length (PS3.5 6.2), or a mistake
    with 16 bits; anything else is a writer that switched to implicit VR. The form after which a
    greater tag or the end follows is the right one.
    """
    key, length = encoding.key_and_length(data, start)
    tag = encoding.key(key)
    if tag >= _ITEM:
        raise _stray_delimiter(tag)
    vr = bytes(data[start + 4 : start + 6])
    length16 = encoding.head(data, start)[2]
    short = ("UN", start + 8, length16)
    if not (vr.isalpha() and vr.isupper()):
        forms = [("", start + 8, length), short]
    elif length16 == 0 and start + 12 <= len(data):
        forms = [("UN", start + 12, encoding.length32(data, start + 8)[0]), short]
    else:
        forms = [short]
    # A wrong form nearly always leads into the middle of a value, where no greater tag stands.
    for form in forms:
        if _continues(data, form, tag, encoding):
            return form
    raise UnreadableObject(f"{_name(tag)} has no valid VR")


def _continues(data: Buffer, form: Value, tag: int, encoding: Encoding) -> bool:
    _, position, length = form
    if length == UNDEFINED_LENGTH:
        return True  # its items are checked when they are walked over
    following = position + length
    if following + 8 > len(data):
        return following == len(data)
    key, _ = encoding.key_and_length(data, following)
    return encoding.key(key) > tag


def _spend(budget: int, starts: dict[int, int]) -> int:
    if budget <= 0 or len(starts) > MAX_INDEXED_ELEMENTS:
        raise _too_many_elements()
    return budget - _CHUNK_ELEMENTS


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _too_many_elements() -> UnreadableObject:
    return UnreadableObject(f"more than {MAX_ELEMENTS} elements")


def _past_the_end(tag: int, excess: int) -> UnreadableObject:
    return UnreadableObject(f"{_name(tag)} runs {excess} bytes past the end")


def _stray_delimiter(tag: int) -> UnreadableObject:
    return UnreadableObject(f"{_name(tag)} stands outside a sequence")
