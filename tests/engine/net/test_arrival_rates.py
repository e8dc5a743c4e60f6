"""How fast an address may ask: buckets of tokens on a clock that stands still."""

from __future__ import annotations

import pytest

from engine.model.limits import Limits
from engine.net import admission as rate
from engine.net.admission import ArrivalRates
from tests.fakes import FixedClock

HERE, THERE = "10.1.2.3", "10.1.2.4"
LIMITS = Limits(associations_per_second_per_address=2, association_burst_per_address=5)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def rates(clock: FixedClock) -> ArrivalRates:
    return ArrivalRates(clock)


def arrivals(rates: ArrivalRates, number: int, address: str = HERE) -> list[bool]:
    return [rates.arrive(address, LIMITS) for _ in range(number)]


def test_a_burst_is_welcome_and_no_more(rates: ArrivalRates) -> None:
    assert arrivals(rates, 7) == [True] * 5 + [False] * 2


def test_as_many_as_the_rate_says_are_welcome_each_second(
    rates: ArrivalRates, clock: FixedClock
) -> None:
    arrivals(rates, 5)
    for _ in range(10):
        clock.advance(1)
        assert arrivals(rates, 2) == [True, True]
    assert arrivals(rates, 1) == [False]


def test_one_address_does_not_count_against_another(rates: ArrivalRates) -> None:
    arrivals(rates, 10)
    assert arrivals(rates, 5, THERE) == [True] * 5


def test_who_goes_on_is_ignored_in_the_end_and_heard_again_after_a_rest(
    rates: ArrivalRates, clock: FixedClock
) -> None:
    arrivals(rates, 9)
    assert not rates.exceeds_rate(HERE, LIMITS)
    arrivals(rates, 1)
    assert rates.exceeds_rate(HERE, LIMITS)
    assert not rates.exceeds_rate(THERE, LIMITS)
    clock.advance(0.5)
    assert not rates.exceeds_rate(HERE, LIMITS)
    clock.advance(4.5)
    assert arrivals(rates, 6) == [True] * 5 + [False]


def test_a_rest_saves_up_no_more_than_a_burst(rates: ArrivalRates, clock: FixedClock) -> None:
    arrivals(rates, 1)
    clock.advance(86_400)
    assert arrivals(rates, 6) == [True] * 5 + [False]


def test_a_new_limit_counts_at_once(rates: ArrivalRates) -> None:
    arrivals(rates, 10)
    assert not rates.exceeds_rate(HERE, Limits())


def test_addresses_at_rest_are_forgotten(
    rates: ArrivalRates, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "_FORGET_FROM", 10)
    rates = ArrivalRates(clock)
    for number in range(100):
        rates.arrive(f"10.1.2.{number}", LIMITS)
        clock.advance(1)
        assert len(rates._buckets) <= 10
