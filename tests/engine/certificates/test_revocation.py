"""Which revocation list tells of a certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.certificates.callers import NotAccepted
from engine.certificates.revocation import read_lists
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
