"""What tests of the console get: fewer searches for garbage, and patience on a busy machine."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import textual.app
import textual.pilot
from textual._wait import SLEEP_GRANULARITY, wait_for_idle

from tui.places import PLACES

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_OBJECTS_BEFORE_A_SEARCH = 100_000
"""Over a hundred times the usual: the searches took a quarter of the time of these tests."""


@pytest.fixture(autouse=True)
def _fewer_searches_for_garbage() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS_BEFORE_A_SEARCH, *usual[1:])
    yield
    gc.set_threshold(*usual)


@pytest.fixture(autouse=True)
def _all_places(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures have the tabs of all screens, so that a new screen changes none of them."""
    if request.module.__name__.endswith("_pictures"):
        places = tuple(replace(p, screen=p.screen or PLACES[0].screen) for p in PLACES)
        monkeypatch.setattr("tui.app.PLACES", places)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", until_nothing_is_due)


async def until_nothing_is_due(
    min_sleep: float = SLEEP_GRANULARITY, max_sleep: float = 1.0
) -> None:
    """Wait as Textual does, and longer while the event loop still has something to run.

    Textual takes a process for idle that used no processor time, as it does when others have it.
    """
    ready = cast(Any, asyncio.get_running_loop())._ready
    deadline = time.monotonic() + max_sleep
    await wait_for_idle(min_sleep, max_sleep)
    while ready and time.monotonic() < deadline:
        await wait_for_idle(min_sleep, max_sleep)
