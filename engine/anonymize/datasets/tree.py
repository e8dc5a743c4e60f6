"""A data set as a tree: its levels, its sequences, and the way through all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pydicom.dataset import Dataset, FileMetaDataset

from engine.anonymize.datasets.decoding import MAX_DEPTH, MAY_HAVE_ITEMS, looks_nested, unfold
from engine.anonymize.errors import StatementFailure
from engine.anonymize.files.values import kept_element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.sequence import Sequence
    from pydicom.tag import BaseTag


META_GROUP: Final = 2


class Level:
    """One data set of an object: the root, its file meta information, or an item."""

    __slots__ = ("depth", "ds", "parent")

    def __init__(self, ds: Dataset, parent: Level | None = None) -> None:
        self.ds = ds
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        if self.depth > MAX_DEPTH:
            raise StatementFailure(f"sequences are nested more than {MAX_DEPTH} deep")

    def tags(self) -> list[BaseTag]:
        """Return the tags in ascending order, safe against changes meanwhile."""
        return sorted(self.ds.keys(), key=int)

    def elements(
        self, named: frozenset[int] | None = None, *, with_items: bool = True
    ) -> list[tuple[BaseTag, DataElement | RawDataElement]]:
        """Return elements in the same order, as they are kept.

        Args:
            named: their tags; None for all.
            with_items: whether to return all that may have items as well.
        """
        found = self.ds.items()
        if named is None:
            return sorted(found, key=_number)
        # Filtered before it is sorted: a path names few of an object's hundreds of elements.
        may = MAY_HAVE_ITEMS if with_items else ()
        return sorted([e for e in found if e[1].VR in may or e[0] in named], key=_number)

    def sequence(self, tag: BaseTag) -> Sequence | None:
        """Return the items of an element if it is a sequence, whatever its VR says.

        Raises:
            UnreadableItems: if it is one that can't be read to its end.
        """
        element = kept_element(self.ds, tag)
        if element is None:
            return None
        # pydicom would leave items in UN as bytes, with all that identifies in them.
        if looks_nested(element):
            element = unfold(self.ds, tag)
        if element.VR != "SQ":
            return None
        return cast("Sequence", element.value)

    def below(self, tag: BaseTag) -> list[Level]:
        """Return the items of an element; none if it is no sequence; raises as `sequence`."""
        items = self.sequence(tag)
        return [Level(item, self) for item in items] if items else []


def _number(element: tuple[BaseTag, object]) -> int:
    """Python compares its own numbers faster than pydicom's tags."""
    return int(element[0])


def may_have_items(element: DataElement | RawDataElement) -> bool:
    """Tell whether it is worth asking for the items of an element."""
    return element.VR in MAY_HAVE_ITEMS


class Hit(NamedTuple):
    """An element, or one item of a sequence, that a path means."""

    level: Level
    tag: BaseTag
    item: int | None = None


def roots(ds: Dataset) -> tuple[Level, ...]:
    """Return the outermost levels in the order in which they are visited (3.2)."""
    meta = getattr(ds, "file_meta", None)
    return (Level(meta), Level(ds)) if meta is not None else (Level(ds),)


def root_of(ds: Dataset, tag: int) -> Level:
    """Return the level of a root element; there is always one for group 2."""
    if tag >> 16 != META_GROUP:
        return Level(ds)
    if getattr(ds, "file_meta", None) is None:
        ds.file_meta = FileMetaDataset()
    return Level(ds.file_meta)


def walk(level: Level, tick: Callable[[], None]) -> Iterator[Hit]:
    """Yield every element at and below a level; a sequence before what is in it."""
    for tag, element in level.elements():
        tick()
        yield Hit(level, tag)
        for item in level.below(tag) if may_have_items(element) else ():
            yield from walk(item, tick)
