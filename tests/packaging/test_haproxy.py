"""The configuration for HAProxy fits the docks; tests.interop.test_several_docks runs it too."""

from __future__ import annotations

import re
from pathlib import Path

from tests.packaging.test_container import value

PACKAGING = Path(__file__).parents[2] / "packaging"
LINES = [
    line.strip() for line in (PACKAGING / "haproxy/haproxy.cfg").read_text("utf-8").splitlines()
]


def test_each_sender_keeps_its_dock_and_only_ready_docks_get_any() -> None:
    assert {"mode tcp", "balance source", "hash-type consistent", "option redispatch 1"} < {*LINES}
    assert "option httpchk GET /ready" in LINES
    (defaults,) = (line for line in LINES if line.startswith("default-server"))
    port = re.search(r"check port (\d+)", defaults)
    assert port
    assert port[1] in value("EXPOSE").split()
    # Open associations end in good order while a dock gets no new ones.
    assert "shutdown-sessions" not in defaults
    # The docks do not understand it, and would reject every caller.
    assert "send-proxy" not in " ".join(LINES)


def test_three_docks_have_names_and_addresses_of_their_own() -> None:
    docks = [line.split()[1:] for line in LINES if line.startswith("server ")]
    assert [name for name, _ in docks] == ["dock-1", "dock-2", "dock-3"]
    assert len({address for _, address in docks}) == 3
