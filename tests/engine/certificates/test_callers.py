"""Which trusted certificates are a device's own, and what is asked about a caller's chain."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509

from engine.certificates.callers import Callers, NotAccepted, is_device, is_doubtful
from tests.certificates import party


def use(*, signs: bool) -> x509.KeyUsage:
    """Return what a key is for: to sign certificates, or anything else."""
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
              "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, **dict.fromkeys(others, False)
    )


ANY_USE, SIGNS = use(signs=False), use(signs=True)


@pytest.mark.parametrize("is_authority", [True, False, None])
@pytest.mark.parametrize("uses", [(), (ANY_USE,), (SIGNS,)], ids=["no use", "any use", "signs"])
@pytest.mark.parametrize("names", [(), (x509.DNSName("ct1.example"),)], ids=["no name", "name"])
def test_an_authority_says_that_it_is_one_may_sign_and_has_no_name_of_a_device(
    is_authority: bool | None, uses: tuple[x509.KeyUsage, ...], names: tuple[x509.DNSName, ...]
) -> None:
    found = party("one", *names, is_authority=is_authority, extensions=uses).certificate
    vouches = is_authority is True and uses != (ANY_USE,) and not names
    assert is_device(found) is not vouches
    assert is_doubtful(found) is (vouches and not uses)


def test_who_has_no_chain_is_not_accepted() -> None:
    with pytest.raises(NotAccepted, match="can't be traced to an authority"):
        Callers([party("ca", is_authority=True).certificate]).check_chain([], datetime.now(UTC))
