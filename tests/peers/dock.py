"""An engine that must survive its peers, and how that is checked (reliability-security 13)."""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from engine.model.site import SiteSettings
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.dicom import image
from tests.peers.peer import Peer
from tests.running import (
    LOOPBACK,
    UNHURRIED,
    configure,
    descriptors,
    free_port,
    leftovers,
    make_receiver,
    object_rows,
    sessions,
    sockets_at,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.host.clock import Clock
    from engine.model.limits import Limits

SETTLE_SECONDS = 6.0
"""How long the engine may take to be as it was before a fault."""
_WATCH_STEP_MS = 5
"""How often the watcher of the configuration looks up; it holds up every stop of an engine."""
LOOK_SECONDS = 0.02
"""Between two looks at an engine that settles; without a pause they took a whole processor."""
SLACK_SECONDS = 2.0
"""How long after its deadline the engine may act on it."""


def limited(**own: int) -> Limits:
    """Return limits of which some differ from the site's own."""
    return replace(UNHURRIED, **own)


DEFAULTS: Mapping[str, float] = MappingProxyType({})
"""No deadline or cap that differs from the engine's own."""


def engine_settings(data_dir: Path, wanted: Mapping[str, float]) -> EngineSettings:
    """Return settings with the wanted deadlines and caps, as far as the engine has them."""
    known = {f.name for f in fields(EngineSettings)}
    given: dict[str, Any] = {name: value for name, value in wanted.items() if name in known}
    return EngineSettings(data_dir, durability=Durability.NONE, **given)


@dataclass(frozen=True)
class Resources:
    """What an engine holds; each number must come back to what it was."""

    descriptors: int
    threads: int
    parts: int

    def beyond(self, before: Resources) -> str:
        """Say what there is more of than before; nothing if all is as it was."""
        more = (
            f"{getattr(self, f.name)} {f.name} instead of {getattr(before, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) > getattr(before, f.name)
        )
        return ", ".join(more)


PATIENT = re.compile("Doe|Jane|P-0001")
"""What must never be in a log: the patient of `tests.dicom.image`."""


class LaterClock:
    """A clock that can be put forward, so that nothing counts as a repetition of what was."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic() + self._offset.total_seconds()

    def put_forward(self, by: timedelta) -> None:
        """Let it be later."""
        self._offset += by


class Dock:
    """An engine in this process with the receivers XNAT and OTHER, each on a port of its own."""

    def __init__(
        self,
        data_dir: Path,
        own: Mapping[str, float] = DEFAULTS,
        *,
        limits: Limits = UNHURRIED,
        clock: Clock | None = None,
    ) -> None:
        self.clock = LaterClock()
        self._others = frozenset(threading.enumerate())
        self._watch_step = patch("engine.config.watcher._STEP_MS", _WATCH_STEP_MS)
        self._watch_step.start()
        self._configure(data_dir)
        self._logged, self._is_stopped = _Logged(), False
        self.engine = Engine(engine_settings(data_dir, own), clock=clock or self.clock)
        self.engine.start()
        wait_for_processes(self.engine)
        self.limit(limits)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._logged)
        start_pool(self.engine)
        return self

    @contextmanager
    def lent(self) -> Iterator[Self]:
        """Let one of several tests use this engine, and see its peers off.

        The log is the process's own: lines from before are those of other tests' engines.
        """
        self._logged.lines.clear()
        yield self
        self.hang_up()
        self.clock.put_forward(timedelta(hours=1))

    def hang_up(self) -> None:
        """Close the connections of all peers."""
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def __exit__(self, failed: object, *_: object) -> None:
        self.hang_up()
        self.stop(0)
        logging.getLogger().removeHandler(self._logged)
        if failed is None:
            require_files_of_rows(self.data_dir)

    def stop(self, drain_seconds: float) -> None:
        """Stop the engine, once."""
        if not self._is_stopped:
            self._is_stopped = True
            self.engine.stop(drain_seconds)
            self._watch_step.stop()

    def _configure(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port, self.other_port = free_port(), free_port()
        patient = make_receiver("OTHER", self.other_port, limits=(("idle_seconds", 60),))
        configure(data_dir, make_receiver("XNAT", self.port), patient)
        self.peers: list[Peer] = []

    def call(self, port: int = 0, **how: Any) -> Peer:
        """Connect a peer to XNAT's port, or another one."""
        peer = Peer(port or self.port, **how)
        self.peers.append(peer)
        return peer

    def associate(self, called: str = "XNAT", *, port: int = 0, **what: Any) -> Peer:
        """Connect a peer and have its association accepted."""
        return self.call(port).request(called, **what).expect_accept()

    def limit(self, limits: Limits) -> None:
        """Bring other limits of the site into force."""
        self.engine.set_site(SiteSettings(bind_address=LOOPBACK, limits=limits), "test")

    def resources(self) -> Resources:
        """Return what this engine holds now; what else there is in this process does not count."""
        objects = [str(self.data_dir / area) for area in ("incoming", "prearchive", "archive")]
        files = sum(held.startswith(tuple(objects)) for held in descriptors())
        threads = sum(thread not in self._others for thread in threading.enumerate())
        sockets = sockets_at(self.port, self.other_port)
        return Resources(sockets + files, threads, len(leftovers(self.data_dir)))

    def told(self) -> int:
        """Return a place in the journal: what is told from now on comes behind it."""
        return self.engine.events_since(0, 100_000).next_sequence

    def sentences(self, told: int = 0) -> list[str]:
        """Return what the journal has said since a place in it."""
        return [r.event.sentence() for r in self.engine.events_since(told, 100_000).events]

    def logged(self) -> str:
        """Return everything that was logged anywhere."""
        log = "".join(p.read_text() for p in (self.data_dir / "logs").iterdir())
        return log + "\n".join(self._logged.lines)

    @contextmanager
    def unharmed(self, *, says: str = "", settle: float = SETTLE_SECONDS) -> Iterator[None]:
        """Require that the fault inside the block harms nobody and leaves nothing (★).

        Args:
            says: what the journal must say about it, as a regular expression.
            settle: how long after the block the engine may still hold something.
        """
        self._control()
        bystander = self.associate("OTHER", port=self.other_port, calling="BESIDE")
        bystander.store(image()).expect_status(0x0000)
        before, told = self._at_rest(bystander), self.told()
        yield
        deadline = time.monotonic() + settle
        while wrong := self._unsettled(before, told, says):
            assert time.monotonic() < deadline, wrong
            bystander.echo()
            time.sleep(LOOK_SECONDS)
        bystander.store(image()).expect_status(0x0000).release()
        self._control()
        self._require_truth()

    def _at_rest(self, bystander: Peer) -> Resources:
        """Return what the engine holds once it has seen off whoever called before."""
        seen = [(bystander.echo(), self.resources())[1] for _ in range(10)]
        return Resources(*(min(getattr(r, f.name) for r in seen) for f in fields(Resources)))

    def _unsettled(self, before: Resources, told: int, says: str) -> str:
        """Say what is not yet as it should be after a fault."""
        if more := self.resources().beyond(before):
            return f"{more}; threads: {[t.name for t in threading.enumerate()]}"
        sentences = self.sentences(told)
        if not sentences:
            return "the journal says nothing"
        if not re.search(says, "\n".join(sentences), re.IGNORECASE):
            return f"the journal says {sentences} and nothing like {says!r}"
        return ""

    def _control(self) -> None:
        """Do what every honest client must be able to do."""
        control = self.associate(calling="CONTROL").echo()
        control.store(image(SOPInstanceUID="1.2.3"), "1.2.3").expect_status(0x0000)
        control.release()

    def _require_truth(self) -> None:
        """Check that every success is on disk, and that no log names a patient or a defect."""
        stored = [file.read_bytes() for file in stored_files(self.data_dir)]
        for data_set in {data_set for peer in self.peers for data_set in peer.succeeded}:
            assert any(file.endswith(data_set) for file in stored), "a success is not on disk"
        log = self.logged()
        assert not PATIENT.search(log), log
        assert "Traceback" not in log, log


def wait_for_processes(engine: Engine) -> None:
    """Wait until all receiving processes run: an engine does not wait for them."""
    until = time.monotonic() + 20.0
    while len(engine.snapshot().processes) < engine._settings.receiving_processes:
        assert time.monotonic() < until, "the receiving processes do not start"
        time.sleep(0.01)


def start_pool(engine: Engine) -> None:
    """Let the pool begin its first thread, which stays, before the threads are counted."""
    engine._receivers._reactor.run_in_pool(lambda: None, lambda _: None)


class _Logged(logging.Handler):
    """Keeps every line that anything in this process logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def require_files_of_rows(data_dir: Path) -> None:
    """Check that whatever the index calls stored is on disk."""
    folders = {session.id: session.folder for session in sessions(data_dir)}
    for row in object_rows(data_dir):
        if row.state in {"stored", "duplicate"} and row.session is not None:
            file = data_dir / "prearchive" / folders[row.session] / row.file
            assert file.is_file(), f"{row.file} is in the index and not on disk"
