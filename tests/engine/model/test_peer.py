"""Peers as people write them."""

from __future__ import annotations

import pytest

from engine.errors import InvalidPeer
from engine.model.peer import Peer, parse_peer


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("PACS@10.1.2.3:104", Peer("10.1.2.3", 104, "PACS")),
        ("MY PACS@pacs.hospital.example:11112", Peer("pacs.hospital.example", 11112, "MY PACS")),
        ("A@B@host:1", Peer("host", 1, "A@B")),
        ("PACS@[2001:db8::1]:104", Peer("2001:db8::1", 104, "PACS")),
    ],
)
def test_a_peer_is_read_and_written_alike(text: str, peer: Peer) -> None:
    assert parse_peer(text) == peer
    assert str(peer) == text


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("PACS", "peer"),
        ("PACS@host", "peer"),
        ("host:104", "peer"),
        ("@host:104", "called_ae_title"),
        ("PACS@:104", "host"),
        ("PACS@ho st:104", "host"),
        ("PACS@host\n:104", "host"),
        ("PACS@host:0", "port"),
        ("PACS@host:65536", "port"),
        ("PACS@host:1e3", "port"),
        ("PACS@host:١", "port"),
        ("A" * 17 + "@host:104", "called_ae_title"),
        ("A\\B@host:104", "called_ae_title"),
    ],
)
def test_what_is_no_peer_is_said_by_field(text: str, field: str) -> None:
    with pytest.raises(InvalidPeer) as found:
        parse_peer(text)
    assert [problem.field for problem in found.value.problems] == [field]
