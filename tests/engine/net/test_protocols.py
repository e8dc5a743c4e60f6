"""What first bytes look like, said without repeating a single one of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.net.protocols import ae_titles, describe_protocol, is_client_hello, is_plain_dicom
from tests.caller import echo_bytes


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
    assert describe_protocol(first_bytes) == what


@given(st.binary(max_size=80))
def test_whatever_comes_the_words_are_ours(first_bytes: bytes) -> None:
    said = describe_protocol(first_bytes)
    assert said.isascii()
    assert said.isprintable()
    assert 0 < len(said) < 40


@pytest.mark.parametrize(
    ("head", "tls", "dicom"),
    [
        (b"\x16\x03\x01", True, False),
        (b"\x16", True, False),
        (b"\x16\x01", False, False),
        (b"\x01\x00\x00\x00", False, True),
        (b"\x01", False, True),
        (b"", False, False),
    ],
)
def test_tls_and_plain_dicom_are_told_apart_by_their_first_bytes(
    head: bytes, tls: bool, dicom: bool
) -> None:
    assert (is_client_hello(head), is_plain_dicom(head)) == (tls, dicom)


def test_an_association_request_names_both_ae_titles() -> None:
    request, _ = echo_bytes("XNAT")
    assert ae_titles(request) == ("XNAT", "CALLER")
    assert ae_titles(request[:30]) == ("XNAT", "")
    assert ae_titles(request[:10] + b"\x1b[31m".ljust(16) + b"\xff" * 16) == ("", "")
