"""Texts that table E.1-1 forgets: which stay after a profile, and which a script leaves."""

from __future__ import annotations

import copy

import pytest

from engine.anonymize import Profile, differences, texts_kept_by
from tests.engine.anonymize.objects import make_object, script

UNKNOWN = "(0018,9FF1)"
TITLE, MEANING = "(0042,0010)", "(0008,0104)"


def kept(*paths: str) -> set[str]:
    """Return what the profile keeps and the comparison names, of an object with such texts."""
    texts = dict.fromkeys(paths, ("LO", "of Doe"))
    before = make_object({"(0008,0060)": ("CS", "CT"), **texts})
    after = copy.deepcopy(before)
    Profile().apply(after)
    rows = differences(before, after, telling=True)
    return {row.path for row in rows if row.telling}


@pytest.mark.parametrize(
    "path",
    [TITLE, "(6000,0022)", "(6012,1500)", "(0040,A160)", UNKNOWN, f"(0008,2218)[0]/{UNKNOWN}",
     f"(0040,A730)[0]/(0040,A043)[0]/{MEANING}"],
)  # fmt: skip
def test_a_kept_text_that_may_tell_a_person_is_named(path: str) -> None:
    assert kept(path) == {path}


@pytest.mark.parametrize("path", [f"(0008,2218)[0]/{MEANING}", "(0008,0070)"])
def test_a_kept_text_that_tells_nobody_is_not(path: str) -> None:
    assert kept(path) == set()


def test_a_text_behind_a_nul_is_named() -> None:
    before = make_object({"(0008,0060)": ("CS", "CT\0DOE"), "(0018,0015)": ("CS", "HEAD\0\0")})
    rows = differences(before, copy.deepcopy(before), telling=True)
    assert [row.path for row in rows] == ["(0008,0060)"]


def test_without_asking_nothing_kept_is_listed() -> None:
    before = make_object({TITLE: ("LO", "of Doe")})
    assert differences(before, copy.deepcopy(before)) == ()


@pytest.mark.parametrize(
    ("statement", "gone"),
    [
        ("-(0042,0010)", TITLE),
        ('(0042,0010) := "none"', TITLE),
        ("-(60X@,1500)", "(60X@,1500)"),
        ('*/(0040,A160) ?= "x"', "*/(0040,A160)"),
        ("hashUIDList[{*/(0008,0104)}]", f"*/{MEANING}"),
    ],
)
def test_a_script_leaves_what_it_does_not_name(statement: str, gone: str) -> None:
    whole = {text.path for text in texts_kept_by(script())}
    assert len(whole) == 5
    assert whole - {text.path for text in texts_kept_by(script(statement))} == {gone}


def test_a_script_that_names_everything_leaves_nothing() -> None:
    assert texts_kept_by(script("-*")) == ()
