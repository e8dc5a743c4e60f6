"""Pictures of the receiver dialog with TLS, wide and narrow."""

from __future__ import annotations

from typing import Any

from tests.tui.receivers.test_receiver_dialog_pictures import (
    at_both_sizes,
    edit,
    pressing,
    research,
)

FILES = {
    "tls_certificate": "/etc/dicomdock/certificate.pem",
    "tls_key": "/etc/dicomdock/key.pem",
    "tls_ca": "/etc/dicomdock/ca.pem",
}


@at_both_sizes
def test_tls_on(snap_compare: Any, size: tuple[int, int]) -> None:
    """The three files, and whether callers must show a certificate."""
    app = edit(research(tls_enabled=True, **FILES))
    assert snap_compare(app, terminal_size=size, run_before=pressing(focus="tls_client"))


@at_both_sizes
def test_tls_without_its_files(snap_compare: Any, size: tuple[int, int]) -> None:
    """What is missing is said at each field."""
    app = edit(research(tls_enabled=True, tls_key="key.pem"))
    assert snap_compare(app, terminal_size=size, run_before=pressing("ctrl+s", focus="tls_key"))
