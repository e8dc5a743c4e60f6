"""A data set as a tree: its levels, its sequences, and the elements that a path means.

The matcher walks the data set once with the set of steps that may come next, so that a path with
wildcards costs no more than the walk, whatever the wildcards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from engine.anonymize.errors import Failure
from engine.anonymize.file_part import kept_element, part_of
from engine.anonymize.paths import Levels, Path, TagStep
from engine.anonymize.private import blocks_of, creator_of
from engine.anonymize.unknown import unfolded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.sequence import Sequence

    from engine.anonymize.paths import Step

MAX_DEPTH: Final = 32
META_GROUP: Final = 2
_ITEM_STARTS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


class Level:
    """One data set of an object: the root, its file meta information, or an item."""

    __slots__ = ("depth", "ds", "parent")

    def __init__(self, ds: Dataset, parent: Level | None = None) -> None:
        self.ds = ds
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent else 0
        if self.depth > MAX_DEPTH:
            raise Failure(f"sequences are nested more than {MAX_DEPTH} deep")

    def tags(self) -> list[BaseTag]:
        """Return the tags in ascending order, safe against changes meanwhile."""
        return sorted(self.ds.keys())

    def sequence(self, tag: BaseTag) -> Sequence | None:
        """Return the items of an element if it is a sequence."""
        element = kept_element(self.ds, tag)
        if isinstance(element, RawDataElement):
            element = unfolded(self.ds, tag) if _may_be_sequence(element) else None
        elif element is not None and element.VR == "UN":
            element = unfolded(self.ds, tag)
        if element is None or element.VR != "SQ":
            return None
        items: Sequence = element.value
        return items

    def below(self, tag: BaseTag) -> list[Level]:
        """Return the items of an element; none if it is no sequence."""
        items = self.sequence(tag)
        return [Level(item, self) for item in items] if items else []


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
    for tag in level.tags():
        tick()
        yield Hit(level, tag)
        for item in level.below(tag) if tag in level.ds else ():
            yield from walk(item, tick)


def find(ds: Dataset, path: Path, tick: Callable[[], None]) -> list[Hit]:
    """Return what a path means, each once, in visiting order."""
    if path.root_tag is not None:
        level, tag = root_of(ds, path.root_tag), BaseTag(path.root_tag)
        return [Hit(level, tag)] if tag in level.ds else []
    found: list[Hit] = []
    states = _closed(frozenset((0,)), path.steps)
    for level in roots(ds):
        _find(level, path.steps, states, found, tick)
    return found


def _find(
    level: Level,
    steps: tuple[Step, ...],
    states: frozenset[int],
    found: list[Hit],
    tick: Callable[[], None],
) -> None:
    """Follow the steps that may come next through one level."""
    for tag in level.tags():
        tick()
        every, by_item = _advance(level, tag, steps, states)
        whole = len(steps) in every
        if whole:
            found.append(Hit(level, tag))
        if not every and not by_item:
            continue
        for index, item in enumerate(level.below(tag)):
            then = every | by_item.get(index, frozenset())
            if not whole and len(steps) in then:
                found.append(Hit(level, tag, index))
            inner = then - {len(steps)}
            if inner:
                _find(item, steps, inner, found, tick)


def _advance(
    level: Level, tag: BaseTag, steps: tuple[Step, ...], states: frozenset[int]
) -> tuple[frozenset[int], dict[int, frozenset[int]]]:
    """Return the steps that come after an element, in every item and in single ones."""
    every: set[int] = set()
    by_item: dict[int, frozenset[int]] = {}
    for state in states:
        step = steps[state] if state < len(steps) else None
        if isinstance(step, TagStep):
            if not fits(level, tag, step):
                continue
            after = _closed(frozenset((state + 1,)), steps)
            if step.item is None and not (step.every_item and state + 1 == len(steps)):
                every |= after
            else:
                for index in _chosen(level, tag, step):
                    by_item[index] = by_item.get(index, frozenset()) | after
        elif step is not None:
            every.add(state if step is Levels.ANY else state + 1)
    return _closed(frozenset(every), steps), by_item


def _chosen(level: Level, tag: BaseTag, step: TagStep) -> range:
    """Return which items a step names; `range` may go beyond those that exist."""
    if step.item is not None:
        return range(step.item, step.item + 1)
    return range(len(level.sequence(tag) or ()))


def _closed(states: frozenset[int], steps: tuple[Step, ...]) -> frozenset[int]:
    """Add the steps behind ``*``, which may stand for no level at all."""
    more = {s + 1 for s in states if s < len(steps) and steps[s] is Levels.ANY} - states
    return _closed(states | more, steps) if more else states


def fits(level: Level, tag: int, step: TagStep) -> bool:
    """Tell whether an element is one that a step means."""
    if not step.fits(tag):
        return False
    return step.creator is None or creator_of(level.ds, tag) == step.creator


def locate(ds: Dataset, path: Path) -> Hit | None:
    """Find what a singular path names, without creating anything."""
    level: Level | None = None
    for step in path.tag_steps[:-1]:
        hit = _locate_step(level or root_of(ds, step.tag), step)
        items = hit.level.sequence(hit.tag) if hit else None
        if hit is None or items is None or step.item is None or step.item >= len(items):
            return None
        level = Level(items[step.item], hit.level)
    last = path.tag_steps[-1]
    hit = _locate_step(level or root_of(ds, last.tag), last)
    if hit is None or last.item is None:
        return hit
    items = hit.level.sequence(hit.tag)
    return Hit(hit.level, hit.tag, last.item) if items and last.item < len(items) else None


def _locate_step(level: Level, step: TagStep) -> Hit | None:
    tags = [step.tag]
    if step.creator is not None:
        blocks = blocks_of(level.ds, step.group, step.creator)
        tags = [step.tag | block << 8 for block in blocks]
    return next((Hit(level, BaseTag(tag)) for tag in tags if BaseTag(tag) in level.ds), None)


def _may_be_sequence(element: RawDataElement) -> bool:
    """Tell whether converting an element may make it a sequence, without converting it."""
    if part_of(element) is not None:
        return False
    if element.VR not in (None, "UN", "SQ"):
        return False
    if element.VR == "SQ":
        return True
    if not element.tag.is_private:
        try:
            return dictionary_VR(element.tag) == "SQ"
        except KeyError:
            pass
    return element.value is not None and element.value[:4] in _ITEM_STARTS
