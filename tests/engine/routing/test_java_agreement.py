"""Cases computed by java.util.regex of Java 17; each must come out the same here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.routing import InvalidRule, parse_rule
from engine.routing.errors import PatternFault
from engine.routing.java.regex import compile_java

CASES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("java_cases.json").read_text(encoding="utf-8")
)
MATCHES = [case for case in CASES if "groups" in case]
REPLACEMENTS = [case for case in CASES if "result" in case and case["value"]]
REFUSED_PATTERNS = [case for case in CASES if "refused" in case and "pattern" in case]
REFUSED_REPLACEMENTS = [case for case in CASES if "refused" in case and "target" in case]


def replaced(target: str, replacement: str, value: str) -> str | None:
    rule = parse_rule(f"(0010,0020):(?s).*:0 t:{target} r:{replacement}")
    return rule.apply(value)


def test_enough_cases_of_every_kind_are_there() -> None:
    assert len(MATCHES) > 500
    assert len(REPLACEMENTS) > 200
    assert len(REFUSED_PATTERNS) > 50
    assert len(REFUSED_REPLACEMENTS) > 20


@pytest.mark.parametrize("case", MATCHES, ids=lambda c: f"{c['pattern']!a} {c['value']!a}")
def test_a_pattern_matches_and_captures_as_java_does(case: dict[str, Any]) -> None:
    pattern = compile_java(case["pattern"])
    match = pattern.compiled.fullmatch(case["value"], timeout=1)
    groups = None if match is None else [match[i] for i in range(pattern.groups + 1)]
    assert groups == case["groups"]


@pytest.mark.parametrize("case", REPLACEMENTS, ids=lambda c: f"{c['target']!a} {c['value']!a}")
def test_a_replacement_comes_out_as_java_makes_it(case: dict[str, Any]) -> None:
    result = replaced(case["target"], case["replacement"], case["value"])
    assert result == case["result"]


@pytest.mark.parametrize("case", REFUSED_PATTERNS, ids=lambda c: ascii(c["pattern"]))
def test_a_pattern_that_java_refuses_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(PatternFault) as caught:
        compile_java(case["pattern"])
    assert 0 <= caught.value.offset <= len(case["pattern"])
    assert caught.value.remedy


@pytest.mark.parametrize("case", REFUSED_REPLACEMENTS, ids=lambda c: ascii(c["target"]))
def test_a_replacement_that_fails_in_java_is_refused_at_save(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidRule):
        replaced(case["target"], case["replacement"], case["value"])


def test_replacing_nothing_between_characters_keeps_surrogate_pairs_whole() -> None:
    """Java would put the dash inside the pair as well."""
    assert replaced("", "-", "😀") == "-😀-"
