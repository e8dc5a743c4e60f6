"""``retainPrivateTags``: remove all private elements but some (dicomedit 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.datasets.items import UnreadableItems
from engine.anonymize.datasets.private import is_creator, is_private
from engine.anonymize.datasets.tree import roots
from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import Argument, Function, paths_in
from engine.anonymize.language.values import VOID, Void

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

    from engine.anonymize.datasets.tree import Level
    from engine.anonymize.language.paths import Path
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun

_Kept = set[tuple[int, int]]
"""Identity of the data set, and tag."""


def _retain_private_tags(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    paths = paths_in(arguments)
    for path in paths:
        if all(step.creator is None for step in path.tag_steps):
            remedy = "name private elements: (gggg,{CREATOR}ee)"
            raise StatementFailure(f"{path.text} names no private element", remedy)
    kept = _kept(run, paths)
    for level in roots(run.ds):
        _prune(level, kept, run)
    return VOID


def _kept(run: ScriptRun, paths: list[Path]) -> _Kept:
    return {(id(hit.level.ds), hit.tag) for path in paths for hit in run.find(path)}


def _prune(level: Level, kept: _Kept, run: ScriptRun) -> bool:
    """Remove what is not kept from a level and its items; tell whether anything is."""
    any_kept = False
    for tag in level.tags():
        run.tick()
        if (id(level.ds), tag) in kept:
            any_kept = True
        elif not is_creator(tag):
            kept_inside = _prune_items(level, tag, kept, run)
            any_kept |= kept_inside
            if is_private(tag) and not kept_inside:
                del level.ds[tag]
    _remove_idle_creators(level)
    return any_kept


def _prune_items(level: Level, tag: BaseTag, kept: _Kept, run: ScriptRun) -> bool:
    try:
        items = level.below(tag)
    except UnreadableItems:
        if is_private(tag):
            return False
        raise
    # Every item must be pruned, so no short cut at the first one with something kept.
    return True in [_prune(item, kept, run) for item in items]


def _remove_idle_creators(level: Level) -> None:
    """Remove creators that own nothing in their data set any more."""
    tags = level.tags()
    owned = {(tag >> 16, (tag & 0xFFFF) >> 8) for tag in tags}
    for tag in tags:
        if is_creator(tag) and (tag >> 16, tag & 0xFFFF) not in owned:
            del level.ds[tag]


FUNCTIONS: Final = {
    "retainPrivateTags": Function(_retain_private_tags, 0, None, (Argument.PATHS,)),
}
