"""The header of a received object: from encoded bytes to the text of single elements.

The bytes come from `engine.intake.pipeline`; identify and placement read the `HeaderView`.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING

from pydicom.charset import CODES_TO_ENCODINGS, default_encoding, python_encoding
from pydicom.datadict import dictionary_VR

from engine.errors import UnreadableObject
from engine.intake.elements import (
    UNDEFINED_LENGTH,
    Buffer,
    Encoding,
    Index,
    Value,
    encoding_of,
    index,
    skip_fragments,
    value_at,
)
from engine.intake.layout import Form, Layouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
MODALITY = 0x00080060
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013
PIXEL_REPRESENTATION = 0x00280103
STUDY_COMMENTS = 0x00324000

DEFAULT_LAST_TAG = STUDY_COMMENTS
"""The greatest tag that anything reads (XNAT 5.7)."""

MAX_VALUE_BYTES = 64 * 1024
"""Longer values are cut: no label and no rule needs more."""
_PREFIX_BYTES = 256 * 1024
_MAX_KEPT_BYTES = 16 * 1024 * 1024
_MAX_REST_BYTES = 64 * 1024
_MAX_COMPARED_BYTES = 4096

EncodedElements = tuple[tuple[int, bytes], ...]
"""Elements as they are encoded, each with its key; empty for one that is not there."""


class HeaderView:
    """The elements up to some tag; a copy, so that the buffer it came from may go away."""

    # Made for every object, for which a frozen dataclass would take four times as long.
    __slots__ = (
        "_data",
        "_encoding",
        "_odd",
        "_starts",
        "_texts",
        "last_tag",
        "transfer_syntax_uid",
    )

    def __init__(
        self,
        transfer_syntax_uid: str,
        encoding: Encoding,
        data: bytes,
        starts: Mapping[int, int],
        odd: Mapping[int, Value],
        last_tag: int = DEFAULT_LAST_TAG,
    ) -> None:
        self.transfer_syntax_uid = transfer_syntax_uid
        self._encoding = encoding
        self._data = data
        self._starts = starts
        self._odd = odd
        self.last_tag = last_tag
        """Elements up to its group were read, later ones were not."""
        self._texts: dict[int, str | None] = {}

    def text(self, tag: int) -> str | None:
        """Return the text of a top-level element, None if it has none (XNAT 5.6).

        Multi-valued elements give their first value, numbers their decimal form, sequences and
        other binary values None.
        """
        texts = self._texts
        if tag in texts:
            return texts[tag]
        encoding = self._encoding
        key = tag if encoding.big_endian else (tag & 0xFFFF) << 16 | tag >> 16
        start = self._starts.get(key)
        text = None if start is None else self._decode(tag, *self._value(key, start))
        texts[tag] = text
        return text

    def __contains__(self, tag: int) -> bool:
        """Tell whether there is such an element, whatever its value."""
        return self._encoding.key(tag) in self._starts

    @property
    def kept_bytes(self) -> bytes:
        """The elements as they are encoded; values that are very long may be cut."""
        return self._data

    @property
    def size_bytes(self) -> int:
        """How many bytes are kept."""
        return len(self._data)

    @property
    def data(self) -> bytes:
        """The data set as far as it is kept; of a very long header, values are cut."""
        return self._data

    def encoded(self, tags: Iterable[int]) -> EncodedElements | None:
        """Return elements as they are encoded, to look for them in other headers.

        Returns:
            Each element with its key, empty if there is none; None if one is very long, or if the
            data set is not encoded by the rules throughout.
        """
        if self._odd:
            return None
        elements = []
        for key in map(self._encoding.key, tags):
            start = self._starts.get(key)
            if start is None:
                elements.append((key, b""))
                continue
            _, position, length = value_at(self._data, start, self._encoding)
            if length > _MAX_COMPARED_BYTES:
                return None
            elements.append((key, self._data[start : position + length]))
        return tuple(elements)

    def has(self, elements: EncodedElements) -> bool:
        """Tell whether elements of a header in the same transfer syntax are just the same here."""
        starts, begins_with = self._starts, self._data.startswith
        for key, element in elements:
            start = starts.get(key)
            if start is None:
                if element:
                    return False
            elif not element or not begins_with(element, start):
                return False
        return not self._odd

    def joined(self, tag: int) -> str | None:
        """Return all values of a top-level element, joined by backslashes; None if it is absent.

        What is empty, a sequence or another binary value is the empty text.
        """
        key = self._encoding.key(tag)
        start = self._starts.get(key)
        if start is None:
            return None
        vr, value = self._value(key, start)
        vr, big_endian = self._read_as(tag, vr)
        if vr in _STRINGS:
            return self._decoded_text(value.rstrip(b"\0 "), vr)
        if vr in _NUMBERS:
            size = Struct("<" + _NUMBERS[vr]).size
            parts = (value[at : at + size] for at in range(0, len(value), size))
            texts = (_number_text(part, vr, big_endian) for part in parts)
            return "\\".join(filter(None, texts))
        return ""

    def _decode(self, tag: int, vr: str, value: bytes) -> str | None:
        if vr in _STRINGS and vr != "UN":
            return self._string_text(value, vr)
        vr, big_endian = self._read_as(tag, vr)
        if vr in _STRINGS:
            return self._string_text(value, vr)
        return _number_text(value, vr, big_endian) if vr in _NUMBERS else None

    def _read_as(self, tag: int, vr: str) -> tuple[str, bool]:
        """Return the VR that a value is read by, and whether it is big endian."""
        # PS3.5 6.2.2: a known element may travel as UN; its value is then little endian.
        big_endian = self._encoding.big_endian and vr != "UN"
        if vr == "UN" or not vr:
            vr = _known_vr(tag)
        if vr == "US or SS":  # PS3.3 C.7.6.3: Pixel Representation decides
            vr = "SS" if self.text(PIXEL_REPRESENTATION) == "1" else "US"
        return vr, big_endian

    def _value(self, key: int, start: int) -> tuple[str, bytes]:
        if key in self._odd:
            vr, position, length = self._odd[key]
        else:
            vr, position, length = value_at(self._data, start, self._encoding)
        if length > MAX_VALUE_BYTES:
            length = 0 if length == UNDEFINED_LENGTH else MAX_VALUE_BYTES
        return vr, self._data[position : position + length]

    def _string_text(self, value: bytes, vr: str) -> str | None:
        value = value.rstrip(b"\0 ")
        if not value:
            return None
        if value.isascii() and b"\x1b" not in value:
            text = value.decode("ascii")
        else:
            text = self._decoded_text(value, vr)
        if vr not in _WHOLE:
            if "\\" in text:
                text = text[: text.index("\\")]
            text = text.strip(" \0")
        if vr == "PN":
            text = text.rstrip("^= ")
        if vr == "UN" and not text.isprintable():
            return None
        return text or None

    def _decoded_text(self, value: bytes, vr: str) -> str:
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        if vr in _OF_CHARACTER_SET:
            return _decoded(value, self._character_set())
        return value.decode(default_encoding)

    def _character_set(self) -> tuple[str, ...]:
        key = self._encoding.key(SPECIFIC_CHARACTER_SET)
        start = self._starts.get(key)
        terms = b"" if start is None else self._value(key, start)[1]
        return _encodings(terms[:1024].decode("ascii", "replace"))

    @property
    def sop_class_uid(self) -> str | None:
        """(0008,0016)."""
        return self.text(SOP_CLASS_UID)

    @property
    def sop_instance_uid(self) -> str | None:
        """(0008,0018)."""
        return self.text(SOP_INSTANCE_UID)

    @property
    def study_instance_uid(self) -> str | None:
        """(0020,000D)."""
        return self.text(STUDY_INSTANCE_UID)

    @property
    def series_instance_uid(self) -> str | None:
        """(0020,000E)."""
        return self.text(SERIES_INSTANCE_UID)

    @property
    def series_number(self) -> str | None:
        """(0020,0011)."""
        return self.text(SERIES_NUMBER)

    @property
    def instance_number(self) -> str | None:
        """(0020,0013)."""
        return self.text(INSTANCE_NUMBER)

    @property
    def modality(self) -> str | None:
        """(0008,0060)."""
        return self.text(MODALITY)


def read_complete(
    data: Buffer,
    transfer_syntax_uid: str,
    *,
    last_tag: int = DEFAULT_LAST_TAG,
    layouts: Layouts | None = None,
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
    found = _walked_to_the_end(data, transfer_syntax_uid, last_tag, None, layouts)
    return _view(data, transfer_syntax_uid, encoding_of(transfer_syntax_uid), found, last_tag)


def read_in_parts(
    beginning: Buffer,
    rest_from: Callable[[int], Buffer],
    transfer_syntax_uid: str,
    size_bytes: int,
    *,
    last_tag: int = DEFAULT_LAST_TAG,
    layouts: Layouts | None = None,
) -> HeaderView | None:
    """Do as `read_complete` does, without a look at one long value, which pixel data mostly is.

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
        found = _walked_to_the_end(beginning, transfer_syntax_uid, last_tag, size_bytes, layouts)
        rest_bytes = size_bytes - found.reached
        if found.end > len(beginning) or rest_bytes > _MAX_REST_BYTES:
            return None
        rest = rest_from(found.reached) if rest_bytes else b""
        if found.inside_fragments:
            position, goes_on = skip_fragments(rest, 0, encoding)
            if goes_on:
                return None
            rest = rest[position:]
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
    _refuse_what_is_no_data_set(data)
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
    _walked_to_the_end(data, transfer_syntax_uid, DEFAULT_LAST_TAG)


def _walked_to_the_end(
    data: Buffer,
    transfer_syntax_uid: str,
    last_tag: int,
    size_bytes: int | None = None,
    layouts: Layouts | None = None,
) -> Index:
    _refuse_what_is_no_data_set(data)
    form = Form(transfer_syntax_uid, last_tag, len(data), size_bytes)
    found = (layouts or Layouts()).index(data, form)
    if transfer_syntax_uid == _EXPLICIT_LITTLE and found.has_no_vr:
        # Stored as it is it would be mislabelled; some writers do so in compressed syntaxes,
        # where no other label exists and every reader copes.
        raise UnreadableObject("the data set is in implicit VR, its transfer syntax is not")
    return found


def _refuse_what_is_no_data_set(data: Buffer) -> None:
    """PS3.8: what travels is the data set alone, without the preamble and file meta of a file."""
    if len(data) == 0:
        raise UnreadableObject("the data set is empty")
    if bytes(data[128:134]) == b"DICM\x02\x00" or bytes(data[:2]) in {b"\x02\x00", b"\x00\x02"}:
        raise UnreadableObject("the data set begins with a file header")


def _view(
    data: Buffer, transfer_syntax_uid: str, encoding: Encoding, found: Index, last_tag: int
) -> HeaderView:
    if found.end > _PREFIX_BYTES:
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
            continue
        _, position, length = value_at(data, start, encoding)
        moved[key] = len(kept)
        kept += data[start : position + min(length, MAX_VALUE_BYTES)]
        if len(kept) > _MAX_KEPT_BYTES:
            raise UnreadableObject(f"the header is longer than {_MAX_KEPT_BYTES} bytes")
    return bytes(kept), moved


_NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
_STRINGS = frozenset(
    [
        "AE",
        "AS",
        "CS",
        "DA",
        "DS",
        "DT",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "TM",
        "UC",
        "UI",
        "UN",
        "UR",
        "UT",
    ]
)
_OF_CHARACTER_SET = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UN", "UT"])  # PS3.5 6.1.2.3
_WHOLE = frozenset(["LT", "ST", "UR", "UT"])  # PS3.5 6.2: no backslash as separator


def _known_vr(tag: int) -> str:
    """Return the data dictionary's VR, UN for what it doesn't know."""
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"  # PS3.5 7.2: group length
    if group & 1:
        return "LO" if 0x10 <= element <= 0xFF else "UN"  # PS3.5 7.8.1: private creator
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _number_text(value: bytes, vr: str, big_endian: bool) -> str | None:
    number = Struct((">" if big_endian else "<") + _NUMBERS[vr])
    if len(value) < number.size:
        return None
    (first,) = number.unpack_from(value)
    if vr != "FL":
        return str(first)
    texts = (f"{first:.{digits}g}" for digits in range(6, 9))
    shortest = next((t for t in texts if _single(float(t)) == first), f"{first:.9g}")
    return str(float(shortest))


def _single(value: float) -> float:
    try:
        (single,) = _FLOAT.unpack(_FLOAT.pack(value))
    except OverflowError:
        return value
    return float(single)


_FLOAT = Struct("<f")


def _plain(term: str) -> str:
    return "".join(filter(str.isalnum, term)).upper()


# Terms are compared without blanks and underscores, which writers get wrong most often.
_ENCODINGS = {_plain(term): name for term, name in python_encoding.items()} | {"UTF8": "UTF8"}
_STAND_ALONE = frozenset(("UTF8", "GBK", "GB18030"))  # PS3.3 C.12.1.1.2: no code extensions


def _encodings(terms: str) -> tuple[str, ...]:
    """Return the Python encodings of a Specific Character Set; unknown terms mean the default."""
    first, *others = [
        _ENCODINGS.get(_plain(term), default_encoding) for term in terms.split("\\")[:16]
    ]
    if first in _STAND_ALONE:
        return (first,)
    return (first, *(name for name in others if name not in _STAND_ALONE))


_FRAGMENTS = re.compile(rb"\A[^\x1b]+|\x1b[^\x1b]*")
_RESETS = re.compile(rb"[\t\n\f\r\\^=]")  # PS3.5 6.1.2.5.3


def _decoded(value: bytes, encodings: tuple[str, ...]) -> str:
    """Decode text, with code extensions (PS3.5 6.1.2.5); what can't be decoded is replaced."""
    if b"\x1b" not in value:
        return value.decode(encodings[0], "replace")
    return "".join(_decoded_fragments(value, encodings))


def _decoded_fragments(value: bytes, encodings: tuple[str, ...]) -> Iterator[str]:
    for fragment in _FRAGMENTS.findall(value):
        size = 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3
        encoding = CODES_TO_ENCODINGS.get(fragment[:size], "")
        if encoding not in encodings and encoding != default_encoding:
            yield fragment.decode(encodings[0], "replace")
        elif encoding.startswith("iso2022"):  # these codecs want to see the escape sequence
            yield fragment.decode(encoding, "replace")
        else:
            reset = _RESETS.search(fragment, size)
            end = reset.start() if reset else len(fragment)
            yield fragment[size:end].decode(encoding, "replace")
            yield fragment[end:].decode(encodings[0], "replace")
