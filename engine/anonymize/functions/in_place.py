"""Changing the values of all elements that some paths mean, each value by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.anonymize.datasets.reading import WHOLE_TEXTS, text_of, vr_of
from engine.anonymize.datasets.writing import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.anonymize.datasets.tree import Hit
    from engine.anonymize.language.paths import Path
    from engine.anonymize.run import ScriptRun


def hits_of(run: ScriptRun, paths: Iterable[Path]) -> list[Hit]:
    """Return the elements, no items and no sequences, that any of the paths means, each once."""
    found = {
        (id(hit.level.ds), hit.tag): hit
        for path in paths
        for hit in run.find(path)
        if hit.item is None and vr_of(hit.level.ds, hit.tag) != "SQ"
    }
    return list(found.values())


def change_each(run: ScriptRun, paths: Iterable[Path], change: Callable[[str], str]) -> None:
    """Replace every value that is not empty; VRs are kept."""
    for hit in hits_of(run, paths):
        run.tick()
        text = text_of(hit.level.ds, hit.tag)
        if not text:
            continue
        whole = vr_of(hit.level.ds, hit.tag) in WHOLE_TEXTS
        values = [text] if whole else text.split("\\")
        changed = "\\".join(change(value) if value else value for value in values)
        if changed != text:
            store(hit, changed)
