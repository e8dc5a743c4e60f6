"""Who may come in: tokens as bearers show them, and as scripts for XNAT send passwords."""

from __future__ import annotations

from base64 import b64encode

import pytest

from engine.control.peers import Peer, authorized

TOKEN = "correct-horse-battery"


def basic(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


@pytest.mark.parametrize(
    ("header", "enters"),
    [
        (f"Bearer {TOKEN}".encode(), True),
        (f"bearer {TOKEN}".encode(), True),
        (basic(f"admin:{TOKEN}"), True),
        (basic(f":{TOKEN}"), True),
        (basic(TOKEN), False),
        (basic(f"admin:{TOKEN}x"), False),
        (b"Basic !!!", False),
        (b"Basic", False),
        (TOKEN.encode(), False),
        (b"Bearer ", False),
        (b"", False),
    ],
)
def test_a_client_from_elsewhere_shows_the_token(header: bytes, enters: bool) -> None:
    headers = [(b"authorization", header)] if header else []
    peer = Peer("token from 192.0.2.7", token=TOKEN)
    assert authorized({"headers": headers, "state": {"peer": peer}}) is enters


def test_on_the_socket_its_permissions_are_enough() -> None:
    assert authorized({"headers": [], "state": {"peer": Peer("anna", 7)}})


def test_nobody_else_enters() -> None:
    assert not authorized({"headers": [(b"authorization", f"Bearer {TOKEN}".encode())]})
