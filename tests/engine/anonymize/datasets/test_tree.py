"""The levels of an object, and the way through all of them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from engine.anonymize.datasets.decoding import MAX_DEPTH
from engine.anonymize.datasets.tree import Level, root_of, roots, walk
from engine.anonymize.errors import StatementFailure
from tests.engine.anonymize.objects import make_object

OBJECT = {
    "(0002,0016)": ("AE", "META"),
    "(0008,1140)[0]/(0008,1155)": ("UI", "1.1"),
    "(0008,1140)[1]/(0008,1140)[0]/(0008,1155)": ("UI", "1.2"),
    "(0010,0010)": ("PN", "Doe^Jane"),
    "(0010,1002)": ("SQ", 0),
    "(0019,1001)": ("UN", {"hex": "00"}),
}


def nothing() -> None:
    return None


def test_a_level_is_as_deep_as_there_are_levels_above_it_up_to_a_limit() -> None:
    levels = [Level(Dataset())]
    while len(levels) <= MAX_DEPTH:
        levels.append(Level(Dataset(), levels[-1]))
    assert [level.depth for level in levels] == [*range(MAX_DEPTH + 1)]
    with pytest.raises(StatementFailure, match=f"nested more than {MAX_DEPTH} deep"):
        Level(Dataset(), levels[-1])


def test_the_root_of_an_element_is_its_data_set_or_the_file_meta() -> None:
    ds = make_object(OBJECT)
    assert root_of(ds, 0x00100010).ds is ds
    assert root_of(ds, 0x00030010).ds is ds
    assert root_of(ds, 0x00020016).ds is ds.file_meta
    assert [level.ds for level in roots(ds)] == [ds.file_meta, ds]


def test_an_object_without_file_meta_gets_one_with_its_first_element() -> None:
    ds = Dataset()
    assert [level.ds for level in roots(ds)] == [ds]
    level = root_of(ds, 0x00020016)
    assert level.ds is ds.file_meta
    assert root_of(ds, 0x00020016).ds is level.ds


def test_a_walk_comes_to_every_element_and_to_a_sequence_before_what_is_in_it() -> None:
    ticks = []
    hits = list(walk(Level(make_object(OBJECT)), lambda: ticks.append(1)))
    assert [(hit.level.depth, int(hit.tag), hit.item) for hit in hits] == [
        (0, 0x00081140, None),
        (1, 0x00081155, None),
        (1, 0x00081140, None),
        (2, 0x00081155, None),
        (0, 0x00100010, None),
        (0, 0x00101002, None),
        (0, 0x00191001, None),
    ]
    assert len(ticks) == len(hits)


def test_what_is_named_is_found_with_or_without_what_may_have_items() -> None:
    level = Level(make_object(OBJECT))
    named = frozenset({0x00100010, 0x00100020})
    alone = [int(tag) for tag, _ in level.elements(named, with_items=False)]
    assert alone == [0x00100010]
    both = [int(tag) for tag, _ in level.elements(named)]
    assert both == [0x00081140, 0x00100010, 0x00101002, 0x00191001]
    assert [tag for tag, _ in level.elements()] == level.tags()


def test_only_a_sequence_has_items() -> None:
    level = Level(make_object(OBJECT))
    tags = {int(tag): tag for tag in level.tags()}
    assert [len(level.below(tags[tag])) for tag in sorted(tags)] == [2, 0, 0, 0]
    assert level.sequence(tags[0x00191001]) is None
    (first, _) = level.below(tags[0x00081140])
    assert first.parent is level
    del level.ds[0x00081140]
    assert level.below(tags[0x00081140]) == []
