"""Attacks that send much run where they reach nothing but their own loopback."""

from __future__ import annotations

import errno
import subprocess

from tests.hostile.conftest import PYTHON, SECONDS, has_own_network, in_own_network

REACH = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname(), 5).close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
    print(outside.connect_ex(("192.0.2.1", 9)))
"""


def test_a_command_in_its_own_network_has_the_loopback_and_nothing_else() -> None:
    command = in_own_network((PYTHON, "-c", REACH))
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    if has_own_network():
        assert int(ran.stdout) == errno.ENETUNREACH
    else:
        assert command == (PYTHON, "-c", REACH)
