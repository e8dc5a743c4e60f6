"""V4: thousands of silent connections to the control port cost little; no sender notices them."""

from __future__ import annotations

import re
import resource
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tests.peers.peer import Peer
from tests.running import EngineProcess, configure, free_port, make_receiver
from tests.serving import send

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTORS = 1024
"""Of the engine: the usual limit of a login."""
LIMITED = ("sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh")
MOST_BYTES_MORE = 10_000_000


@contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    """Let this process have as many open connections as a flood needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open at once here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident_bytes(process: EngineProcess) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def open_descriptors(process: EngineProcess) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half hello"])
def test_a_flood_of_connections_to_the_control_port_is_not_noticed(
    tmp_path: Path, begun: bytes
) -> None:
    certificate, key = Authority(tmp_path / "certificates").issue("localhost")
    port, control = free_port(), free_port()
    data = tmp_path / "data"
    configure(data, make_receiver("XNAT", port))
    tls = ("--control-certificate", str(certificate), "--control-key", str(key))
    engine = EngineProcess(data, "--control-tcp", str(control), *tls, through=LIMITED)
    with ExitStack() as resources:
        resources.callback(engine.kill)
        engine.wait_until_listening(1)
        resources.enter_context(descriptors(5_000))
        echo(port)
        assert send(data / "control.sock", "GET", "/v1/projects")[0] == 200
        before, held = resident_bytes(engine), open_descriptors(engine)
        for number in range(4_000):
            silent = resources.enter_context(socket.create_connection(("127.0.0.1", control), 20))
            if begun:
                silent.send(begun)
            if number % 500 == 0:
                echo(port)
                assert send(data / "control.sock", "GET", "/v1/projects")[0] == 200
        echo(port)
        assert open_descriptors(engine) - held < DESCRIPTORS // 8
        assert resident_bytes(engine) - before < MOST_BYTES_MORE


def echo(port: int) -> None:
    with Peer(port) as peer:
        peer.request("XNAT").expect_accept()
        peer.echo().release()
