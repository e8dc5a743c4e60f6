"""Text in the character sets that an object names, with code extensions (PS3.5 6.1.2); pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.charset import CODES_TO_ENCODINGS, default_encoding, python_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator


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
