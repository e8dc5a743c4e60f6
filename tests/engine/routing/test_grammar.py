"""How routing text splits into rules and what is refused, and where (XNAT 6.1-6.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.routing import InvalidRule, parse_rule, parse_rules
from engine.routing.errors import PatternFault
from engine.routing.grammar import MAX_LINE_CHARACTERS, MAX_RULES, split_rule

EXAMPLES = json.loads(Path(__file__).with_name("routing_examples.json").read_text(encoding="utf-8"))
PARSES = [example for example in EXAMPLES if example["kind"] == "parse"]
TAG = "(0008,0060):"


@pytest.mark.parametrize("example", PARSES, ids=lambda e: ascii(e["rule"]))
def test_a_line_splits_as_in_java(example: dict[str, Any]) -> None:
    if not example["ok"]:
        with pytest.raises(PatternFault):
            split_rule(example["rule"])
        return
    parts = split_rule(example["rule"])
    assert parts.tag == int(example["tag"], 16)
    assert (parts.pattern, parts.group) == (example["regex"], example["group"])
    assert (parts.target, parts.replacement) == (example["t"], example["r"])


@pytest.mark.parametrize(
    ("rest", "pattern", "group", "target", "replacement"),
    [
        ("(.*)", "(.*)", 1, None, None),
        ("(.*):1", "(.*)", 1, None, None),
        (".*:0", ".*", 0, None, None),
        ("(.*):1 t:MR r:PET", "(.*)", 1, "MR", "PET"),
        ("(.*) t:MR r:PET", "(.*)", 1, "MR", "PET"),
        ("(.*):1 t: r:", "(.*)", 1, "", ""),
        ("(.*):1 t:a", "(.*):1 t:a", 1, None, None),
        ("(.*):1 r:a", "(.*):1 r:a", 1, None, None),
        ("(.*):1  t:a r:b", "(.*):1 ", 1, "a", "b"),
        ("(.*):1 t:a  r:b", "(.*)", 1, "a ", "b"),
        ("(.*):1 t:a r:b r:c", "(.*)", 1, "a r:b", "c"),
        ("(.*):1 t:a t:b r:c", "(.*)", 1, "a t:b", "c"),
        (r"(\d+):(\d+)", r"(\d+):(\d+)", 1, None, None),
        (r"(\d+):(\d+):2", r"(\d+):(\d+)", 2, None, None),
        ("(.*):-1", "(.*):-1", 1, None, None),
        (" (.*)", " (.*)", 1, None, None),
        ("(.*) t:x r:y:1", "(.*)", 1, "x", "y:1"),
        ("(.*):1 T:a R:b", "(.*):1 T:a R:b", 1, None, None),
        ("(.*):0001", "(.*)", 1, None, None),
    ],
)
def test_a_rule_has_the_parts_of_xnats_table(
    rest: str, pattern: str, group: int, target: str | None, replacement: str | None
) -> None:
    rule = parse_rule(TAG + rest)
    assert (rule.tag, rule.pattern, rule.group) == (0x00080060, pattern, group)
    assert (rule.target, rule.replacement) == (target, replacement)
    assert rule.text == TAG + rest


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("", 1, "expected ("),
        ("# c", 1, "no comments"),
        (" (0008,0060):(.*)", 1, "expected ("),
        ("0008,0060:(.*)", 1, "expected ("),
        ("(0008, 0060):(.*)", 7, "hexadecimal digit"),
        ("(00080060):(.*)", 6, "expected ,"),
        ("(PatientName):(.*)", 2, "hexadecimal digit"),
        ("(0008,0060)", 12, "expected :"),
        ("(0008,0060):", 13, "pattern is missing"),
        ("(0008,0060):a\nb", 14, "one line"),
        (f"{TAG}.*", 13, "no group"),
        (f"{TAG}1", 13, "no group"),
        (f"{TAG}:1", 13, "no group"),
        (f"{TAG}12:30", 16, "no group 30"),
        (f"{TAG}(.*):3", 18, "no group 3"),
        (f"{TAG}(.*):99999999999", 18, "no group 99999999999"),
        (f"{TAG}(.*)(", 17, "not closed"),
        (f"{TAG}(a t:b r:c)", 13, "not closed"),
        (f"{TAG}(.*):1 t:[ r:x", 22, "not closed"),
        (f"{TAG}(.*):1 t:b r:a$", 27, "group number"),
        (f"{TAG}(.*):1 t:b r:$1", 26, "no group 1"),
        (f"{TAG}(.*):1 t:(b) r:${{x}}", 28, "no group named x"),
        (f"{TAG}(.*):1 t:b r:a\\", 27, "escapes nothing"),
        (f"{TAG}({'a' * 1000})", 1013, "longer than 1000"),
        (f"{TAG}(.*):1 t:b r:{'x' * 1001}", 1026, "longer than 1000"),
        (f"{TAG}(a){'b' * 4000}", MAX_LINE_CHARACTERS + 1, "longer than"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_column(line: str, column: int, reason: str) -> None:
    with pytest.raises(InvalidRule) as caught:
        parse_rule(line)
    assert (caught.value.column, caught.value.line) == (column, None)
    assert reason in caught.value.reason
    assert caught.value.remedy


def test_all_faults_of_one_line_are_told_at_once() -> None:
    with pytest.raises(InvalidRule) as caught:
        parse_rule(f"{TAG}(.*:1 t:[ r:x")
    assert [problem.column for problem in caught.value.problems] == [13, 21]


def test_tags_above_7fff_are_unsigned() -> None:
    assert parse_rule("(f215,1050):(.*)").tag == 0xF2151050


def test_every_line_break_of_java_ends_a_rule_and_blank_lines_are_skipped() -> None:
    breaks = ("\r\n", "\n", "\r", "\x0b", "\f", "\x85", "\u2028", "\u2029", "\n \t \n\n\u3000\n")
    text = "".join(f"{TAG}(a)b{index}{end}" for index, end in enumerate(breaks))
    assert [rule.pattern for rule in parse_rules(text)] == [f"(a)b{i}" for i in range(9)]


@pytest.mark.parametrize("text", ["", " ", "\n", " \r\n\t"])
def test_blank_text_has_no_rules(text: str) -> None:
    assert parse_rules(text) == ()


def test_blanks_around_a_line_are_trimmed_as_java_trims() -> None:
    first, second = parse_rules(f" \t{TAG}(.*):1 \x00\n{TAG}(.*)\u00a0")
    assert (first.pattern, first.text) == ("(.*)", f"{TAG}(.*):1")
    assert second.pattern == "(.*)\u00a0"


def test_an_escaped_blank_before_a_group_number_survives() -> None:
    (rule,) = parse_rules(f"{TAG}(.*)\\ :1 ")
    assert rule.apply("a ") == "a"


def test_an_escaped_blank_at_the_end_is_explained() -> None:
    with pytest.raises(InvalidRule) as caught:
        parse_rules(f"  {TAG}(.*)\\ ")
    assert "blank after this backslash" in caught.value.reason
    assert r"\x20" in caught.value.remedy
    assert caught.value.column == 19


def test_all_problems_of_all_lines_are_told_with_line_and_column() -> None:
    text = f"{TAG}(.*)\n  {TAG}(.*)(\r\n\n# c\n{TAG}.*"
    with pytest.raises(InvalidRule) as caught:
        parse_rules(text, "project_routing")
    problems = caught.value.problems
    assert [(p.line, p.column) for p in problems] == [(2, 19), (4, 1), (5, 13)]
    assert {p.field for p in problems} == {"project_routing"}
    assert "project_routing line 2 column 19" in problems[0].sentence()
    assert isinstance(caught.value, ConfigurationError)


def test_a_text_has_at_most_200_rules() -> None:
    text = f"{TAG}(a)\n" * MAX_RULES
    assert len(parse_rules(text)) == MAX_RULES
    with pytest.raises(InvalidRule, match="more than 200 rules") as caught:
        parse_rules(text + f"{TAG}(a)\n")
    assert caught.value.line == MAX_RULES + 1


def test_rules_are_equal_if_they_say_the_same() -> None:
    assert parse_rule(f"{TAG}(a)") == parse_rule(f"{TAG}(a)")
    assert len({parse_rule(f"{TAG}(a)"), parse_rule(f"{TAG}(a)")}) == 1
    assert "compiled" not in repr(parse_rule(f"{TAG}(a)"))
