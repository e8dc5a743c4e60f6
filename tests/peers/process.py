"""The same engine in a process of its own, whose memory and descriptors can be measured."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.model.limits import Limits
from engine.model.site import SiteSettings
from engine.service.engine import Engine
from tests.peers.dock import (
    DEFAULTS,
    Dock,
    Resources,
    engine_settings,
    entries,
    require_files_of_rows,
    start_pool,
)
from tests.peers.peer import WITHIN_SECONDS
from tests.running import LOOPBACK, UNHURRIED, leftovers

if TYPE_CHECKING:
    from collections.abc import Mapping


class DockProcess(Dock):
    """The same engine in a process of its own, whose memory and descriptors can be measured."""

    def __init__(
        self,
        data_dir: Path,
        own: Mapping[str, float] = DEFAULTS,
        *,
        limits: Limits = UNHURRIED,
        occupied: int = 0,
    ) -> None:
        self._configure(data_dir)
        self._errors = (data_dir.parent / "errors").open("w+")
        what = json.dumps([str(data_dir), limits.to_record(), occupied, dict(own)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from tests.peers.process import host; host()", what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            self.__exit__(True)
            raise AssertionError(f"no engine: see {self._errors.name}")
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self.hang_up()
        try:
            self.process.communicate(timeout=WITHIN_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self._errors.close()
        if failed is None:
            require_files_of_rows(self.data_dir)

    def resources(self) -> Resources:
        """Return what the engine's process holds now."""
        own = f"/proc/{self.process.pid}"
        parts = len(leftovers(self.data_dir))
        return Resources(entries(f"{own}/fd"), entries(f"{own}/task"), parts)

    def peak_bytes(self) -> int:
        """Return the most memory that the engine's process has held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def told(self) -> int:
        """Return a place in the journal's file: what is told from now on comes behind it."""
        return len(self._lines())

    def sentences(self, told: int = 0) -> list[str]:
        """Return what the journal's file has said since a place in it."""
        return [json.loads(line)["message"] for line in self._lines()[told:]]

    def _lines(self) -> list[str]:
        return (self.data_dir / "logs" / "events.jsonl").read_text().splitlines()

    def logged(self) -> str:
        """Return everything that was logged anywhere."""
        self._errors.seek(0)
        log = "".join(p.read_text() for p in (self.data_dir / "logs").iterdir())
        return log + self._errors.read()


def host() -> None:
    """Run an engine in this process until its standard input ends; for `DockProcess`."""
    data_dir, limits, occupied, own = json.loads(sys.argv[1])
    if occupied:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, occupied + 1_000), hard))
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(occupied)]
    engine = Engine(engine_settings(Path(data_dir), own))
    engine.start()
    engine.set_site(SiteSettings(bind_address=LOOPBACK, limits=Limits(**limits)), "test")
    start_pool(engine)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    engine.stop(0)
    for fd in kept:
        os.close(fd)
