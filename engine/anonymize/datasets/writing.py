"""Converts text to elements (dicomedit 4.3); invalid values are written as they are."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydicom.charset import default_encoding, python_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from engine.anonymize.datasets.decoding import UnreadableItems, decode, text_element
from engine.anonymize.datasets.private import reserve
from engine.anonymize.datasets.reading import FLOATS, OF_CHARACTER_SET, TEXTS, known_vr, vr_of
from engine.anonymize.datasets.tree import Hit, Level, root_of
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize.language.paths import Path, TagStep


SPECIFIC_CHARACTER_SET: Final = BaseTag(0x00080005)
UTF_8: Final = "ISO_IR 192"


def make_writable(level: Level, text: str) -> None:
    """Switch a data set to UTF-8 if its character set can't hold a text."""
    if text.isascii() or any(_can_encode(text, name) for name in _encodings(level)):
        return
    keep_text(level)
    # XNAT writes `?` for what the set can't hold (dicomedit 4.3).
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


# One large number in a script must not fill the memory with empty items.
MAX_MISSING_ITEMS: Final = 1000
_PIXEL_REPRESENTATION: Final = BaseTag(0x00280103)
_INTEGERS: Final = {
    "US": (0, 2**16 - 1),
    "SS": (-(2**15), 2**15 - 1),
    "UL": (0, 2**32 - 1),
    "SL": (-(2**31), 2**31 - 1),
    "UV": (0, 2**64 - 1),
    "SV": (-(2**63), 2**63 - 1),
}


def assign(ds: Dataset, path: Path, text: str) -> None:
    """Store a text in the element that a singular path names; create what is missing.

    Raises:
        StatementFailure: if the text is no value for the element, or the path leads nowhere.
    """
    *outer, last = path.tag_steps
    level: Level | None = None
    for step in outer:
        level = _enter(level or _root(ds, step.tag), step)
    level = level or _root(ds, last.tag)
    store(Hit(level, _resolve(level, last)), text)


def store(hit: Hit, text: str) -> None:
    """Store a text in an element, which keeps its VR if it exists.

    Raises:
        StatementFailure: if the text is no value for the VR.
    """
    level, tag = hit.level, hit.tag
    # Bytes that are not decoded yet would be read by the new character set.
    if tag == SPECIFIC_CHARACTER_SET:
        keep_text(level)  # before the bytes get another meaning
    vr = vr_of(level.ds, tag) if tag in level.ds else _new_vr(level.ds, tag)
    if vr in OF_CHARACTER_SET:
        make_writable(level, text)
    elif vr in TEXTS and not _fits_default_repertoire(text):
        raise StatementFailure(f"{tag} ({vr}) holds no letters beyond Latin-1", "write plain ASCII")
    level.ds[tag] = _element(tag, vr, text)


def remove(hit: Hit) -> None:
    """Remove an element, or one item of a sequence."""
    if hit.tag == SPECIFIC_CHARACTER_SET:
        keep_text(hit.level)
    if hit.item is None:
        if hit.tag in hit.level.ds:
            del hit.level.ds[hit.tag]
        return
    items = hit.level.sequence(hit.tag)
    if items and hit.item < len(items):
        # XNAT leaves an empty item (DE-91); here it goes, as authors expect (dicomedit 5).
        del items[hit.item]


def _root(ds: Dataset, tag: int) -> Level:
    if tag >> 16 == 0:
        raise StatementFailure("group 0000 is not part of an object", "name another element")
    return root_of(ds, tag)


def _enter(level: Level, step: TagStep) -> Level:
    """Return the item that a step names, after creating the sequence and items up to it."""
    tag = _resolve(level, step)
    items = level.sequence(tag)
    if items is None:
        if tag in level.ds:
            raise StatementFailure(f"{tag} exists and is no sequence")
        level.ds[tag] = DataElement(tag, "SQ", Sequence())
        items = level.ds[tag].value
    item = step.item or 0
    if item - len(items) > MAX_MISSING_ITEMS:  # an index in a script must not fill the memory
        raise StatementFailure(
            f"item {item} of {tag} is more than {MAX_MISSING_ITEMS} beyond the last"
        )
    while len(items) <= item:
        items.append(Dataset())
    return Level(items[item], level)


def _resolve(level: Level, step: TagStep) -> BaseTag:
    """Return the tag that a step means in a data set; its creator gets a block if it has none."""
    if step.creator is None:
        return BaseTag(step.tag)
    return BaseTag(step.tag | reserve(level.ds, step.group, step.creator) << 8)


def _new_vr(ds: Dataset, tag: BaseTag) -> str:
    """LO for unknown private elements: other programs can't show text in UN."""
    # PS3.5 7.2: a group length.
    if tag.element == 0:
        return "UL"
    vr = known_vr(ds, tag) or ("LO" if tag.is_private else "UN")
    if vr == "US or SS":  # PS3.3 C.7.6.3: Pixel Representation decides
        signed = _PIXEL_REPRESENTATION in ds and ds[_PIXEL_REPRESENTATION].value == 1
        return "SS" if signed else "US"
    # Of "OB or OW" the first (dicomedit 4.3).
    return vr[:2]


def _element(tag: BaseTag, vr: str, text: str) -> DataElement:
    if vr == "SQ":
        # As in XNAT: an empty sequence, whatever the text is (dicomedit 4.3).
        return DataElement(tag, vr, Sequence())
    if vr in TEXTS:
        return text_element(tag, vr, text)
    if vr in _INTEGERS:
        numbers = [_integer(part, vr) for part in _parts(text)]
        return DataElement(tag, vr, _one_or_all(numbers), already_converted=len(numbers) < 2)
    if vr in FLOATS:
        return _float_element(tag, vr, text)
    if vr == "AT":
        tags = [_tag(part) for part in _parts(text)]
        return DataElement(tag, vr, _one_or_all(tags))
    encoded = text.encode()
    return DataElement(tag, vr, encoded + b"\0" * (len(encoded) % 2), already_converted=True)


def _float_element(tag: BaseTag, vr: str, text: str) -> DataElement:
    numbers = [_float(part) for part in _parts(text)]
    code = FLOATS[vr]
    try:
        packed = struct.pack(f"<{len(numbers)}{code}", *numbers)
    except (OverflowError, struct.error) as error:
        raise StatementFailure(f"a number is too large for {vr}") from error
    if vr in ("OF", "OD"):
        return DataElement(tag, vr, packed, already_converted=True)
    return DataElement(tag, vr, _one_or_all(numbers))


def _parts(text: str) -> list[str]:
    return text.split("\\") if text else []


def _one_or_all(values: list[int] | list[float] | list[BaseTag]) -> object:
    return None if not values else values[0] if len(values) == 1 else values


def _integer(text: str, vr: str) -> int:
    low, high = _INTEGERS[vr]
    try:
        number = int(text.strip())
    except ValueError as error:
        raise StatementFailure(f"the value is no whole number, which {vr} needs") from error
    # XNAT lets such a number wrap, and stores another one (dicomedit 4.3).
    if not low <= number <= high:
        raise StatementFailure(f"the number is not in the range of {vr}, {low} to {high}")
    return number


def _float(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError as error:
        raise StatementFailure("the value is no number") from error


def _tag(text: str) -> BaseTag:
    digits = text.strip().strip("()").replace(",", "")
    if len(digits) != 8:
        raise StatementFailure("the value is no tag of eight hexadecimal digits, which AT needs")
    try:
        return Tag(int(digits, 16))
    except ValueError as error:
        raise StatementFailure(
            "the value is no tag of eight hexadecimal digits, which AT needs"
        ) from error


def _fits_default_repertoire(text: str) -> bool:
    """Latin-1 is what pydicom writes where the character set does not count."""
    return text.isascii() or all(character <= "\xff" for character in text)
