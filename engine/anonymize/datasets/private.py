"""Private blocks: which creator owns which part of an odd group (PS3.5 7.8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

_FIRST_BLOCK: Final = 0x10
_LAST_BLOCK: Final = 0xFF


def is_private(tag: int) -> bool:
    """Tell whether an element is in an odd group."""
    return bool(tag >> 16 & 1)


def is_creator(tag: int) -> bool:
    """Tell whether an element names the owner of a block."""
    return is_private(tag) and _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK


def creator_of(ds: Dataset, tag: int) -> str | None:
    """Return the creator that owns a private element in its data set."""
    return _name(ds, BaseTag((tag & 0xFFFF0000) | ((tag & 0xFFFF) >> 8)))


def blocks_of(ds: Dataset, group: int, creator: str) -> list[int]:
    """Return the blocks of a creator, the lowest first; bad data has more than one."""
    return [block for block in _creators(ds, group) if _name_of_block(ds, group, block) == creator]


def reserve(ds: Dataset, group: int, creator: str) -> int:
    """Return a creator's block, after making it its own if it has none (3.4).

    Raises:
        StatementFailure: if all blocks of the group are taken.
    """
    own = blocks_of(ds, group, creator)
    if own:
        return own[0]
    # keys(): to iterate over a Dataset itself decodes every element of it.
    taken = {tag & 0xFFFF for tag in ds.keys() if tag >> 16 == group}  # noqa: SIM118
    # Also blocks without a creator: their elements would get one.
    taken |= {element >> 8 for element in taken}
    for block in range(_FIRST_BLOCK, _LAST_BLOCK + 1):
        if block not in taken:
            tag = BaseTag(group << 16 | block)
            ds[tag] = DataElement(tag, "LO", creator, already_converted=True)
            return block
    raise StatementFailure(f"group {group:04X} has no free private block")


def _creators(ds: Dataset, group: int) -> Iterator[int]:
    found = (tag & 0xFFFF for tag in ds.keys() if tag >> 16 == group)  # noqa: SIM118
    return iter(sorted(e for e in found if _FIRST_BLOCK <= e <= _LAST_BLOCK))


def _name_of_block(ds: Dataset, group: int, block: int) -> str | None:
    return _name(ds, BaseTag(group << 16 | block))


def _name(ds: Dataset, tag: BaseTag) -> str | None:
    element = kept_element(ds, tag)
    if element is None:
        return None
    value = element.value
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        # Compared stripped: pydicom strips creators when it decodes them (dicomedit 3.4).
        return value.decode(_encoding(ds), "replace").strip(" \0")
    return str(value).strip(" \0") if value is not None else ""


def _encoding(ds: Dataset) -> str:
    """Return the encoding of names without escape sequences."""
    names = ds.original_character_set
    return names if isinstance(names, str) else next(iter(names), "ascii")
