"""What is odd about whitelists, and which lines would let a caller in."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model import whitelist as whitelist_module
from engine.model.whitelist import (
    Oddity,
    WhitelistEntry,
    also_admits,
    normalize_address,
    parse_entry,
    proposals,
    review,
)


@pytest.mark.parametrize(
    ("lines", "line", "oddity", "words"),
    [
        (["CT1", "10.1.2.3", "CT1"], 3, Oddity.DUPLICATE, "means the same as line 1"),
        (["10.1.2.3", "", "10.1.2.3/32"], 3, Oddity.DUPLICATE, "means the same as line 1"),
        (["CT1@10.1.2.3", "CT1"], 1, Oddity.SHADOWED, "line 2 lets in all that it does"),
        (["10.0.0.0/8", "CT1@10.1.0.0/16"], 2, Oddity.SHADOWED, "line 1"),
        (["2001:db8::/32", "2001:db8::5"], 2, Oddity.SHADOWED, "line 1"),
        (["0.0.0.0/0"], 1, Oddity.EVERYBODY, "matches every IPv4 address"),
        (["CT1@::/0"], 1, Oddity.EVERYBODY, "matches every IPv6 address"),
        (["1234"], 1, Oddity.DIGITS, "XNAT reads it as an address"),
        (["10.1.2.99/24"], 1, Oddity.HOST_BITS, "means 10.1.2.0/24"),
    ],
)
def test_odd_lines_are_found(lines: list[str], line: int, oddity: Oddity, words: str) -> None:
    (finding,) = review(lines)
    assert (finding.line, finding.oddity) == (line, oddity)
    assert words in finding.message


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["CT1", "MR1"],
        ["CT1@10.1.2.3", "CT1@10.1.2.4", "MR1@10.1.2.3"],
        ["10.0.0.0/8", "2001:db8::/32", "CT1"],
        ["2001:0DB8::0001"],
        ["::ffff:10.1.2.3"],
        ["fe80::1%eth0", "CT1@10.1.0.0/16"],
        ["CT1#san:ct1.example"],
    ],
)
def test_sound_lists_are_left_alone(lines: list[str]) -> None:
    assert review(lines) == ()


def test_lines_that_never_let_anybody_in_are_named_when_uses_are_known() -> None:
    (finding,) = review(["CT1", "MR1"], {"CT1": 12})
    assert (finding.text, finding.oddity) == ("MR1", Oddity.UNUSED)


def test_a_refused_caller_is_offered_lines_from_narrow_to_wide() -> None:
    offered = [entry.text for entry in proposals("OLD_WS", ip_address("10.4.2.77"))]
    assert offered == ["OLD_WS@10.4.2.77", "OLD_WS@10.4.2.0/24", "OLD_WS", "10.4.2.77"]


def test_an_ae_title_that_looks_like_an_address_is_only_offered_with_its_address() -> None:
    offered = [entry.text for entry in proposals("999.1.1.1", ip_address("10.1.1.1"))]
    assert offered == ["999.1.1.1@10.1.1.1", "999.1.1.1@10.1.1.0/24", "10.1.1.1"]


@pytest.mark.parametrize("title", ["10.0.0.0/8", "0.0.0.0/0", "10.1.1.0/24", "10.1.1.1"])
def test_an_ae_title_that_is_a_network_of_the_caller_is_not_offered_as_that_network(
    title: str,
) -> None:
    offered = [entry.text for entry in proposals(title, ip_address("10.1.1.1"))]
    assert offered == [f"{title}@10.1.1.1", f"{title}@10.1.1.0/24", "10.1.1.1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("CT1@10.4.2.77", "nobody else"),
        ("CT1@10.4.2.0/24", "CT1 from all 256 addresses of 10.4.2.0/24"),
        ("CT1", "everybody who calls itself CT1, from anywhere"),
        ("10.4.2.77", "every AE title from 10.4.2.77"),
        ("2001:db8::/64", "every AE title from all 18,446,744,073,709,551,616 addresses"),
    ],
)
def test_a_line_says_whom_else_it_lets_in(line: str, words: str) -> None:
    assert also_admits(parse_entry(line)).startswith(words)


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16),
    st.ip_addresses(),
)
def test_every_offered_line_lets_the_caller_in(calling: str, address: object) -> None:
    caller = ip_address(str(address))
    for entry in proposals(calling.strip(), caller):
        assert entry.admits(calling.strip(), caller)
        assert parse_entry(entry.text) == entry


def test_lines_for_other_zones_are_other_lines() -> None:
    assert review(["CT1@fe80::1%eth0", "CT1@fe80::1%eth1"]) == ()
    (finding,) = review(["CT1@fe80::1%eth0", "CT1@fe80::1"])
    assert (finding.line, finding.oddity) == (1, Oddity.SHADOWED)


def test_a_caller_on_a_link_is_offered_a_line_with_its_zone() -> None:
    lines = proposals("CT1", normalize_address("fe80::1%eth0"))
    assert [line.text for line in lines] == ["CT1@fe80::1%eth0", "CT1@fe80::/64", "CT1",
                                             "fe80::1%eth0"]  # fmt: skip
    assert also_admits(lines[-1]) == "every AE title from fe80::1%eth0"


@pytest.mark.parametrize("lines", [300, 600])
def test_a_review_looks_at_no_pair_of_lines(monkeypatch: pytest.MonkeyPatch, lines: int) -> None:
    looked_up: list[object] = []
    bits = whitelist_module._bits

    def look_up(entry: WhitelistEntry, prefix: int) -> int:
        looked_up.append(entry)
        return bits(entry, prefix)

    monkeypatch.setattr(whitelist_module, "_bits", look_up)
    texts = [f"CT@10.1.{n >> 8}.{n & 255}" for n in range(lines - 2)]
    found = review([*texts, "10.1.1.0/24", "CT@10.1.0.7/32"])
    shadowed = [one.line for one in found if one.oddity is Oddity.SHADOWED]
    assert shadowed == list(range(257, min(513, lines - 1)))
    assert [one.message for one in found if one.line == lines] == ["means the same as line 8"]
    assert len(looked_up) <= 5 * lines
