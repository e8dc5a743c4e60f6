"""Metrics and health over the control socket."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from engine.remote.host import serve
from engine.settings import EngineSettings
from tests.fakes import FakeEngine, config_problem, idle

if TYPE_CHECKING:
    from pathlib import Path


class OverSocket(HTTPConnection):
    """HTTP over a UNIX socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.host)


@pytest.mark.parametrize(("engine", "status"), [(idle(), 200), (config_problem(), 503)])
def test_metrics_and_health_are_where_monitoring_systems_look(
    tmp_path: Path, engine: FakeEngine, status: int
) -> None:
    settings = EngineSettings(tmp_path)
    end = serve(engine, settings)
    try:
        client = OverSocket(str(settings.control_file))
        client.request("GET", "/metrics", headers={"Host": "localhost"})
        answer = client.getresponse()
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"dicomdock_engine_info" in answer.read()
        client.request("GET", "/health", headers={"Host": "localhost"})
        assert client.getresponse().status == status
        client.close()
    finally:
        end()
