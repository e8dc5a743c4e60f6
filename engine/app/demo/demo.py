"""A demonstration: an engine on a throw-away directory that sends itself synthetic studies."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.api import PortState
from engine.app.demo.sender import CT_AE_TITLE, MR_AE_TITLE, MR_SCANNER, PROJECTS
from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.model.receiver import Receiver
from engine.model.site import SessionSettings, SiteSettings
from engine.net.ports import probe
from engine.service.engine import Engine
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 15
"""Short, so that sessions become ready while the user watches."""
FIRST_PORT = 11112
_SENDER_SECONDS = 30


class Demo:
    """A running engine and its senders; use it in a `with` block, which cleans up."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.sent: dict[str, int] = {}
        """Counts of the senders; filled when they have stopped."""
        self.engine: Engine
        self._sender: subprocess.Popen[str]

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            temporary = tempfile.TemporaryDirectory(prefix="dicomdock-demo-")
            directory = Path(resources.enter_context(temporary))
            ports = _free_ports(2)
            _configure(directory / "config.json", *ports)
            self.engine = Engine(EngineSettings(directory))
            self.engine.start()
            resources.callback(self.engine.stop)
            self._sender = _start_sender(*ports)
            resources.callback(self.stop_sending)
            self._open = resources.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop sending, stop the engine and remove the directory."""
        self._open.close()

    def stop_sending(self) -> None:
        """Let the senders finish their objects, and read their counts."""
        if self._sender.returncode is not None:
            return
        try:
            output, _ = self._sender.communicate(timeout=_SENDER_SECONDS)
        except subprocess.TimeoutExpired:
            self._sender.kill()
            output, _ = self._sender.communicate()
        lines = output.strip().splitlines()
        self.sent = json.loads(lines[-1]) if lines else {}


def run_headless(seconds: float) -> dict[str, object]:
    """Run the demonstration without a screen and return its result."""
    started = time.monotonic()
    with Demo() as demo:
        time.sleep(seconds)
        demo.stop_sending()
        snapshot = demo.engine.snapshot()
    totals = snapshot.totals
    return {
        "objects_sent": demo.sent.get("objects_sent", 0),
        "objects_stored": totals.stored,
        "objects_failed": totals.failed + totals.quarantined,
        "associations": demo.sent.get("associations", 0),
        "associations_rejected": demo.sent.get("associations_rejected", 0),
        "sessions": snapshot.sessions_receiving,
        "seconds": round(time.monotonic() - started, 1),
    }


def _configure(config_file: Path, ct_port: int, mr_port: int) -> None:
    store = ConfigurationStore(config_file, clock=SystemClock())
    sessions = SessionSettings(idle_seconds=IDLE_SECONDS)
    store.set_site(SiteSettings(bind_address=LOOPBACK, sessions=sessions), "demo")
    for project in PROJECTS:
        store.save_project(Project(project), "demo")
    store.save_receiver(Receiver(0, AETitle.parse(CT_AE_TITLE), ct_port), "demo")
    whitelist = (MR_SCANNER.ae_title, f"MR_SKYRA@{LOOPBACK}")
    store.save_receiver(
        Receiver(
            0,
            AETitle.parse(MR_AE_TITLE),
            mr_port,
            whitelist_enabled=True,
            whitelist=whitelist,
        ),
        "demo",
    )


def _free_ports(number: int) -> list[int]:
    free = (
        port
        for port in range(FIRST_PORT, FIRST_PORT + 1000)
        if probe(port, LOOPBACK).state is PortState.FREE
    )
    return [port for port, _ in zip(free, range(number), strict=False)]


def _start_sender(ct_port: int, mr_port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # -P: else a folder `engine` in the present directory would be imported.
        [sys.executable, "-P", "-m", "engine.app.demo.sender", str(ct_port), str(mr_port)],
        # Its end tells the sender to stop, also if this process is killed.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # ctrl+c on the console's terminal is the console's to handle
    )
