"""Finds the elements of a data set that a tag path selects (dicomedit 3.2).

The data set is walked once with the set of steps that may come next, so that a path costs no more
than the walk, whatever its wildcards.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from engine.anonymize.datasets.private import blocks_of, creator_of
from engine.anonymize.datasets.tree import Hit, Level, may_have_items, root_of, roots
from engine.anonymize.language.paths import Levels, TagStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset

    from engine.anonymize.files.values import Kept
    from engine.anonymize.language.paths import Path, Step

_States = frozenset[int]
"""Numbers of the steps that may come next; one behind the last says that the path is complete."""
_NO_ITEMS: Final[Mapping[int, _States]] = {}


def find(ds: Dataset, path: Path, tick: Callable[[], None]) -> list[Hit]:
    """Return what a path means, each once, in visiting order."""
    if path.root_tag is not None:
        level, tag = root_of(ds, path.root_tag), BaseTag(path.root_tag)
        return [Hit(level, tag)] if tag in level.ds else []
    matcher = _Matcher(path, tick)
    for level in roots(ds):
        matcher.visit(level, matcher.start)
    return matcher.found


def locate(ds: Dataset, path: Path) -> Hit | None:
    """Find what a singular path names, without creating anything."""
    *outer, last = path.tag_steps
    level: Level | None = None
    for step in outer:
        hit = _locate_step(level or root_of(ds, step.tag), step)
        items = hit.level.sequence(hit.tag) if hit else None
        if hit is None or items is None or step.item is None or step.item >= len(items):
            return None
        level = Level(items[step.item], hit.level)
    # Newer versions of XNAT give an absent creator a block even to read from it (dicomedit 3.4).
    hit = _locate_step(level or root_of(ds, last.tag), last)
    if hit is None or last.item is None:
        return hit
    items = hit.level.sequence(hit.tag)
    return Hit(hit.level, hit.tag, last.item) if items and last.item < len(items) else None


def _locate_step(level: Level, step: TagStep) -> Hit | None:
    tags = [step.tag]
    if step.creator is not None:
        blocks = blocks_of(level.ds, step.group, step.creator)
        # Bad data gives one creator two blocks; both belong to it (dicomedit 3.2).
        tags = [step.tag | block << 8 for block in blocks]
    return next((Hit(level, BaseTag(tag)) for tag in tags if BaseTag(tag) in level.ds), None)


class _Plan(NamedTuple):
    """What a set of states means for every element of a level."""

    passing: _States
    """The states behind any element, thanks to ``*``, ``+`` and ``.``."""
    steps: tuple[tuple[TagStep, _States], ...]
    """The elements that are looked for, and the states behind them."""
    named: frozenset[int] | None
    """Their tags, if they are public ones given by number; None if others may fit too."""


class _Matcher:
    """One walk through one object."""

    def __init__(self, path: Path, tick: Callable[[], None]) -> None:
        self._steps = path.steps
        self._complete = len(path.steps)
        self._encoded_tags = _encoded_tags(path.steps[-1])
        self._tick = tick
        self._plans: dict[_States, _Plan] = {}
        self.start = self._closed(frozenset((0,)))
        self.found: list[Hit] = []

    def visit(self, level: Level, states: _States) -> None:
        """Find what is meant in a level and below."""
        plan = self._plan(states)
        for tag, element in self._candidates(level, plan):
            self._tick()
            every, by_item = plan.passing, _NO_ITEMS
            for step, after in plan.steps:
                if _fits(level, tag, step):
                    every, by_item = self._behind(level, tag, step, after, every, by_item)
            whole = self._complete in every
            if whole:
                self.found.append(Hit(level, tag))
            if (every or by_item) and may_have_items(element) and self._may_hold(element):
                self._visit_items(level, tag, every, by_item, whole=whole)

    def _candidates(self, level: Level, plan: _Plan) -> list[tuple[BaseTag, Kept]]:
        """Return the elements of a level that are worth a look."""
        if plan.named is None or self._complete in plan.passing:
            return level.elements()
        return level.elements(plan.named, with_items=bool(plan.passing))

    def _may_hold(self, element: Kept) -> bool:
        """Tell whether what the path ends with may be in an element, before it is decoded."""
        value = element.value
        if not self._encoded_tags or not isinstance(element, RawDataElement) or value is None:
            return True
        # A search for bytes in C: most sequences have no such element and stay undecoded.
        return any(encoded in value for encoded in self._encoded_tags)

    def _visit_items(
        self,
        level: Level,
        tag: BaseTag,
        every: _States,
        by_item: Mapping[int, _States],
        *,
        whole: bool,
    ) -> None:
        for index, item in enumerate(level.below(tag)):
            states = every | by_item[index] if index in by_item else every
            if not whole and self._complete in states:
                self.found.append(Hit(level, tag, index))
            if states and states != {self._complete}:
                self.visit(item, states)

    def _behind(
        self,
        level: Level,
        tag: BaseTag,
        step: TagStep,
        after: _States,
        every: _States,
        by_item: Mapping[int, _States],
    ) -> tuple[_States, Mapping[int, _States]]:
        """Add the states behind an element: of all its items, or of those that the step names."""
        if step.item is not None:
            return every, {**by_item, step.item: by_item.get(step.item, frozenset()) | after}
        if step.every_item and self._complete in after:
            numbers = range(len(level.sequence(tag) or ()))
            return every, {**by_item, **{n: by_item.get(n, frozenset()) | after for n in numbers}}
        return every | after, by_item

    def _plan(self, states: _States) -> _Plan:
        if states not in self._plans:
            passing: _States = frozenset()
            steps = []
            for state in states - {self._complete}:
                step = self._steps[state]
                if isinstance(step, TagStep):
                    steps.append((step, self._closed(frozenset((state + 1,)))))
                else:
                    passing |= {state if step is Levels.ANY else state + 1}
            named = frozenset(step.tag for step, _ in steps) if _all_public(steps) else None
            self._plans[states] = _Plan(self._closed(passing), tuple(steps), named)
        return self._plans[states]

    def _closed(self, states: _States) -> _States:
        """Add the steps behind ``*``, which may stand for no level at all."""
        wild = (s for s in states if s < self._complete and self._steps[s] is Levels.ANY)
        more = {state + 1 for state in wild} - states
        return self._closed(states | more) if more else states


def _all_public(steps: list[tuple[TagStep, _States]]) -> bool:
    return all(step.exact and step.creator is None for step, _ in steps)


def _encoded_tags(last: Step) -> tuple[bytes, ...]:
    """Return how the element is encoded that a path ends with; nothing if it may be many."""
    if not isinstance(last, TagStep) or not last.exact or last.creator is not None:
        return ()
    if last.item is not None or last.every_item:
        return ()
    group, element = last.tag >> 16, last.tag & 0xFFFF
    # In both byte orders: items of UN are little endian in big endian objects too.
    return struct.pack("<HH", group, element), struct.pack(">HH", group, element)


def _fits(level: Level, tag: int, step: TagStep) -> bool:
    """Tell whether an element is one that a step means."""
    return step.fits(tag) and (step.creator is None or creator_of(level.ds, tag) == step.creator)
