"""The header of a received object: texts of elements, decoded once and on demand (PS3.5).

`engine.dicom.dataset` finds the elements; identify and placement read the `HeaderView`.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING

from pydicom.charset import CODES_TO_ENCODINGS, default_encoding, python_encoding
from pydicom.datadict import dictionary_VR

from engine.dicom.elements import UNDEFINED_LENGTH, Encoding, Value, encoding_of, value_at
from engine.model.identity import (
    IdentifyingValue,
    IdentifyingValues,
    identifies_anywhere,
    is_private,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
STRINGS = frozenset(
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
"""The VRs whose values are text; of UN nobody knows."""
OF_CHARACTER_SET = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UN", "UT"])  # PS3.5 6.1.2.3
WHOLE = frozenset(["LT", "ST", "UR", "UT"])  # PS3.5 6.2: no backslash as separator


def known_vr(tag: int) -> str:
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


def numbers_text(value: bytes, vr: str, big_endian: bool) -> str:
    """Return all numbers of a value, joined by backslashes."""
    size = Struct("<" + NUMBERS[vr]).size
    parts = (value[at : at + size] for at in range(0, len(value), size))
    texts = (number_text(part, vr, big_endian) for part in parts)
    return "\\".join(filter(None, texts))


def number_text(value: bytes, vr: str, big_endian: bool) -> str | None:
    """Return the first number of a value in decimal form, None if there is none."""
    number = Struct((">" if big_endian else "<") + NUMBERS[vr])
    if len(value) < number.size:
        return None
    (first,) = number.unpack_from(value)
    if vr != "FL":
        return str(first)
    # The shortest decimal that gives the same single-precision number.
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


def encodings_of(terms: str) -> tuple[str, ...]:
    """Return the Python encodings of a Specific Character Set; unknown terms mean the default."""
    first, *others = [
        _ENCODINGS.get(_plain(term), default_encoding) for term in terms.split("\\")[:16]
    ]
    if first in _STAND_ALONE:
        return (first,)
    return (first, *(name for name in others if name not in _STAND_ALONE))


_FRAGMENTS = re.compile(rb"\A[^\x1b]+|\x1b[^\x1b]*")
_RESETS = re.compile(rb"[\t\n\f\r\\^=]")  # PS3.5 6.1.2.5.3


def decoded(value: bytes, encodings: tuple[str, ...]) -> str:
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
_MAX_COMPARED_BYTES = 4096
_PLAIN = re.compile(rb"([A-Za-z0-9.]+)[\0 ]?")
"""A single value that reads the same in every VR and every character set."""


class Excerpt:
    """Elements as one header encodes them, to be looked for in others; for all threads."""

    __slots__ = ("_at", "elements")

    def __init__(self, elements: tuple[tuple[int, bytes], ...]) -> None:
        """Take each element with its key; an empty one stands for an element that is absent."""
        self.elements = elements
        self._at: tuple[Mapping[int, int], Struct, tuple[bytes, ...]] | None = None
        """Where they were last, how to take them out from there, and what that must give."""

    def is_at(self, starts: Mapping[int, int], data: bytes) -> bool | None:
        """Tell whether they are in a header that is laid out like the last one; None if not so."""
        if self._at is None or self._at[0] is not starts:
            return None
        _, places, contents = self._at
        return places.unpack_from(data) == contents

    def note(self, starts: Mapping[int, int]) -> None:
        """Remember where they are in headers that are laid out like one that has them."""
        there = sorted((starts[key], element) for key, element in self.elements if element)
        formats, reached = [], 0
        for start, element in there:
            formats.append(f"{start - reached}x{len(element)}s")
            reached = start + len(element)
        self._at = starts, Struct("<" + "".join(formats)), tuple(e for _, e in there)


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

    def __reduce__(self) -> tuple[object, ...]:
        """Send it to another process of the engine; the encoding follows from the syntax."""
        elements = self._data, dict(self._starts), dict(self._odd)
        return _restored, (self.transfer_syntax_uid, *elements, self.last_tag)

    def text(self, tag: int) -> str | None:
        """Return the text of a top-level element, None if it has none (XNAT 5.6).

        Multi-valued elements give their first value, numbers their decimal form, sequences and
        other binary values None.
        """
        # Rules and templates ask for the same few tags again and again.
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

    def excerpt(self, tags: Iterable[int]) -> Excerpt | None:
        """Return elements as they are encoded, to look for them in other headers.

        Returns:
            None if one is very long, or if the data set is not encoded by the rules throughout.
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
            # Excerpts are kept in caches, which a peer must not fill.
            if length > _MAX_COMPARED_BYTES:
                return None
            elements.append((key, self._data[start : position + length]))
        return Excerpt(tuple(elements))

    def has(self, excerpt: Excerpt) -> bool:
        """Tell whether elements of a header in the same transfer syntax are just the same here."""
        # Objects of a series mostly share their layout, the very same mapping.
        known = excerpt.is_at(self._starts, self._data)
        return self._has(excerpt) if known is None else known

    def _has(self, excerpt: Excerpt) -> bool:
        starts, begins_with = self._starts, self._data.startswith
        for key, element in excerpt.elements:
            start = starts.get(key)
            if start is None:
                if element:
                    return False
            elif not element or not begins_with(element, start):
                return False
        if not self._odd:
            excerpt.note(starts)
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
        if vr in STRINGS:
            return self._decoded_text(value.rstrip(b"\0 "), vr)
        if vr in NUMBERS:
            return numbers_text(value, vr, big_endian)
        return ""

    def elements(self) -> Iterator[tuple[int, str, str]]:
        """Yield tag, VR and all values, joined by backslashes, of every top-level element.

        The VR is the data dictionary's where the element brings none; what is no text is empty.
        """
        for key, start in self._starts.items():
            tag = key if self._encoding.big_endian else (key & 0xFFFF) << 16 | key >> 16
            vr, _ = self._read_as(tag, self._value(key, start)[0])
            yield tag, vr, self.joined(tag) or ""

    def _decode(self, tag: int, vr: str, value: bytes) -> str | None:
        if vr in STRINGS and vr != "UN":
            return self._string_text(value, vr)
        vr, big_endian = self._read_as(tag, vr)
        if vr in STRINGS:
            return self._string_text(value, vr)
        return number_text(value, vr, big_endian) if vr in NUMBERS else None

    def _read_as(self, tag: int, vr: str) -> tuple[str, bool]:
        """Return the VR that a value is read by, and whether it is big endian."""
        # PS3.5 6.2.2: a known element may travel as UN; its value is then little endian.
        big_endian = self._encoding.big_endian and vr != "UN"
        if vr == "UN" or not vr:
            vr = known_vr(tag)
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
        # UIDs, dates and numbers, which are most of what is asked for, end here.
        plain = _PLAIN.fullmatch(value)
        if plain:
            return plain[1].decode("ascii")
        value = value.rstrip(b"\0 ")
        if not value:
            return None
        if value.isascii() and b"\x1b" not in value:
            text = value.decode("ascii")
        else:
            text = self._decoded_text(value, vr)
        if vr not in WHOLE:
            if "\\" in text:
                text = text[: text.index("\\")]
            text = text.strip(" \0")
        if vr == "PN":
            # PS3.5 6.2.1: empty components at the end may be written or left out.
            text = text.rstrip("^= ")
        if vr == "UN" and not text.isprintable():
            return None  # binary, which nobody meant as text
        return text or None

    def _decoded_text(self, value: bytes, vr: str) -> str:
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        if vr in OF_CHARACTER_SET:
            return decoded(value, self._character_set())
        return value.decode(default_encoding)

    def _character_set(self) -> tuple[str, ...]:
        key = self._encoding.key(SPECIFIC_CHARACTER_SET)
        start = self._starts.get(key)
        # Read as bytes, not by `text`, which needs the character set itself.
        terms = b"" if start is None else self._value(key, start)[1]
        return encodings_of(terms[:1024].decode("ascii", "replace"))

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


def identifying_values_of(header: HeaderView) -> IdentifyingValues:
    """Return the values by which an object's patient may be known; those in items are not read."""
    return IdentifyingValues(
        IdentifyingValue(text, vr, is_private(tag))
        for tag, vr, text in header.elements()
        if text.isprintable() and identifies_anywhere(tag, vr)
    )


def _restored(
    transfer_syntax_uid: str,
    data: bytes,
    starts: Mapping[int, int],
    odd: Mapping[int, Value],
    last_tag: int,
) -> HeaderView:
    encoding = encoding_of(transfer_syntax_uid)
    return HeaderView(transfer_syntax_uid, encoding, data, starts, odd, last_tag)
