"""When a console under test has done all that it was asked to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from textual._context import active_app
from textual._wait import SLEEP_GRANULARITY, wait_for_idle
from textual.app import ScreenStackError

if TYPE_CHECKING:
    from textual.app import App


async def until_nothing_is_due(
    min_sleep: float = SLEEP_GRANULARITY, max_sleep: float = 1.0
) -> None:
    """Wait until all messages are taken and all that they changed is drawn, and no longer.

    Textual sleeps until the process used no processor time for a while: too short when others have
    the processor, and for most keys far too long. Threads are still given that while.
    """
    loop = cast(Any, asyncio.get_running_loop())
    deadline = loop.time() + max_sleep
    threads_had_time = False
    while loop.time() < deadline:
        await asyncio.sleep(0)
        due = min((h.when() for h in loop._scheduled if not h.cancelled()), default=deadline)
        if loop._ready or has_drawn(active_app.get()):
            continue
        if due <= loop.time() + SLEEP_GRANULARITY:
            await asyncio.sleep(due - loop.time())
        elif threads_had_time or not any(w.is_running for w in active_app.get().workers):
            return
        else:
            await wait_for_idle(min_sleep, max_sleep)
            threads_had_time = True


def has_drawn(app: App[object]) -> bool:
    """Draw what the screen would draw at its next turn, as `Pilot.pause` does; tell if it was any.

    Those turns are up to a thirtieth of a second away.
    """
    try:
        screen: Any = app.screen
    except ScreenStackError:
        return False
    if not screen._update_timer._active.is_set():
        return False
    screen._on_timer_update()
    return True
