"""What first bytes look like, said without repeating a single one of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dimse.greeting import recognize


@pytest.mark.parametrize(
    ("first_bytes", "what"),
    [
        (b"", "nothing at all"),
        (b"GET / HTTP/1.1\r\n", "an HTTP request"),
        (b"OPTIONS * HTTP/1.1\r\n", "an HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP request"),
        (bytes.fromhex("160301020001"), "a TLS ClientHello"),
        (bytes.fromhex("160303"), "a TLS ClientHello"),
        (bytes.fromhex("160301020002"), "bytes of no known protocol"),
        (bytes.fromhex("802e0103000000"), "an SSL 2.0 ClientHello"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH client"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 104\r\n", "a PROXY protocol header"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "a PROXY protocol header"),
        (b"\0\0\0\x85\xffSMBr\0\0", "an SMB probe"),
        (b"\0\0\0\x85\xfeSMBr\0\0", "an SMB probe"),
        (b"\x03\0\0\x13\x0e\xe0", "a remote desktop client"),
        (b"\x0bMSH|^~\\&|", "an HL7 message"),
        (b"hello?\n", "text"),
        (b"GETTING", "text"),
        (bytes(64), "bytes of no known protocol"),
        (b"\xff" * 64, "bytes of no known protocol"),
        (random.Random(7).randbytes(64), "bytes of no known protocol"),
    ],
)
def test_a_connection_is_recognized_by_its_first_bytes(first_bytes: bytes, what: str) -> None:
    assert recognize(first_bytes) == what


@given(st.binary(max_size=80))
def test_whatever_comes_the_words_are_ours(first_bytes: bytes) -> None:
    said = recognize(first_bytes)
    assert said.isascii()
    assert said.isprintable()
    assert 0 < len(said) < 40
