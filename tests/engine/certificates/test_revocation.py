"""Which revocation list tells of a certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from engine.certificates.callers import NotAccepted, RevocationLists, _read, read_lists
from engine.errors import InvalidReceiver
from engine.model.tls import RevocationList
from tests.certificates import Party, party, revocations

if TYPE_CHECKING:
    from pathlib import Path


def test_a_list_tells_of_the_certificates_of_its_issuer_and_of_no_other_with_its_key(
    tmp_path: Path,
) -> None:
    authority = party("authority", is_authority=True)
    renamed = party("renamed", is_authority=True, key=authority.key)
    file = tmp_path / "crl.pem"
    file.write_bytes(revocations(authority))
    lists, now = read_lists("tls_crl", str(file)), datetime.now(UTC)
    caller = party("ct1", issuer=authority).certificate
    lists.check(caller, authority.certificate, now)
    with pytest.raises(NotAccepted, match="has no revocation list of CN=renamed"):
        lists.check(caller, renamed.certificate, now)


def test_an_issuer_whose_key_can_sign_nothing_has_no_list(tmp_path: Path) -> None:
    authority = party("authority", is_authority=True)
    odd = party("authority", issuer=authority, is_authority=True, key=X25519PrivateKey.generate())
    file = tmp_path / "crl.pem"
    file.write_bytes(revocations(authority))
    lists = read_lists("tls_crl", str(file))
    with pytest.raises(NotAccepted, match="has no revocation list of CN=authority"):
        lists.check(party("ct1", issuer=authority).certificate, odd.certificate, datetime.now(UTC))


def test_a_list_that_never_expires_is_refused() -> None:
    authority = party("authority", is_authority=True).certificate
    endless = SimpleNamespace(issuer=authority.subject, extensions=(), next_update_utc=None)
    with pytest.raises(InvalidReceiver, match="holds a list of CN=authority that never expires"):
        _read("tls_crl", "crl.pem", cast("Any", endless))


CA = party("ca", is_authority=True)
LOST, KEPT = party("lost", issuer=CA).certificate, party("kept", issuer=CA).certificate
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def lists_of(folder: Path, *lists: bytes) -> RevocationLists:
    file = folder / "crl.pem"
    file.write_bytes(b"".join(lists))
    return read_lists("tls_crl", str(file))


def test_a_certificate_on_any_list_of_its_issuer_is_revoked_even_on_an_expired_one(
    tmp_path: Path,
) -> None:
    lost = Party(LOST, None)
    lists = lists_of(
        tmp_path, revocations(CA, begin=BEGIN + WEEK), revocations(CA, lost, begin=BEGIN)
    )
    lists.check(KEPT, CA.certificate, BEGIN + 2 * WEEK - timedelta(seconds=1))
    with pytest.raises(NotAccepted, match=r"^is revoked$"):
        lists.check(LOST, CA.certificate, BEGIN + 2 * WEEK - timedelta(seconds=1))
    with pytest.raises(NotAccepted, match=r"^is revoked$"):
        lists.check(LOST, CA.certificate, BEGIN + 3 * WEEK)


def test_a_list_counts_until_its_next_update_and_the_newest_one_is_named(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, revocations(CA, begin=BEGIN + WEEK), revocations(CA, begin=BEGIN))
    with pytest.raises(NotAccepted, match="list of CN=ca expired at 2026-01-15 00:00 UTC"):
        lists.check(KEPT, CA.certificate, BEGIN + 2 * WEEK)


def test_the_lists_of_a_file_are_described(tmp_path: Path) -> None:
    other, lost = party("other", is_authority=True), Party(LOST, None)
    lists = lists_of(
        tmp_path, revocations(CA, lost, begin=BEGIN), revocations(other, begin=BEGIN + WEEK)
    )
    assert lists.described() == (
        RevocationList("CN=ca", BEGIN, BEGIN + WEEK, 1),
        RevocationList("CN=other", BEGIN + WEEK, BEGIN + 2 * WEEK, 0),
    )


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (b"", "holds no revocation list that can be read"),
        (KEPT.public_bytes(Encoding.PEM), "holds no revocation list that can be read"),
        (revocations(CA) + revocations(CA, extensions=[x509.DeltaCRLIndicator(1)]),
         "holds a partial revocation list of CN=ca"),
    ],
    ids=["nothing", "a certificate", "a partial list"],
)  # fmt: skip
def test_a_file_without_complete_lists_is_refused(tmp_path: Path, spoilt: bytes, said: str) -> None:
    with pytest.raises(InvalidReceiver, match=said):
        lists_of(tmp_path, spoilt)


def test_lists_are_the_same_when_another_process_has_read_their_file(tmp_path: Path) -> None:
    lists = lists_of(tmp_path, revocations(CA, Party(LOST, None)), revocations(CA, begin=BEGIN))
    again = lists_of(tmp_path, lists.to_pem())
    assert again.described() == lists.described()
    assert again.to_pem() == lists.to_pem()
