"""Compares two data sets element by element, to show the effect of anonymization."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataset import Dataset

from engine.anonymize.datasets.decoding import UnreadableItems, decode, looks_nested
from engine.anonymize.datasets.private import creator_of, is_private
from engine.anonymize.datasets.reading import BYTES, UNREADABLE, text_of, vr_of
from engine.anonymize.datasets.tree import Level
from engine.anonymize.errors import StatementFailure, UneditableFile
from engine.anonymize.files.values import kept_element, part_of
from engine.anonymize.language.paths import TagStep
from engine.anonymize.language.syntax import paths_in
from engine.model.identity import is_identifying

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.tag import BaseTag

    from engine.anonymize.files.values import FilePart
    from engine.anonymize.script import Script


_CONTENT_SEQUENCE: Final = "(0040,A730)"


class UnlistedText(NamedTuple):
    """An attribute with free text that table E.1-1 of PS3.15 does not list."""

    path: str
    """As a script writes it."""
    name: str
    tag: int
    mask: int = 0xFFFFFFFF

    def fits(self, tag: int) -> bool:
        """Tell whether an element is one of these."""
        return tag & self.mask == self.tag


_CODE_MEANING: Final = UnlistedText("*/(0008,0104)", "Code Meaning in reports", 0x00080104)
_OTHERS: Final = (
    UnlistedText("*/(0040,A160)", "Text Value outside of reports", 0x0040A160),
    UnlistedText("(0042,0010)", "Document Title", 0x00420010),
    UnlistedText("(60X@,0022)", "Overlay Description", 0x60000022, 0xFF01FFFF),
    UnlistedText("(60X@,1500)", "Overlay Label", 0x60001500, 0xFF01FFFF),
)
UNLISTED_TEXTS: Final = (_CODE_MEANING, *_OTHERS)


def texts_kept_by(script: Script) -> tuple[UnlistedText, ...]:
    """Return the texts that neither the basic profile nor a script removes or changes."""
    steps = [path.steps[-1] for path in paths_in(script.statements)]
    if any(not isinstance(step, TagStep) for step in steps):
        return ()  # a wildcard for everything
    named = [step for step in steps if isinstance(step, TagStep)]
    return tuple(text for text in UNLISTED_TEXTS if not any(step.fits(text.tag) for step in named))


def may_identify(tag: int, vr: str, text: str, path: str) -> bool:
    """Tell whether an element that was kept may identify the patient.

    Args:
        tag: the element.
        vr: its VR.
        text: its text as it is.
        path: where it is in its object.
    """
    # An empty value tells nothing, also one of several.
    if not text.strip("\\ "):
        return False
    if is_identifying(tag, vr) or any(other.fits(tag) for other in _OTHERS):
        return True
    if _CODE_MEANING.fits(tag):
        return _CONTENT_SEQUENCE in path
    # An element that no dictionary knows may be anything; a NUL may hide text behind it.
    unknown = not is_private(tag) and not dictionary_has_tag(tag)
    return unknown or ("\0" in text and vr not in BYTES)


_CHUNK_BYTES: Final = 1024 * 1024
_SHOWN: Final = 200
_LAST_CREATOR: Final = 0xFF


class ElementChangeKind(StrEnum):
    """How an element differs."""

    REMOVED = "removed"
    CHANGED = "changed"
    ADDED = "added"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class ElementDifference:
    """One element before and after."""

    path: str
    """As a script writes it: with items, and private elements by creator."""
    keyword: str
    """Empty for elements that the data dictionary doesn't know."""
    vr: str
    change: ElementChangeKind
    before: str | None
    """The text, how long it is if masked, None if there was none."""
    after: str | None
    telling: bool = False
    """Whether it was kept and may identify the patient."""


def differences(
    before: Dataset,
    after: Dataset,
    *,
    masked: bool = False,
    kept: bool = False,
    telling: bool = False,
) -> tuple[ElementDifference, ...]:
    """Compare two objects, element by element and item by item.

    Args:
        before: the object as it came.
        after: the object as it is.
        masked: whether values are replaced by their length, for logs and shared screens.
        kept: whether elements without a difference are listed too.
        telling: whether unchanged elements that may identify the patient are listed.

    Raises:
        UneditableFile: if an object is too broken to be compared.
    """
    try:
        rows = [
            *_compare(Level(_meta(before)), Level(_meta(after)), ""),
            *_compare(Level(before), Level(after), ""),
        ]
    except (StatementFailure, *UNREADABLE) as error:
        detail = f"it can't be compared ({type(error).__name__})"
        raise UneditableFile(detail, "check it with dcmdump") from error
    chosen = (
        row
        for row in rows
        if kept or row.change is not ElementChangeKind.KEPT or (telling and row.telling)
    )
    return tuple(_masked(row) if masked else row for row in chosen)


def _meta(ds: Dataset) -> Dataset:
    meta: Dataset | None = getattr(ds, "file_meta", None)
    return Dataset() if meta is None else meta


def _compare(before: Level, after: Level, prefix: str) -> Iterator[ElementDifference]:
    for tag in sorted({*before.tags(), *after.tags()}):
        if tag.element == 0:
            continue  # PS3.5 7.2: group lengths belong to the encoding
        there, here = tag in before.ds, tag in after.ds
        level = before if there else after
        path = prefix + _step(level.ds, tag)
        items = _items(before, tag), _items(after, tag)
        if not items[0] and not items[1]:
            yield _difference(before, after, tag, path)
            continue
        if there != here:
            change = ElementChangeKind.REMOVED if there else ElementChangeKind.ADDED
            yield ElementDifference(path, keyword_for_tag(tag), "SQ", change, None, None)
        yield from _compare_items(items[0], items[1], path)


def _items(level: Level, tag: BaseTag) -> list[Level]:
    """Return the items of an element; none if there are none, or they can't be read."""
    try:
        return level.below(tag)
    except UnreadableItems:
        return []


def _compare_items(
    before: list[Level], after: list[Level], path: str
) -> Iterator[ElementDifference]:
    nothing = Level(Dataset())
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else nothing
        new = after[number] if number < len(after) else nothing
        yield from _compare(old, new, f"{path}[{number}]/")


def _step(ds: Dataset, tag: BaseTag) -> str:
    creator = creator_of(ds, tag) if tag.is_private and tag.element > _LAST_CREATOR else None
    if creator is None:
        return f"({tag.group:04X},{tag.element:04X})"
    return f"({tag.group:04X},{{{creator}}}{tag.element & 0xFF:02X})"


def _difference(before: Level, after: Level, tag: BaseTag, path: str) -> ElementDifference:
    old, new = _text(before.ds, tag), _text(after.ds, tag)
    vr = vr_of(after.ds if tag in after.ds else before.ds, tag)
    if new is None:
        change = ElementChangeKind.REMOVED
    elif old is None:
        change = ElementChangeKind.ADDED
    else:
        change = ElementChangeKind.KEPT if _same(before, after, tag) else ElementChangeKind.CHANGED
    telling = change is ElementChangeKind.KEPT and may_identify(
        tag, vr, _whole_text(after.ds, tag), path
    )
    return ElementDifference(path, keyword_for_tag(tag), vr, change, old, new, telling)


def _whole_text(ds: Dataset, tag: BaseTag) -> str:
    try:
        return text_of(ds, tag) or ""
    except StatementFailure:
        return ""


def _text(ds: Dataset, tag: BaseTag) -> str | None:
    """Return what to show of a value; bytes and long ones by their size."""
    if tag not in ds:
        return None
    part = part_of(kept_element(ds, tag))
    if part is not None:
        return f"{part.size_bytes:,} bytes"
    element = kept_element(ds, tag)
    if element is not None and looks_nested(element):
        return f"{len(element.value or b''):,} bytes that are no complete sequence"
    if vr_of(ds, tag) == "SQ":
        return "0 items"
    try:
        text = text_of(ds, tag) or ""
        value = decode(ds, tag).value
    except (StatementFailure, *UNREADABLE):
        return "unreadable"
    if isinstance(value, bytes) and (len(value) > _SHOWN or not text.isprintable()):
        return f"{len(value):,} bytes"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _same(before: Level, after: Level, tag: BaseTag) -> bool:
    old, new = (part_of(kept_element(level.ds, tag)) for level in (before, after))
    if old is not None and new is not None:
        return _same_content(old, new)
    # Only one of them is still in a file: the value was replaced.
    if old is not None or new is not None:
        return False
    unread = [e.value for e in (kept_element(level.ds, tag) for level in (before, after))
              if e is not None and looks_nested(e)]  # fmt: skip
    if unread:
        return len(unread) > 1 and unread[0] == unread[1]
    if vr_of(before.ds, tag) == "SQ":
        return True
    try:
        if isinstance(decode(before.ds, tag).value, bytes):
            return bool(before.ds[tag].value == decode(after.ds, tag).value)
        return text_of(before.ds, tag) == text_of(after.ds, tag)
    except (StatementFailure, *UNREADABLE):
        return False


def _same_content(one: FilePart, other: FilePart) -> bool:
    if one.size_bytes != other.size_bytes:
        return False
    # The same bytes of the same file: an edited object refers to its source.
    if one.file is other.file and one.start == other.start:
        return True
    return all(a == b for a, b in zip(one.chunks(_CHUNK_BYTES), other.chunks(_CHUNK_BYTES),
                                      strict=True))  # fmt: skip


def _masked(row: ElementDifference) -> ElementDifference:
    return ElementDifference(
        *(row.path, row.keyword, row.vr, row.change),
        *(_mask(row.before), _mask(row.after), row.telling),
    )


def _mask(text: str | None) -> str | None:
    if not text:
        return text
    return f"‹{len(text)} character{'s' * (len(text) != 1)}›"
