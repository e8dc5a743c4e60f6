"""The console with an engine in its own process, loaded and watched from inside.

`console` starts `python -m tests.bench.watched_console ORDER` in a terminal; the order is a file.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tui.app
import tui.cli
from tests.bench.sender import quantile, read_blast
from tui.app import ConsoleApp
from tui.places import HOME

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.sender import Blast

RECEIVER = "receiver"
"""The screen of one receiver, which has no place of its own."""
TICK_SECONDS = 0.01
SETTLE_SECONDS = 1.0
COUNTED_SECONDS = 1.5
"""How long CPU time is counted, before the ticks begin that would count too."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is watched."""

    data: str
    screen: str
    blast: tuple[str, ...]
    """The command of the sender, which reads the tape from its standard input."""
    tape: str
    report: str


@dataclass(frozen=True, slots=True)
class Watched:
    """What a screen costs, and how late the loop was, while objects arrived."""

    screen: str
    objects_per_second: float
    cpu_ms_per_look: float
    """CPU time of the UI thread, drawing and writing included, by the looks in that time."""
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    failure: str
    """What went wrong with the sender; empty if nothing did."""


class WatchedConsole(ConsoleApp):
    """Goes to a screen, lets the sender send, and leaves when it is done."""

    CSS_PATH = [Path(tui.app.__file__).with_name(Path(str(file)).name)
                for file in ConsoleApp.CSS_PATH]  # fmt: skip
    order: Order
    looks = 0

    def looked(self) -> None:
        """Count a look; begin with the first answer."""
        super().looked()
        if not self.looks and self.engine_state.snapshot is not None:
            self.run_worker(self._observe())
        self.looks += self.engine_state.snapshot is not None

    async def _observe(self) -> None:
        order = self.order
        await asyncio.sleep(SETTLE_SECONDS)
        self._show(order.screen)
        await asyncio.sleep(SETTLE_SECONDS)
        sent = asyncio.create_task(asyncio.to_thread(send, order))
        await asyncio.sleep(SETTLE_SECONDS / 2)
        cpu_ms = await self._cpu_ms_per_look()
        late = sorted(await lateness_ms(sent.done))
        blast = await sent
        watched = Watched(
            order.screen,
            blast.objects / blast.seconds,
            cpu_ms,
            quantile(late, 0.50),
            quantile(late, 0.99),
            max(late, default=0.0),
            blast.failure or ("" if len(late) > 100 else "the tape was over too soon"),
        )
        await asyncio.to_thread(Path(order.report).write_text, json.dumps(asdict(watched)))
        self._leave()  # `action_quit` would ask what becomes of the engine

    def _show(self, screen: str) -> None:
        if screen == RECEIVER:
            self.dashboard.action_open()
        elif screen != HOME:
            self.go(screen)

    async def _cpu_ms_per_look(self) -> float:
        looks, used = self.looks, time.thread_time()
        await asyncio.sleep(COUNTED_SECONDS)
        return 1000 * (time.thread_time() - used) / max(1, self.looks - looks)


def send(order: Order) -> Blast:
    """Let the sender send the whole tape."""
    with Path(order.tape).open("rb") as tape:
        ran = subprocess.run(order.blast, stdin=tape, stdout=subprocess.PIPE, check=True)
    return read_blast(ran.stdout)


async def lateness_ms(done: Callable[[], bool]) -> list[float]:
    """Return how late each tick came, in milliseconds; a late one moves those after it."""
    loop, late = asyncio.get_running_loop(), []
    due = loop.time() + TICK_SECONDS
    while not done():
        await asyncio.sleep(max(0.0, due - loop.time()))
        now = loop.time()
        late.append(1000 * (now - due))
        due = max(due + TICK_SECONDS, now)
    return late


def main() -> int:
    """Run the console as `dicomdock` does."""
    order = Order(**json.loads(Path(sys.argv[1]).read_text()))
    WatchedConsole.order = order
    tui.app.ConsoleApp = WatchedConsole  # type: ignore[misc]
    sys.argv[1:] = ["--data", order.data, "--durability", "none"]
    return tui.cli.main()


if __name__ == "__main__":
    sys.exit(main())
