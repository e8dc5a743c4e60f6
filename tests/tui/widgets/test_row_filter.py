"""Filters: which rows a line of words asks for."""

import pytest

from tui.widgets.filter import completed, doubts, folded, parse_filter

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


VALUES = {
    "receiver": ("xnat:8104", "xnat:8105"),
    "caller": ("ct_1", "ct scanner", "\x1b[2jct", 'ct"x'),
    "level": ("info", "warning", "error"),
}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("rec", "receiver:"),
        ("level:er", "level:error"),
        ("lev:er", "lev:error"),
        ("level:", "level:info"),
        ("XNAT !level:W", "XNAT !level:Warning"),
        ("receiver:XN", "receiver:XNat:8104"),
        ("level:=inf", "level:=info"),
        ('caller:"ct s', 'caller:"ct scanner"'),
        ("receiver:xnat:8105", ""),
        ("r", ""),
        ("", ""),
        ("level:er ", ""),
        ('caller:"ct scanner"', ""),
        ("nofield:ct", ""),
        ("level:x", ""),
    ],
)
def test_a_line_is_completed_by_names_of_fields_and_by_values_that_are_seen(
    text: str, line: str
) -> None:
    assert completed(text, FIELDS, lambda field: VALUES.get(field, ())) == line


def test_a_value_that_can_not_be_typed_completes_nothing() -> None:
    shown = ("\x1b[2jct", 'ct"x', "ct scanner", "ct" * 30)
    assert completed("caller:c", FIELDS, lambda _: shown) == ""
    assert completed("caller:", FIELDS, lambda _: shown) == ""


def test_the_last_of_several_values_is_completed_where_a_field_takes_several() -> None:
    values = VALUES.get
    assert completed("level:info,er", FIELDS, lambda f: values(f, ()), ("level",)) == (
        "level:info,error"
    )
    assert completed("level:info,er", FIELDS, lambda f: values(f, ())) == ""
