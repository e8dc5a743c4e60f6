"""Records a scenario, and recovers from the states that a power cut may leave in it."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.errors import EngineError
from tests.crash.disk import Disk, fingerprint, lay_out, tree_of
from tests.crash.dock import clockwork_stopped, running
from tests.crash.scenarios import SCENARIOS, configure
from tests.crash.states import BAREST, OTHERS, states
from tests.crash.verdict import correct_inodes, faults_after
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from tests.crash.calls import Calls, Record
    from tests.crash.disk import Tree
    from tests.crash.dock import Sent
    from tests.crash.states import State

DATA = "data"
SHOWN = 12
BY_ENGINE = 8
"""Each state of this number is recovered from by a whole engine, which takes longer."""


class Cuts:
    """A recorded scenario, and the states that come of it."""

    def __init__(self, calls: Calls, name: str) -> None:
        self._calls = calls
        self._scenario = SCENARIOS[name]
        self._sent: dict[bytes, Sent] = {}
        self.records: list[Record] = []

    def record(self) -> None:
        """Let the scenario happen."""
        root, clock = self._calls.root, FixedClock()
        data = root / DATA
        self._calls.record(False)
        configure(data)
        if not self._scenario.is_first_start:
            with running(data, clock, self._calls.note) as dock:
                self._scenario.prepare(dock)
        kept = self._scenario.between(data)
        self._disk = Disk(root)
        self._calls.take()
        self._calls.record(True)
        for what in kept:
            self._calls.note(f"kept {what}")
        with running(data, clock, self._calls.note) as dock:
            self._scenario.work(dock)
            self._sent = dock.sent
        self._calls.record(False)
        self.records = self._calls.take()

    def states(self, seed: int, wanted: int) -> list[State]:
        """Return that many states or some more, if there are so many.

        The record is complete: its end is what is really there.
        """

        share = 2 * wanted / len(self.records) / OTHERS
        found = list(states(self._disk, self.records, seed, share))
        assert fingerprint(self._disk.live()) == fingerprint(without_memory(self._calls.root))
        return found

    def faults(self, state: State, folder: Path, *, by_engine: bool) -> list[str]:
        """Recover from a state in a folder, by the start of a whole engine or of its sessions."""
        inodes = lay_out(state.tree, folder)
        data = folder / DATA
        correct_inodes(data, inodes)
        clock = FixedClock(state.told.now)
        if by_engine:
            try:
                with running(data, clock, lambda _: None):
                    left = list((data / "incoming").rglob("*.part"))
            except (EngineError, OSError) as error:
                return [f"the engine does not start: {type(error).__name__}: {error}"]
            if left:
                return ["parts are left in incoming"]
        with clockwork_stopped():
            return faults_after(data, clock, state.told, self._sent)


def without_memory(root: Path) -> Tree:
    """Return what there is in a folder that a power cut does not always take."""
    return {path: leaf for path, leaf in tree_of(root).items() if not path.endswith("-shm")}


def chosen(found: list[State], wanted: int, seed: int) -> list[State]:
    """Choose states from the whole record, first those where nothing unflushed was on the disk."""
    lot = random.Random(seed)
    ranked = sorted(found, key=lambda s: (s.how != BAREST, lot.random()))
    return sorted(ranked[:wanted], key=lambda state: state.point)


def try_states(calls: Calls, name: str, wanted: int, seed: int) -> tuple[list[str], str]:
    """Record a scenario, try states of it; return the faults in words, and what was tried."""
    cuts = Cuts(calls, name)
    cuts.record()
    found = cuts.states(seed, wanted)
    tried = chosen(found, wanted, seed)
    faults: Counter[str] = Counter()
    first: dict[str, str] = {}
    with TemporaryDirectory(dir=calls.root.parent) as scratch:
        for number, state in enumerate(tried):
            folder = Path(scratch, "state")
            for fault in cuts.faults(state, folder, by_engine=number % BY_ENGINE == 0):
                faults[fault] += 1
                first.setdefault(fault, where(cuts.records, state))
            shutil.rmtree(folder)
    words = [f"{times} × {f}\n  first at {first[f]}" for f, times in faults.most_common(SHOWN)]
    return words, f"{name}: {len(tried)} states of {len(found)} after {len(cuts.records)} calls"


def where(records: list[Record], state: State) -> str:
    """Say where in a record a state is."""
    last = records[state.point - 1]
    return f"call {state.point} ({last.op} {last.name} {last.other_name}), {state.how}"
