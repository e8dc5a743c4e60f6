"""Rules that would run for ever end in time, hold up nobody, and are told apart when written."""

from __future__ import annotations

import threading
from time import perf_counter, thread_time

import pytest

from engine.routing import RuleTimeout, parse_rule, slow_risk

ATTACKS = [
    ("(a+)+$", "a" * 63 + "!"),
    ("(a|aa)+$", "a" * 63 + "!"),
    ("(.*)*x", "a" * 62 + "x!"),
    ("(a|a)*b", "a" * 62 + "b!"),
    ("(?:(.*a){12})b", "a" * 62 + "b!"),
    ("(.*) t:(a|aa)+$ r:", "a" * 5000 + "!"),
    ("(.*) t:(.*)*x r:", "a" * 5000 + "!"),
]


@pytest.mark.parametrize(("rest", "value"), ATTACKS)
def test_a_catastrophic_rule_ends_in_time(rest: str, value: str) -> None:
    rule = parse_rule(f"(0010,0020):{rest}")
    started = thread_time()
    try:
        assert rule.apply(value) in {None, value}
    except RuleTimeout as error:
        assert "longer than 10 ms" in error.detail
        assert error.remedy
    assert thread_time() - started < 0.1


def test_a_value_that_takes_too_long_is_a_time_out_not_a_mismatch() -> None:
    with pytest.raises(RuleTimeout):
        parse_rule("(0010,0020):(a|aa)+$").apply("a" * 63 + "!")
    with pytest.raises(RuleTimeout):
        parse_rule("(0010,0020):(a|aa)+$").explain("a" * 63 + "!")


def test_many_replacements_share_one_time_limit() -> None:
    rule = parse_rule(f"(0010,0020):(?s)(.*) t: r:{'x' * 900}")
    started = thread_time()
    with pytest.raises(RuleTimeout):
        rule.apply("a" * 1_000_000)
    assert thread_time() - started < 0.1


def test_another_thread_goes_on_while_a_rule_is_busy() -> None:
    rule = parse_rule("(0010,0020):(a|aa)+$")
    done = threading.Event()
    ticks: list[float] = []

    def tick() -> None:
        while not done.wait(0.005):
            ticks.append(perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    started = perf_counter()
    try:
        with pytest.raises(RuleTimeout):
            rule.apply("a" * 63 + "!", timeout_seconds=0.2)
        ended = perf_counter()
    finally:
        done.set()
        thread.join()
    assert sum(started < tick < ended for tick in ticks) >= 2


@pytest.mark.parametrize(
    "rest",
    ["(a+)+$", "(a|aa)+$", "(.*)*x", "(a|a)*b", r"(\w+\s?)*:1", "(.*) t:(x|xx)+y r:-"],
)
def test_a_rule_that_can_take_very_long_is_pointed_out(rest: str) -> None:
    risk = slow_risk(parse_rule(f"(0010,0020):{rest}"))
    assert risk is not None
    assert "long" in risk


@pytest.mark.parametrize(
    "rest",
    [
        "(.*)",
        "([^_]+)_(.*):2",
        r"((?:\d+\.)*\d+)",
        "(.*) t:.+ r:P",
        r"(?:\w++\s?)*+:0",
        "(.*),(.*)",
    ],
)
def test_ordinary_rules_raise_no_warning(rest: str) -> None:
    assert slow_risk(parse_rule(f"(0010,0020):{rest}")) is None


@pytest.mark.parametrize("pattern", ["(?:a{1000}){1000}", "((a{99}){99}){99}", "a{2147483647}"])
def test_a_pattern_that_would_eat_the_memory_is_refused_at_once(pattern: str) -> None:
    started = thread_time()
    with pytest.raises(Exception, match="repeated too often"):
        parse_rule(f"(0010,0020):{pattern}:0")
    assert thread_time() - started < 0.5
