"""Whitelist lines: what may be saved, whom they let in, and that no text breaks either."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidWhitelistEntry
from engine.model.whitelist import match, normalize_address, parse_entry, parse_whitelist

PEER = ip_address("10.1.2.3")


@pytest.mark.parametrize(
    ("line", "ae_title", "network"),
    [
        ("MODALITY1", "MODALITY1", None),
        ("10.1.2.3", None, "10.1.2.3/32"),
        ("10.1.2.3/16", None, "10.1.0.0/16"),
        ("2001:db8::1", None, "2001:db8::1/128"),
        ("2001:db8::/32", None, "2001:db8::/32"),
        ("CT1@10.1.2.3", "CT1", "10.1.2.3/32"),
        ("CT1@10.0.0.0/8", "CT1", "10.0.0.0/8"),
        ("CT1@2001:db8::1", "CT1", "2001:db8::1/128"),
        # Deviations from XNAT: names and digits are AE titles, the last @ separates.
        ("localhost", "localhost", None),
        ("scanner.example", "scanner.example", None),
        ("1234", "1234", None),
        ("10", "10", None),
        ("A@B@10.1.2.3", "A@B", "10.1.2.3/32"),
        ("  CT1  ", "CT1", None),
        ("::ffff:10.1.2.3", None, "10.1.2.3/32"),
        ("::ffff:10.1.0.0/112", None, "10.1.0.0/16"),
        ("fe80::1%eth0", None, "fe80::1/128"),
        ("0.0.0.0/0", None, "0.0.0.0/0"),
        ("::/0", None, "::/0"),
    ],
)
def test_a_line_means(line: str, ae_title: str | None, network: str | None) -> None:
    entry = parse_entry(line)
    assert entry.ae_title == ae_title
    assert entry.network == (ip_network(network) if network else None)
    assert entry.text == line.strip()
    assert entry.meaning()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CT1@nonsense!", "host names are not looked up"),
        ("CT1@scanner.example", "host names are not looked up"),
        ("@10.1.2.3", "the AE title is empty"),
        ("CT1@", "nothing is not an address"),
        ("a@b@c", "c is not an address"),
        ("10.0.0.0/33", "the prefix length must be 0 to 32, not '33'"),
        ("10.0.0.0/abc", "the prefix length must be 0 to 32, not 'abc'"),
        ("2001:db8::/129", "the prefix length must be 0 to 128, not '129'"),
        ("999.1.1.1", "999 is larger than 255"),
        ("10.0.0.256", "256 is larger than 255"),
        ("255.0.0.256", "256 is larger than 255"),
        ("10.1.2", "an IPv4 address has four numbers"),
        ("10.1.2.3.4", "an IPv4 address has four numbers"),
        ("010.1.2.3", "leading zeros are ambiguous"),
        ("10/8", "an IPv4 address has four numbers"),
        ("2001:db8::1::2", "malformed IPv6 address"),
        ("A" * 17, "the AE title is longer than 16 characters (17)"),
        ("A\\B", "the AE title contains a backslash"),
        ("CT\x1b[1", "the AE title contains U+001B"),
    ],
)
def test_a_line_that_means_nothing_is_refused_with_the_reason(line: str, message: str) -> None:
    with pytest.raises(InvalidWhitelistEntry) as caught:
        parse_entry(line, 7)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert (problem.field, problem.value, problem.line) == ("whitelist", line, 7)


def test_blank_lines_and_repetitions_are_dropped_and_the_order_is_kept() -> None:
    entries = parse_whitelist(["B", "", "  ", "A", " B "])
    assert [entry.text for entry in entries] == ["B", "A"]


def test_every_bad_line_is_reported_with_its_number() -> None:
    with pytest.raises(InvalidWhitelistEntry) as caught:
        parse_whitelist(["CT1", "10.0.0.0/33", "", "@10.1.2.3"])
    assert [problem.line for problem in caught.value.problems] == [2, 4]


@pytest.mark.parametrize(
    ("lines", "admitted"),
    [
        ([], False),
        (["CT1"], True),
        (["ct1"], False),
        (["CT1 "], True),
        (["10.1.2.3"], True),
        (["10.1.2.0/24"], True),
        (["10.1.2.99/24"], True),
        (["10.1.3.0/24"], False),
        (["0.0.0.0/0"], True),
        (["::/0"], False),
        (["CT1@10.1.2.3"], True),
        (["CT1@10.0.0.0/8"], True),
        (["CT2@10.1.2.3"], False),
        (["CT1@10.9.9.9"], False),
        (["CT1@10.9.9.9", "10.1.2.3"], True),
        (["::ffff:10.1.2.3"], True),
    ],
)
def test_caller_ct1_at_10_1_2_3(lines: list[str], admitted: bool) -> None:
    verdict = match(parse_whitelist(lines), "CT1", PEER)
    assert (verdict.admitted_by is not None) is admitted
    assert bool(verdict.why) is not admitted


@pytest.mark.parametrize("title", ["localhost", "1234", "scanner.example"])
def test_a_word_that_java_would_resolve_is_an_ae_title_here(title: str) -> None:
    assert match(parse_whitelist([title]), title, PEER).admitted_by is not None


def test_the_first_line_that_admits_is_named() -> None:
    verdict = match(parse_whitelist(["CT2", "10.0.0.0/8", "CT1"]), "CT1", PEER)
    assert verdict.admitted_by is not None
    assert verdict.admitted_by.text == "10.0.0.0/8"


@pytest.mark.parametrize(
    ("lines", "nearest"),
    [
        (["MR", "CT1@10.9.9.9"], "CT1@10.9.9.9"),
        (["MR", "ct1"], "ct1"),
        (["MR", "CT2@10.1.2.0/24"], "CT2@10.1.2.0/24"),
        (["MR", "XYZ#san:mr.example"], "XYZ#san:mr.example"),
    ],
)
def test_a_refusal_names_the_nearest_line(lines: list[str], nearest: str) -> None:
    verdict = match(parse_whitelist(lines), "CT1", PEER)
    assert verdict.nearest is not None
    assert verdict.nearest.text == nearest
    assert nearest in verdict.why
    assert "CT1" in verdict.why
    assert "10.1.2.3" in verdict.why


def test_a_refusal_by_lines_with_nothing_in_common_names_none() -> None:
    verdict = match(parse_whitelist(["XYZ", "192.168.0.0/16"]), "CT1", PEER)
    assert verdict.nearest is None
    assert verdict.why


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.1.2.3", IPv4Address("10.1.2.3")),
        ("::ffff:10.1.2.3", IPv4Address("10.1.2.3")),
        ("fe80::1%eth0", IPv6Address("fe80::1%eth0")),
        ("2001:db8::1%eth0", IPv6Address("2001:db8::1")),
        ("2001:DB8:0::1", IPv6Address("2001:db8::1")),
    ],
)
def test_a_peers_address_is_reduced_to_what_it_means(
    text: str, meant: IPv4Address | IPv6Address
) -> None:
    assert normalize_address(text) == meant


addresses = st.ip_addresses()


@given(st.text(max_size=40))
def test_any_text_is_an_entry_or_refused_with_a_reason(text: str) -> None:
    try:
        entry = parse_entry(text)
    except InvalidWhitelistEntry as error:
        assert all(problem.message and problem.remedy for problem in error.problems)
    else:
        assert entry.ae_title is not None or entry.network is not None
        assert parse_entry(entry.text) == entry


@pytest.mark.parametrize(
    ("line", "address", "admitted"),
    [
        ("CT1@fe80::1%eth0", "fe80::1%eth0", True),
        ("CT1@fe80::1%eth0", "fe80::1%eth1", False),
        ("CT1@fe80::1%eth0", "fe80::1", False),
        ("CT1@fe80::1", "fe80::1%eth1", True),
        ("CT1@fe80::/10", "fe80::1%eth1", True),
        ("fe80::1%br-0.7", "fe80::1%br-0.7", True),
        ("CT1@2001:db8::1", "2001:db8::1%eth1", True),
    ],
)
def test_a_zone_that_is_written_is_compared(line: str, address: str, admitted: bool) -> None:
    verdict = match(parse_whitelist([line]), "CT1", normalize_address(address))
    assert (verdict.admitted_by is not None) is admitted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CT1@fe80::1%", "nothing is not a network interface"),
        ("CT1@fe80::1%eth0/64", "eth0/64 is not a network interface"),
        ("CT1@fe80::1%an interface", "an interface is not a network interface"),
        ("CT1@2001:db8::1%eth0", "2001:db8::1 has a zone, %eth0, and is not a link-local address"),
        ("10.1.2.3%eth0", "10.1.2.3 has a zone, %eth0, and is not a link-local address"),
        ("CT1@169.254.1.1%eth0", "has a zone, %eth0, and is not a link-local address"),
    ],
)
def test_a_zone_that_can_not_be_is_refused(line: str, message: str) -> None:
    with pytest.raises(InvalidWhitelistEntry) as caught:
        parse_whitelist([line])
    assert message in caught.value.problems[0].message


def test_a_line_with_a_zone_says_so() -> None:
    assert parse_entry("CT1@fe80::1%eth0").meaning() == "CT1 from fe80::1 on eth0"


@given(st.text(alphabet="0123456789abcdefABCDEF.:/@%", max_size=24))
def test_text_that_is_nearly_an_address_never_breaks_the_parser(text: str) -> None:
    try:
        parse_whitelist([text])
    except InvalidWhitelistEntry as error:
        assert error.problems[0].line == 1


@given(addresses, st.integers(min_value=0, max_value=128))
def test_an_address_is_admitted_by_every_network_it_lies_in(
    address: IPv4Address | IPv6Address, prefix: int
) -> None:
    peer = normalize_address(str(address))
    prefix = min(prefix, peer.max_prefixlen)
    entries = parse_whitelist([f"{peer}/{prefix}"])
    assert match(entries, "ANY", peer).admitted_by is not None


@given(addresses, addresses)
def test_a_single_address_admits_itself_only(
    one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address
) -> None:
    verdict = match(parse_whitelist([str(one)]), "ANY", normalize_address(str(other)))
    same = normalize_address(str(one)) == normalize_address(str(other))
    assert (verdict.admitted_by is not None) is same


@given(st.lists(st.sampled_from(["CT1", "MR1", "10.1.2.3", "CT1@10.0.0.0/8"]), max_size=4))
def test_more_lines_never_let_fewer_callers_in(lines: list[str]) -> None:
    fewer = match(parse_whitelist(lines[:-1]), "CT1", PEER).admitted_by
    more = match(parse_whitelist(lines), "CT1", PEER).admitted_by
    assert fewer is None or more == fewer
