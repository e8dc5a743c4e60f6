"""New UIDs for old ones (dicomedit 9.3)."""

from __future__ import annotations

import re

import pytest

from engine.anonymize import MemoryUidMaps, ScriptContext, ScriptRuntimeError
from tests.engine.anonymize.objects import apply, find, make_object, result, script, value_at, vr_at

VECTORS = {
    "1.2.3.4.5": "2.25.281097975800109040096884226991818420711",
    "1.2.3.4.5.6": "2.25.262228503153619312954819897114011402300",
    "1.3.46.670589.11.5730.5.20.1.1.3144.2010043013044142001": (
        "2.25.18971457369541893112737536732177973003"
    ),
    "1.3.46.670589.11.5730.5.0.1744.2010043012343685002": (
        "2.25.76380769527968176043226179709817176787"
    ),
}


@pytest.mark.parametrize(("text", "uid"), VECTORS.items())
def test_hashes_are_those_of_xnats_tests_bit_for_bit(text: str, uid: str) -> None:
    assert result(f'hashUID["{text}"]') == uid
    assert result(f'hashUID["{text}", "SHA-1"]') == uid
    assert result("hashUID[(0020,000D)]", {"(0020,000D)": ("UI", text + "\0")}) == uid


def test_the_hash_of_what_is_absent_is_nothing() -> None:
    ds = make_object()
    apply(ds, "(0020,000D) := hashUID[(0020,000D)]")
    assert find(ds, "(0020,000D)") is None


def test_a_list_is_hashed_in_place_each_value_by_itself() -> None:
    first, second = list(VECTORS)[:2]
    ds = make_object(
        {
            "(0002,0003)": ("UI", first),
            "(0008,001A)": ("UI", f"{first}\\{second}\\"),
            "(0008,1140)[0]/(0008,1155)": ("UI", second),
            "(0008,1155)": ("UI", ""),
            "(0010,0020)": ("LO", first),
        }
    )
    apply(ds, "more := {*/(0008,1155)}", 'hashUIDList[(0002,0003), {"(0008,001A)", more}]',
          "hashUIDList[(0020,000D), (0010,0020), (0008,1140)]", "hashUIDList[]")  # fmt: skip
    assert value_at(ds, "(0002,0003)") == VECTORS[first]
    assert value_at(ds, "(0008,001A)") == f"{VECTORS[first]}\\{VECTORS[second]}\\"
    assert value_at(ds, "(0008,1140)[0]/(0008,1155)") == VECTORS[second]
    assert value_at(ds, "(0008,1155)") == ""
    assert (vr_at(ds, "(0010,0020)"), value_at(ds, "(0010,0020)")) == ("LO", VECTORS[first])
    assert find(ds, "(0020,000D)") is None


def test_the_value_of_a_variable_is_no_path() -> None:
    ds = make_object({"(0008,0018)": ("UI", "1.2.3")})
    with pytest.raises(ScriptRuntimeError, match="no tag path") as caught:
        apply(ds, "v := (0008,0018)", "hashUIDList[v]")
    assert "as a list" in caught.value.remedy


def test_new_uids_are_random() -> None:
    uids = {result("newUID[]") for _ in range(20)}
    assert len(uids) == 20
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid) for uid in uids)


def test_mapped_uids_are_the_same_for_the_same_value_as_long_as_the_map_lives() -> None:
    around = ScriptContext(uid_maps=MemoryUidMaps())
    checked = script('(0020,000D) := mapUID[(0020,000D), "1.9"]')
    found = []
    for value in ("1.2.3", "1.2.3", "4.5"):
        ds = make_object({"(0020,000D)": ("UI", value)})
        checked.apply(ds, {}, script_context=around)
        found.append(value_at(ds, "(0020,000D)"))
    assert found[0] == found[1] != found[2]
    assert re.fullmatch(r"1\.9\.\d{1,39}", found[0] or "")


def test_null_is_a_value_like_any_other_for_mapping() -> None:
    around = ScriptContext()
    values = []
    for elements in ({}, {}, {"(0020,000D)": ("UI", "")}):
        ds = make_object(elements)
        script('(0020,000D) := mapUID[(0020,000D), "1.9"]').apply(ds, {}, script_context=around)
        values.append(value_at(ds, "(0020,000D)"))
    assert values[0] == values[1] != values[2]


def test_references_are_mapped_in_place_by_a_map_of_their_own() -> None:
    ds = make_object(
        {
            "(0008,1155)": ("UI", "1.2.3"),
            "(0008,1140)[0]/(0008,1155)": ("UI", "1.2.3\\4.5"),
        }
    )
    around = ScriptContext()
    script(
        'mapReferencedUIDs["1.9", "*/(0008,1155)"]', '(0010,0020) := mapUID["1.2.3", "1.9"]'
    ).apply(ds, {}, script_context=around)
    one = value_at(ds, "(0008,1155)") or ""
    assert one.startswith("1.9.")
    assert (value_at(ds, "(0008,1140)[0]/(0008,1155)") or "").split("\\")[0] == one
    assert value_at(ds, "(0010,0020)") != one


@pytest.mark.parametrize("root", ["", "1.", "a", "1..2", "1" * 25])
def test_the_root_of_referenced_uids_must_be_one_that_leaves_room(root: str) -> None:
    with pytest.raises(ScriptRuntimeError, match="the root of mapReferencedUIDs"):
        apply(make_object(), "mapReferencedUIDs[root, (0008,1155)]", root=root)
