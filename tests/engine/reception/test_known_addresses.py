"""Where AE titles call from: what is news, what is not, and how much is remembered."""

from __future__ import annotations

from engine.model.whitelist import normalize_address as at
from engine.reception.callers import MOST_ADDRESSES, MOST_TITLES, KnownAddresses


def test_a_title_at_an_address_of_its_own_is_no_news() -> None:
    known = KnownAddresses()
    assert known.note("CT1", at("10.0.0.1")) == ""
    assert known.note("CT2", at("10.0.0.1")) == ""
    assert known.note("CT1", at("10.0.0.1")) == ""


def test_a_familiar_title_at_a_new_address_is_news_once() -> None:
    known = KnownAddresses([("CT1", "10.0.0.1")])
    assert known.note("CT1", at("10.0.0.9")) == "10.0.0.1"
    assert known.note("CT1", at("10.0.0.9")) == ""
    assert known.note("CT1", at("10.0.0.1")) == ""
    assert known.note("CT1", at("2001:db8::7")) == "10.0.0.9"


def test_a_title_that_many_share_is_no_news_any_more() -> None:
    known = KnownAddresses()
    told = [known.note("STORESCU", at(f"10.0.0.{host}")) for host in range(200)]
    assert sum(map(bool, told)) == MOST_ADDRESSES - 1


def test_who_did_not_call_for_longest_is_forgotten_first() -> None:
    known = KnownAddresses([("OLD", "10.0.0.1"), ("KEPT", "10.0.0.1")])
    for number in range(MOST_TITLES - 1):
        known.note(f"N{number}", at("10.0.0.2"))
    assert known.note("KEPT", at("10.0.0.9")) == "10.0.0.1"
    assert known.note("OLD", at("10.0.0.9")) == ""


def test_another_address_of_an_ipv6_network_is_no_news() -> None:
    known = KnownAddresses([("CT1", "2001:db8::7"), ("CT1", "no address")])
    assert known.note("CT1", at("2001:db8::ffff:1")) == ""
    assert known.note("CT1", at("2001:db8:0:1::1")) == "2001:db8::7"
