"""Filters: which rows a line of words asks for."""

import pytest

from tui.widgets.filter import doubts, folded, parse_filter

FIELDS = ("receiver", "caller", "level", "text", "topic")
ROW = folded(
    receiver="XNAT:8104",
    caller="CT Scanner[1]",
    level="ERROR",
    text='cannot "listen": address in use!',
    topic="listen",
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "xnat",
        "XNAT:8104",
        "xnat listen",
        "level:error",
        "LEVEL:err",
        "lev:error",
        "!info",
        "!level:info",
        "level:",
        "!",
        'caller:"ct scanner"',
        '"address in use',
        '!"no such words"',
        "!nofield:8104",
        "8104 !level:warn cannot",
        "scanner[1]",
        "use!",
        "text:listen",
        "te:cannot",
        "level:=error",
        "level:=",
        "!level:=err",
        "!nofield:=x",
    ],
)
def test_wanted(text: str) -> None:
    assert parse_filter(text, FIELDS).matches(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "mr",
        "!xnat",
        "xnat mr",
        "level:warn",
        "!level:error",
        "caller:xnat",
        "t:listen",
        '"ct listen"',
        "nofield:xnat",
        "!!",
        "::",
        "level:=err",
        "!level:=error",
    ],
)
def test_not_wanted(text: str) -> None:
    assert not parse_filter(text, FIELDS).matches(ROW)


def test_a_filter_without_conditions_is_false() -> None:
    assert not parse_filter(" ! level: ", FIELDS)
    assert parse_filter("x", FIELDS)


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("words", ""),
        ("level:warn receiver:none", ""),
        ("lvl:warn", "“lvl:” is no field, those are level:, receiver:"),
        ("XNAT:8104", "“XNAT:” is no field, those are level:, receiver:"),
        ("lev:loud", "level: is one of info, warning, error"),
        ('level:"" level:', ""),
    ],
)
def test_a_line_that_matches_nothing_says_what_may_be_wrong_with_it(text: str, doubt: str) -> None:
    levels = {"level": ("info", "warning", "error")}
    assert doubts(text, ("level", "receiver"), levels) == doubt
