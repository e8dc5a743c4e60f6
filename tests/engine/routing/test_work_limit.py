"""A limit counts the work of its own thread, and quick rules need none."""

from __future__ import annotations

from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.routing import parse_rule
from engine.routing.rule import MOST_ATTEMPTS, WorkLimit

ID = "(0010,0020):"


def test_what_ends_in_time_is_returned_with_what_is_left() -> None:
    given_seconds: list[float] = []

    def attempt(seconds: float) -> str:
        given_seconds.append(seconds)
        return "found"

    assert WorkLimit(0.5).run(attempt) == "found"
    assert 0.4 < given_seconds[0] <= 0.5


def test_an_attempt_that_others_brought_to_its_timeout_is_made_again_with_more_time() -> None:
    given_seconds: list[float] = []

    def attempt(seconds: float) -> str:
        given_seconds.append(seconds)
        if len(given_seconds) < MOST_ATTEMPTS:
            raise TimeoutError  # without having worked
        return "found"

    assert WorkLimit(0.5).run(attempt) == "found"
    assert [round(seconds) for seconds in given_seconds[1:]] == [1, 2, 4]


def test_attempts_are_limited() -> None:
    attempts: list[float] = []

    def attempt(seconds: float) -> None:
        attempts.append(seconds)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        WorkLimit(0.5).run(attempt)
    assert len(attempts) == MOST_ATTEMPTS


def test_own_work_ends_it_at_once() -> None:
    attempts: list[float] = []

    def attempt(seconds: float) -> None:
        attempts.append(seconds)
        until = thread_time() + 0.02
        while thread_time() < until:
            pass
        raise TimeoutError

    with pytest.raises(TimeoutError):
        WorkLimit(0.01).run(attempt)
    assert len(attempts) == 1


@pytest.mark.parametrize(
    ("rest", "is_fast"),
    [
        ("(.*)", True),
        (r".*site-1[-_ ]?(\w+).*:1", True),
        ("(A|B|C)x(D|E)?", True),
        (r"(\d{4})-(\d{2,4})", True),
        ("(.*) t:.+ r:X", True),
        (r"(.*) t:\s+ r:_", True),
        (r"Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+)", False),
        ("((a|aa)+)", False),
        ("(?:ab?){30}(x)", False),
        ("(?:ab){2,3}(.*)", False),
        (r"(\R*)", False),
        (r"(.*)\1", False),
        ("(?=a)(.*)", False),
        ("(?>a*)(.*)", False),
        ("(.*)(?:a|a)(?:a|a)", True),
        ("(?:a|a)" * 17 + "(!)", True),
        ("(?:a|a)" * 18 + "(!)", False),
        (r"(.*?).*?.*?(?:a|a)(?:a|a)!", False),
        ("(.*).*.*.*x", False),
        ("(.*) t:((a|aa)+)! r:", False),
        ("(.*) t:.*.*.*x r:", False),
    ],
)
def test_only_rules_with_few_ways_through_them_run_without_a_clock(
    rest: str, is_fast: bool
) -> None:
    assert parse_rule(ID + rest).is_fast is is_fast


_ATOMS = st.sampled_from(["a", ".", r"\w", "[ab]", "[^b]", r"\s", "(a)", "(a|b)", "(?:b)"])
_QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "{2}", "{1,9}", "{0,60}"])
_PATTERNS = st.lists(st.tuples(_ATOMS, _QUANTIFIERS).map("".join), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(_PATTERNS.map("".join), st.sampled_from(["a", "ab", "aab", " a"]), st.booleans())
def test_no_value_keeps_a_quick_rule_busy(pattern: str, unit: str, is_replacing: bool) -> None:
    rule = parse_rule(f"{ID}{pattern}!:0" + (f" t:{pattern} r:" if is_replacing else ""))
    value = (unit * 64)[:63] + "?"
    if rule.is_fast:
        assert min(_seconds(rule.apply, value) for _ in range(3)) < 0.01


def _seconds(apply: object, value: str) -> float:
    assert callable(apply)
    began = thread_time()
    apply(value)
    return thread_time() - began
