"""What a rule makes of a value, and what the dry run says about it (XNAT 6.4, 6.5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.routing import Application, InvalidRule, parse_rule, parse_rules

EXAMPLES = json.loads(Path(__file__).with_name("routing_examples.json").read_text(encoding="utf-8"))
EVALUATIONS = [example for example in EXAMPLES if example["kind"] == "eval"]
LONG = "x" * 60 + "ABCDEFGHIJ"
NO_SUCH_GROUP = {f"(0010,0020):{rest}" for rest in ("P1", "AA:11", "(AA):11")}
"""Java answers "no match" before it notices that the group does not exist."""
ID = "(0010,0020):"


@pytest.mark.parametrize("example", EVALUATIONS, ids=lambda e: ascii(e["rule"]))
def test_a_conformance_example_comes_out_as_in_java(example: dict[str, Any]) -> None:
    """Where XNAT's rule fails on an object that matches, it is refused when it is written."""
    if example["result"] == "exception" or example["rule"] in NO_SUCH_GROUP:
        with pytest.raises(InvalidRule):
            parse_rule(example["rule"])
    else:
        assert parse_rule(example["rule"]).apply(example["value"]) == example["out"]


@pytest.mark.parametrize(
    ("rest", "value", "result"),
    [
        ("(.*)", "SUBJ01", "SUBJ01"),
        (".*:0", "SUBJ01", "SUBJ01"),
        ("([^_]+)_(.*)", "P1_S1", "P1"),
        ("([^_]+)_(.*):2", "P1_S1", "S1"),
        ("([^_]+)_(.*):0", "P1_S1", "P1_S1"),
        ("(P1)", "P1_S1", None),
        ("(P1).*", "P1_S1", "P1"),
        (r".*(S\d)", "P1_S1", "S1"),
        ("(p1).*", "P1_S1", None),
        ("(?i)(p1).*", "P1_S1", "P1"),
        ("(A)?.*", "P1_S1", None),
        ("(x)|(y)", "y", None),
        (r"(?<pid>\w+)-.*", "AB-9", "AB"),
        (r"([^^]*)\^(.*):2", "Doe^Jane", "Jane"),
        (r"Sample.*?([\w]+)", "Sample Patient", "Patient"),
        ("([^:]*):([^:]*):2", "AA:BB", "BB"),
        ("(AA:11):1", "AA:11", "AA:11"),
        ("(.*):1 t:SIEMENS r:SIE", "SIEMENS", "SIE"),
        ("(SIE)MENS:1 t:$ r:42", "SIEMENS", "SIE42"),
        ("([^M]+).* t:$ r:42", "SIEMENS", "SIE42"),
        ("(.*):1 t:.+ r:PROJ", "1.2.3", "PROJ"),
        ("(.*):1 t:.* r:PROJ", "1.2.3", "PROJPROJ"),
        ("(.*):1 t:^.*$ r:PROJ", "1.2.3", "PROJ"),
        (r"(.*):1 t:(\w)(\w) r:$2$1", "abcde", "badce"),
        (r"(.*):1 t:b r:\$", "abc", "a$c"),
        ("(.*):1 t:(b) r:$11", "abc", "ab1c"),
        ("(.*):1 t:(b) r:$0$0", "abc", "abbc"),
        ("(.*):1 t:" + "(.)" * 12 + " r:$12$11", "abcdefghijkl", "lk"),
        ("(.*):1 t:(?<x>b) r:<${x}>", "abc", "a<b>c"),
        (r"(.*):1 t:b r:\n", "abc", "anc"),
        ("(.*):1 t: r:-", "abc", "-a-b-c-"),
        ("(.*):1 t:b r:", "abc", "ac"),
        ("(.*):1 t: r:", "abc", "abc"),
        ("(.*):1 t:B r:x", "abc", "abc"),
        ("(.*)", "x" * 70, "x" * 64),
        (".{60}(.*)", LONG, "ABCD"),
        (".{60}(.*):1 t:^ r:", LONG, "ABCDEFGHIJ"),
        (".*(END)", "x" * 62 + "END", None),
        (".*(END):1 t:^ r:", "x" * 62 + "END", "END"),
        ("(.*)", "line1\nline2", None),
        ("(?s)(.*)", "line1\nline2", "line1\nline2"),
        (r"(.*)[\s\S]*", "line1\r\nline2", "line1"),
        (r"(\w+)", "Müller", None),
        (r"([\p{L}]+)", "Müller", "Müller"),
        (r"(\d+)", "\u0661\u0662", None),
        ("([a-z&&[^aeiou]]+)", "xyz", "xyz"),
        (r"\Qa.b\E(.*)", "a.bc", "c"),
        ("(a*+)a", "aaa", None),
        (r"(\h*)x", "  x", "  "),
        (r"Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+):1", "Project:P Subject:s Session:e", "P"),
        (r"Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+):3", "Project:P Subject:s Session:e", "e"),
        ("^[0-9]{4}(.*):1 t:6 r:X", "2026A6B66", "AXBXX"),
        ("(.*)", "", None),
        ("(.*)", None, None),
        ("(.*):1 t:.+ r:", "abc", ""),
    ],
)
def test_a_worked_example_of_xnat_has_its_result(
    rest: str, value: str | None, result: str | None
) -> None:
    assert parse_rule(ID + rest).apply(value) == result


@pytest.mark.parametrize(
    "rest",
    [".*", "(.*):3", "(.*)(", "(AA):11", *(f"(.*):1 t:{x}" for x in ("b r:$", "b r:$1", "[ r:x"))],
)
def test_a_rule_that_would_fail_later_in_xnat_is_refused_when_written(rest: str) -> None:
    with pytest.raises(InvalidRule):
        parse_rule(ID + rest)


def test_the_first_usable_value_is_the_callers_choice_of_lines() -> None:
    first, second = parse_rules("(0010,4001):(.*):1 t:.+ r:A\n(0020,000E):(.*):1 t:.+ r:B")
    assert (first.apply(None), second.apply("1.2.3")) == (None, "B")


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("é" * 70, "é" * 64),
        ("😀" * 40, "😀" * 32),
        ("😀" * 32, "😀" * 32),
        ("a" + "😀" * 40, "a" + "😀" * 31 + "\ufffd"),
        ("a" * 63 + "é", "a" * 63 + "é"),
        ("a" * 63 + "😀b", "a" * 63 + "\ufffd"),
    ],
)
def test_the_cut_counts_utf_16_units_and_leaves_text_that_can_be_stored(
    value: str, seen: str
) -> None:
    assert parse_rule(f"{ID}(.*)").apply(value) == seen
    seen.encode("utf-8")


def test_matching_starts_one_character_later_after_replacing_nothing() -> None:
    """Java's find; Python's sub would try the same place again."""
    assert parse_rule(f"{ID}(.*) t:|a r:X").apply("a") == "XaX"


@pytest.mark.parametrize(
    ("rest", "value", "application"),
    [
        ("(P1).*", "P1_S1", Application("P1_S1", False, True, "P1", "P1")),
        ("(.*) t:b r:x", "abc", Application("abc", False, True, "abc", "axc")),
        ("(.*)", "x" * 65, Application("x" * 64, True, True, "x" * 64, "x" * 64)),
        (
            "(A)?.*",
            "b",
            Application("b", False, True, None, None, "group 1 took no part in the match"),
        ),
        ("(.*)", None, Application("", False, False, None, None, "no value")),
    ],
)
def test_the_dry_run_tells_each_step(
    rest: str, value: str | None, application: Application
) -> None:
    assert parse_rule(ID + rest).explain(value) == application


@pytest.mark.parametrize(
    ("rest", "value", "why_not"),
    [
        ("(P1)", "P1_S1", "stopped at character 3"),
        (r"(\d{8})", "2006121", "the value ends too early"),
        (r"(\d+)", "X1", "stopped at character 1"),
        (".*(END)", "x" * 62 + "END", "the value ends too early; value cut to 64 characters"),
    ],
)
def test_the_dry_run_says_where_the_match_stopped(rest: str, value: str, why_not: str) -> None:
    explained = parse_rule(ID + rest).explain(value)
    assert explained.why_not == f"pattern must match the whole value: {why_not}"
    assert not explained.matched
