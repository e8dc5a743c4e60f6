"""Which revocation list tells of a certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from engine.certificates.callers import NotAccepted
from engine.certificates.revocation import _read, read_lists
from engine.errors import InvalidReceiver
from tests.certificates import party, revocations

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
