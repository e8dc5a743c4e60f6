"""Which trusted certificates are a device's own, and what is asked about a caller's chain."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from engine.certificates.callers import Callers, NotAccepted, is_device, is_doubtful, read_lists
from tests.certificates import Party, party, revocations

if TYPE_CHECKING:
    from pathlib import Path


def use(*, signs: bool) -> x509.KeyUsage:
    """Return what a key is for: to sign certificates, or anything else."""
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
              "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, **dict.fromkeys(others, False)
    )


CA = party("ca", is_authority=True)
SUB = party("sub", issuer=CA, is_authority=True)
NAMED = party("named", x509.DNSName("pki.example"), issuer=CA, is_authority=True)
CT1 = party("ct1", x509.DNSName("ct1.example"), issuer=SUB)
DEVICE = party("device", x509.DNSName("device.example"), is_authority=True)
BELOW = party("below", issuer=DEVICE, is_authority=True)
KEY_USAGE = x509.ObjectIdentifier("2.5.29.15")
ANY_USE, SIGNS = use(signs=False), use(signs=True)


@pytest.mark.parametrize("is_authority", [True, False, None])
@pytest.mark.parametrize("uses", [(), (ANY_USE,), (SIGNS,)], ids=["no use", "any use", "signs"])
@pytest.mark.parametrize("names", [(), (x509.DNSName("ct1.example"),)], ids=["no name", "name"])
def test_an_authority_says_that_it_is_one_may_sign_and_has_no_name_of_a_device(
    is_authority: bool | None, uses: tuple[x509.KeyUsage, ...], names: tuple[x509.DNSName, ...]
) -> None:
    found = party("one", *names, is_authority=is_authority, extensions=uses).certificate
    vouches = is_authority is True and uses != (ANY_USE,) and not names
    assert is_device(found) is (not vouches)
    assert is_doubtful(found) is (vouches and not uses)


def test_who_has_no_chain_is_not_accepted() -> None:
    with pytest.raises(NotAccepted, match="can't be traced to an authority"):
        Callers([party("ca", is_authority=True).certificate]).check_chain([], datetime.now(UTC))


def test_a_trusted_certificate_that_can_not_be_read_is_a_devices_and_doubtful() -> None:
    odd = x509.UnrecognizedExtension(KEY_USAGE, b"no key usage")
    found = party("one", is_authority=True, extensions=[odd]).certificate
    assert is_device(found) is True
    assert is_doubtful(found) is True


@pytest.mark.parametrize(
    ("trusted", "chain", "is_accepted"),
    [
        ([CA], [CT1, SUB, CA], True),
        ([CA], [CT1, NAMED, CA], True),
        ([SUB], [CT1, SUB], True),
        ([CT1], [CT1], True),
        ([DEVICE], [DEVICE], True),
        ([CT1, DEVICE], [CT1, DEVICE], True),
        ([DEVICE], [CT1, DEVICE], False),
        ([DEVICE], [CT1, BELOW, DEVICE], False),
        ([DEVICE, BELOW], [CT1, BELOW, DEVICE], True),
    ],
)
def test_a_device_vouches_for_itself_and_an_authority_for_all_below(
    trusted: list[Party], chain: list[Party], is_accepted: bool
) -> None:
    callers = Callers([one.certificate for one in trusted])
    fails = pytest.raises(NotAccepted, match="is signed by a single device")
    with nullcontext() if is_accepted else fails:
        callers.check_chain([one.certificate for one in chain], datetime.now(UTC))


@pytest.mark.parametrize(
    ("trusted", "lists", "why"),
    [
        ([CA], [(CA,), (SUB,)], ""),
        ([CA], [(CA,), (SUB, CT1)], "is revoked"),
        ([CA], [(CA, SUB), (SUB,)], "is revoked"),
        ([CA], [(SUB,)], "tls_crl has no revocation list of CN=ca"),
        ([CA, SUB], [(SUB,)], ""),
        ([CA, SUB], [(SUB, CT1)], "is revoked"),
        ([CA, CT1], [(SUB, CT1)], ""),
    ],
)
def test_revocation_lists_are_asked_about_all_below_the_first_that_is_trusted(
    tmp_path: Path, trusted: list[Party], lists: list[tuple[Party, ...]], why: str
) -> None:
    file = tmp_path / "crl.pem"
    file.write_bytes(b"".join(revocations(*listed) for listed in lists))
    callers = Callers([one.certificate for one in trusted], read_lists("tls_crl", str(file)))
    with pytest.raises(NotAccepted, match=why) if why else nullcontext():
        callers.check_chain([one.certificate for one in (CT1, SUB, CA)], datetime.now(UTC))
