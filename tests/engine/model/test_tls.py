"""TLS settings, receivers that share a port, and conditions on certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigurationError, InvalidReceiver, InvalidWhitelistEntry
from engine.model.configuration import parse_configuration
from engine.model.receiver import Receiver, ReceiverRules, parse_receiver
from engine.model.site import SiteSettings
from engine.model.tls import (
    Certificate,
    CertificateCondition,
    ClientCertificates,
    TlsSettings,
    peer_certificate,
)
from engine.model.whitelist import (
    Oddity,
    also_admits,
    match,
    normalize_address,
    parse_entry,
    parse_whitelist,
    review,
)

FILES: dict[str, Any] = {"tls_certificate": "/c.pem", "tls_key": "/k.pem", "tls_ca": "/ca.pem"}
SAFE: dict[str, Any] = {"ae_title": "SAFE", "port": 2762, "tls_enabled": True, **FILES}
SHA = "0123456789abcdef" * 4
CT1 = peer_certificate(SHA, dns=["CT1.Hospital.Example"], addresses=["10.1.2.3", "2001:DB8:0:0::1"])
PEER = normalize_address("10.1.2.3")


def problems_of(raw: dict[str, object], **rules: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidReceiver) as caught:
        parse_receiver(raw, ReceiverRules(**rules))
    return [(problem.field, problem.message) for problem in caught.value.problems]


def saved(raw: dict[str, object], number: int) -> Receiver:
    return parse_receiver({"id": number, **raw}, ReceiverRules())


def test_tls_is_read_written_and_in_force() -> None:
    receiver = parse_receiver(SAFE, ReceiverRules())
    assert receiver.tls == TlsSettings("/c.pem", "/k.pem", "/ca.pem", ClientCertificates.REQUIRED)
    assert parse_receiver(receiver.to_record(), ReceiverRules()) == receiver


def test_tls_that_is_off_is_kept_and_not_checked() -> None:
    receiver = parse_receiver({**SAFE, "tls_enabled": False, "tls_key": "?"}, ReceiverRules())
    assert (receiver.tls, receiver.tls_key) == (None, "?")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tls_certificate": ""}, ("tls_certificate", "is missing; TLS is on")),
        ({"tls_key": " "}, ("tls_key", "is missing; TLS is on")),
        ({"tls_ca": ""}, ("tls_ca", "is missing; client certificates are required")),
        ({"tls_key": "k.pem"}, ("tls_key", "is not a full path")),
        ({"tls_key": "/k\0.pem"}, ("tls_key", "is not a file name")),
        ({"tls_key": "/" + "k" * 1000}, ("tls_key", "is not a file name")),
        ({"tls_key": 3}, ("tls_key", "is not text")),
        ({"tls_client": "maybe"}, ("tls_client", "is not known")),
        ({"tls_client": ["none"]}, ("tls_client", "is not known")),
        ({"tls_enabled": "yes"}, ("tls_enabled", "is not a switch")),
    ],
)
def test_what_can_not_be_is_named(changes: dict[str, object], problem: tuple[str, str]) -> None:
    assert problems_of({**SAFE, **changes}) == [problem]


def test_no_authorities_are_needed_where_no_certificate_is_asked_for() -> None:
    parse_receiver({**SAFE, "tls_client": "none", "tls_ca": ""}, ReceiverRules())


@pytest.mark.parametrize(
    ("other", "how"),
    [
        ({**SAFE, "tls_enabled": False}, "without TLS"),
        ({**SAFE, "tls_client": "none"}, "with other TLS settings"),
        ({**SAFE, "tls_key": "/other.pem"}, "with other TLS settings"),
    ],
)
def test_receivers_on_one_port_have_the_same_tls(other: dict[str, object], how: str) -> None:
    neighbour = saved({**other, "ae_title": "OTHER"}, 2)
    expected = [("tls_enabled", f"OTHER:2762 listens on the same port {how}")]
    assert problems_of(SAFE, others=(neighbour,)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 2763},
        {"enabled": False},
        {"bind_address": "10.0.0.2"},
    ],
)
def test_receivers_that_do_not_share_a_socket_may_differ(changes: dict[str, object]) -> None:
    plain = {"ae_title": "OTHER", "port": 2762, "bind_address": "10.0.0.1", **changes}
    rules = ReceiverRules(others=(saved(plain, 2),))
    assert parse_receiver({**SAFE, "bind_address": "10.0.0.1"}, rules).tls is not None


def test_a_file_edited_by_hand_is_held_to_the_same_rule() -> None:
    plain = {"ae_title": "OTHER", "port": 2762}
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"receivers": {"1": plain, "2": SAFE}})
    assert [p.field for p in caught.value.problems] == ["receivers[SAFE:2762].tls_enabled"]
    parse_configuration({"receivers": {"1": {**plain, "enabled": False}, "2": SAFE}})
    third = {**SAFE, "ae_title": "THIRD", "tls_client": "none"}
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"receivers": {"1": SAFE, "2": {**SAFE, "ae_title": "B"}, "3": third}})
    assert [p.field for p in caught.value.problems] == ["receivers[THIRD:2762].tls_enabled"]


def test_the_sites_address_counts_for_receivers_without_their_own() -> None:
    plain = saved({"ae_title": "OTHER", "port": 2762, "bind_address": "10.0.0.1"}, 2)
    site = SiteSettings(bind_address="10.0.0.1")
    assert problems_of(SAFE, others=(plain,), site=site)[0][0] == "tls_enabled"


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (
            "CT1#san:ct1.hospital.example",
            "CT1 from any address, with a certificate for ct1.hospital.example",
        ),
        (
            f"CT1@10.1.0.0/16#sha256:{SHA}",
            "CT1 from 10.1.0.0–10.1.255.255, with the certificate sha256:01234567…",
        ),
        (f"#sha256:{SHA}", "any AE title from any address, with the certificate sha256:01234567…"),
        ("10.1.2.3#san:10.1.2.3", "any AE title from 10.1.2.3, with a certificate for 10.1.2.3"),
        ("A#B@10.1.2.3#san:X", "A#B from 10.1.2.3, with a certificate for x"),
        ("A@10.1.2.3 # san:x" + "#san:y", None),
        (
            "CT1@::1#san-email:y@z.example",
            "CT1 from ::1, with a certificate for the e-mail address y@z.example",
        ),
        (
            "CT1@::1#san-uri:https://z.example/Y#1",
            "CT1 from ::1, with a certificate for the URI https://z.example/Y#1",
        ),
    ],
)
def test_lines_with_a_condition_have_a_meaning(line: str, meaning: str | None) -> None:
    if meaning is None:
        with pytest.raises(InvalidWhitelistEntry):
            parse_entry(line)
    else:
        assert parse_entry(line).meaning() == meaning


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CT1@10.0.0.1#sha256:0123", "a SHA-256 fingerprint has 64 hexadecimal digits, not 4"),
        (f"CT1@10.0.0.1#sha256:{SHA[:-1]}g", "64 hexadecimal digits"),
        ("CT1@10.0.0.1#san:", "the certificate's name behind san: is empty or has blanks"),
        ("CT1@10.0.0.1#san:a b", "the certificate's name behind san: is empty or has blanks"),
        ("CT1@10.0.0.1#san-uri:", "the certificate's name behind san-uri: is empty or has blanks"),
        ("CT1@10.0.0.1#san:ct\u017f.example", "the certificate's name behind san: is not ASCII"),
        ("CT1@10.0.0.300#san:x", "10.0.0.300 is not an address or network"),
        ("CT1@10.0.0.1#md5:x", "10.0.0.1#md5:x is not an address or network"),
    ],
)
def test_a_bad_condition_is_named(line: str, message: str) -> None:
    with pytest.raises(InvalidWhitelistEntry) as caught:
        parse_entry(line, 3)
    assert message in caught.value.problems[0].message
    assert caught.value.problems[0].line == 3


@pytest.mark.parametrize("line", ["CT1#san:a.b", "#san:a.b", "CT1#sha256:ab", "A#san:b@10.0.0.1"])
def test_a_line_that_had_a_meaning_before_keeps_it(line: str) -> None:
    """AE titles may contain a ``#``, so that short lines were AE titles already."""
    entry = parse_entry(line)
    assert entry.certificate is None
    assert entry.ae_title == line.partition("@")[0]
    assert Oddity.NO_CONDITION in {finding.oddity for finding in review([line])}


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=16))
def test_no_ae_title_can_be_mistaken_for_a_condition(title: str) -> None:
    try:
        entry = parse_entry(title)
    except InvalidWhitelistEntry:
        return
    assert entry.certificate is None or "@" in title


@pytest.mark.parametrize(
    "line",
    [
        "CT1#san:ct1.hospital.example",
        "CT1#san:CT1.HOSPITAL.EXAMPLE.",
        "CT1@10.1.0.0/16#san:2001:db8::1",
        "CT1@10.1.0.0/16#san:10.1.2.3",
        f"CT1#sha256:{SHA}",
        "CT1#sha256:" + ":".join(SHA.upper()[i : i + 2] for i in range(0, 64, 2)),
    ],
)
def test_the_owner_of_the_certificate_is_let_in_and_nobody_else(line: str) -> None:
    entries = parse_whitelist([line])
    assert match(entries, "CT1", PEER, CT1).admitted_by is not None
    assert match(entries, "MR1", PEER, CT1).admitted_by is None
    assert match(entries, "CT1", PEER, peer_certificate("f" * 64, dns=["mr1"])).admitted_by is None
    assert match(entries, "CT1", PEER).admitted_by is None


@pytest.mark.parametrize("name", ["uris", "emails", "addresses"])
def test_a_name_of_another_kind_is_not_the_name_that_is_asked_for(name: str) -> None:
    """A limited authority may be kept to DNS names, and free in what else it writes."""
    entries = parse_whitelist(["CT1#san:ct1.hospital.example"])
    certificate = peer_certificate(SHA, **{name: ["ct1.hospital.example"]})
    assert match(entries, "CT1", PEER, certificate).admitted_by is None


@pytest.mark.parametrize(
    "name",
    [
        "ct1.ho\u017fpital.example",
        " ct1.hospital.example",
        "ct1.hospital.example\n",
        "ct1.hospital.example\0",
        "ct1.hospital.example.",
        "*.hospital.example",
    ],
)
def test_a_dns_name_that_only_resembles_another_one_is_not_it(name: str) -> None:
    entries = parse_whitelist(["CT1#san:ct1.hospital.example"])
    assert match(entries, "CT1", PEER, peer_certificate(SHA, dns=[name])).admitted_by is None


def test_an_address_that_is_written_as_a_dns_name_is_no_address() -> None:
    entries = parse_whitelist(["CT1@10.1.0.0/16#san:10.1.2.3"])
    assert match(entries, "CT1", PEER, peer_certificate(SHA, dns=["10.1.2.3"])).admitted_by is None


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("CT1@10.1.0.0/16#san-uri:urn:dev:Ct1", {"uris": ["urn:dev:Ct1"]}),
        ("CT1@10.1.0.0/16#san-email:ct1@hospital.example", {"emails": ["ct1@hospital.example"]}),
    ],
)
def test_uris_and_e_mail_addresses_are_compared_letter_by_letter(line: str, names: Any) -> None:
    entries = parse_whitelist([line])
    assert match(entries, "CT1", PEER, peer_certificate(SHA, **names)).admitted_by is not None
    upper = {kind: [name.upper() for name in those] for kind, those in names.items()}
    assert match(entries, "CT1", PEER, peer_certificate(SHA, **upper)).admitted_by is None
    (listed,) = names.values()
    assert match(entries, "CT1", PEER, peer_certificate(SHA, dns=listed)).admitted_by is None


def test_the_host_bits_of_a_line_with_a_uri_are_noticed() -> None:
    findings = review(["CT1@10.1.2.3/16#san-uri:https://x.example/#1"])
    assert [finding.oddity for finding in findings] == [Oddity.HOST_BITS]


@pytest.mark.parametrize(
    ("certificate", "shown"),
    [
        (None, "the caller showed none"),
        (peer_certificate("f" * 64, dns=["mr1"]), "the caller showed mr1 (sha256:ffffffff…)"),
        (peer_certificate("f" * 64), "the caller showed (sha256:ffffffff…)"),
    ],
)
def test_a_refusal_says_that_the_certificate_does_not_match(certificate: Any, shown: str) -> None:
    lines = ["CT1#san:ct1.hospital.example", "CT2"]
    verdict = match(parse_whitelist(lines), "CT1", PEER, certificate)
    assert verdict.why == (
        "calling AE title CT1 from 10.1.2.3 is on no whitelist line; nearest: "
        f"CT1#san:ct1.hospital.example, but its certificate does not match: {shown}"
    )


def test_a_review_knows_conditions() -> None:
    bound = "CT1@10.1.0.0/16#san:ct1.hospital.example"
    assert review([bound, f"CT1@10.1.0.0/16#sha256:{SHA}"]) == ()
    (finding,) = review([bound, "CT1@10.1.0.0/16"])
    assert (finding.line, finding.oddity) == (1, Oddity.SHADOWED)
    (finding,) = review([bound, "CT1@10.1.2.0/24#san:CT1.hospital.example"])
    assert (finding.line, finding.oddity) == (2, Oddity.SHADOWED)
    assert [f.oddity for f in review([bound, bound.upper().replace("SAN", "san")])] == [
        Oddity.DUPLICATE
    ]
    assert [f.oddity for f in review(["CT1@10.1.2.3/16#san:x"])] == [Oddity.HOST_BITS]
    assert review(["A@0.0.0.0/0#san:x.example"]) == ()
    assert also_admits(parse_entry(bound)) == "nobody without that certificate"


def test_a_certificate_tells_when_it_expires() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def certificate(days: int) -> Certificate:
        return Certificate("CN=a", "CN=b", now, now + timedelta(days=days), CT1)

    assert [certificate(days).expires_soon(now) for days in (-1, 29, 30)] == [True, True, False]
    assert [certificate(days).is_expired(now) for days in (-1, 0, 1)] == [True, True, False]
    assert certificate(29).to_record(now)["days_left"] == 29


def test_a_condition_is_read_by_its_kind() -> None:
    assert CertificateCondition.parse("san", " A.B. ").value == "a.b"
    with pytest.raises(ValueError, match="64"):
        CertificateCondition.parse("sha256", "")
