"""Certificates for tests: an authority of their own, and what it has issued, as files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trustme

from tests.caller import SERVER_NAME

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
OVER = datetime(2002, 1, 1, tzinfo=UTC)


class Authority:
    """One certificate authority and the folder that its certificates are written to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._ca = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, name: str, *, file: str = "", **validity: Any) -> tuple[Path, Path]:
        """Write a certificate and its key; return both files."""
        issued = self._ca.issue_cert(name, **validity)
        stem = file or name
        certificate, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        certificate.unlink(missing_ok=True)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def settings(self, file: str = "server", **validity: Any) -> dict[str, Any]:
        """Return the TLS fields of a receiver, with a certificate issued for it."""
        certificate, key = self.issue(SERVER_NAME, file=file, **validity)
        return {
            "tls_enabled": True,
            "tls_certificate": str(certificate),
            "tls_key": str(key),
            "tls_ca": str(self.ca_file),
        }

    def client(self, name: str = "", **validity: Any) -> ssl.SSLContext:
        """Return what a caller needs that trusts this authority; without a name, no certificate."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if name:
            context.load_cert_chain(*map(str, self.issue(name, **validity)))
        return context
