"""Character sets of data sets: what each can encode, and how to keep text when it changes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydicom.charset import default_encoding, python_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from engine.anonymize.datasets.decoding import decode
from engine.anonymize.datasets.items import UnreadableItems
from engine.anonymize.files.values import kept_element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize.datasets.tree import Level

SPECIFIC_CHARACTER_SET: Final = BaseTag(0x00080005)
UTF_8: Final = "ISO_IR 192"


def make_writable(level: Level, text: str) -> None:
    """Switch a data set to UTF-8 if its character set can't hold a text."""
    if text.isascii() or any(_can_encode(text, name) for name in _encodings(level)):
        return
    keep_text(level)
    level.ds[SPECIFIC_CHARACTER_SET] = DataElement(SPECIFIC_CHARACTER_SET, "CS", UTF_8)


def keep_text(level: Level) -> None:
    """Decode the text of a data set and of the items that follow its character set.

    Call it before the character set changes: bytes left undecoded would get another meaning,
    unless they are ASCII, which is the same in all of them. Sequences that nobody can read stay.
    """
    for tag in level.tags():
        with suppress(UnreadableItems):
            _keep_text_of(level, tag)


def _keep_text_of(level: Level, tag: BaseTag) -> None:
    """Keep the text of an element."""
    element = kept_element(level.ds, tag)
    value = element.value if isinstance(element, RawDataElement) else None
    if isinstance(value, bytes) and not (value.isascii() and b"\x1b" not in value):
        decode(level.ds, tag)
    for item in level.below(tag):
        if SPECIFIC_CHARACTER_SET not in item.ds:
            keep_text(item)


def _encodings(level: Level) -> Iterator[str]:
    """Yield the Python encodings that hold for a data set: its own, or those around it."""
    at: Level | None = level
    while at is not None:
        if SPECIFIC_CHARACTER_SET in at.ds:
            value = at.ds[SPECIFIC_CHARACTER_SET].value or ""
            terms = [value] if isinstance(value, str) else list(value)
            yield from (python_encoding.get(term.strip(), default_encoding) for term in terms)
            return
        at = at.parent
    yield "ascii"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
