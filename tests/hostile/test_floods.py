"""Rejections from many addresses are few lines; requests that are half or double reach nobody."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from engine.reception.associations import REJECTIONS_PER_MINUTE
from tests.caller import Caller
from tests.running import LOOPBACK, EngineProcess, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESSES = 300
HALF = 60
UNDO = b"POST /v1/undo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Attacked:
    """An engine with a DICOM port and a control port."""

    def __init__(self, data: Path) -> None:
        self.data, self.port, self.control = data, free_port(), free_port()
        configure(data, make_receiver("XNAT", self.port))
        self.engine = EngineProcess(data, "--control-tcp", str(self.control))

    def lines(self, name: str) -> list[str]:
        """Return the kinds of the events in a log."""
        text = (self.data / "logs" / name).read_text()
        return [json.loads(line)["kind"] for line in text.splitlines()]

    def ask(self, request: bytes, source: str = LOOPBACK) -> bytes:
        """Send bytes to the control port; return all of the answer."""
        address = (LOOPBACK, self.control)
        with socket.create_connection(address, 20, (source, 0)) as connected:
            connected.sendall(request)
            return b"".join(iter(lambda: connected.recv(65_536), b""))

    def signed(self, head: bytes, body: bytes = b"") -> bytes:
        """Return a request with the token, after which the connection ends."""
        token = (self.data / "control.token").read_bytes().strip()
        return head + b"connection: close\r\nauthorization: Bearer " + token + b"\r\n\r\n" + body


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path / "data")
    try:
        attacked.engine.wait_until_listening(1)
        yield attacked
    finally:
        attacked.engine.kill()


def test_rejections_from_many_addresses_push_no_line_out(attacked: Attacked) -> None:
    """V8: each with another AE title; addresses of 127.0.0.0/8 stand for networks of IPv6."""
    audited = attacked.lines("audit.jsonl")
    for number in range(ADDRESSES):
        source = f"127.1.{number // 250}.{number % 250 + 1}"
        with Caller(attacked.port, source=source) as caller:
            assert caller.associate("NOBODY", f"GUESS{number}") is not None
    assert (
        0 < attacked.lines("events.jsonl").count("AssociationRejected") <= 2 * REJECTIONS_PER_MINUTE
    )
    assert attacked.lines("audit.jsonl") == audited


def test_half_requests_of_one_address_keep_nobody_out(attacked: Attacked) -> None:
    get = b"GET /v1/projects HTTP/1.1\r\nhost: localhost\r\n"
    with ExitStack() as resources:
        for _ in range(HALF):
            address = (LOOPBACK, attacked.control)
            half = resources.enter_context(socket.create_connection(address, 20))
            half.sendall(get)
        for source in (LOOPBACK, "127.0.0.2"):
            assert attacked.ask(attacked.signed(get), source).startswith(b"HTTP/1.1 200")


def test_a_request_with_two_lengths_is_refused_and_nothing_behind_it_is_done(
    attacked: Attacked,
) -> None:
    before = (attacked.data / "config.json").read_bytes()
    lengths = UNDO + b"content-length: 5\r\ntransfer-encoding: chunked\r\n"
    hidden = b"0\r\n\r\n" + attacked.signed(UNDO + b"content-length: 2\r\n", b"{}")
    answer = attacked.ask(attacked.signed(lengths, hidden))
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert (attacked.data / "config.json").read_bytes() == before
