"""What tests of the console get: pictures also of attached ones, and patience on a busy machine."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import textual.app
import textual.pilot
from textual.css.stylesheet import Stylesheet

from tests.serving import served
from tests.tui.idle_loop import IdleLoop, run_in_idle_loop, until_idle
from tests.tui.reaching import ATTACHED, Stage, picture_name, through
from tui.places import SCREEN_SPECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.css.model import RuleSet

NEW_OBJECTS_BEFORE_A_SEARCH = 100_000
"""Over a hundred times the usual: the searches took a quarter of the time of these tests."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Let the tests of this folder run in a loop that knows when a console has nothing to do."""
    return {"idle": IdleLoop}


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Offer two ways to draw each picture; only what is drawn beside the engine makes a new one."""
    if "snap_compare" in metafunc.fixturenames:
        near, far = pytest.param(False, id=pytest.HIDDEN_PARAM), pytest.param(True, id=ATTACHED)
        ways = [near] if metafunc.config.getoption("update_snapshots") else [near, far]
        metafunc.parametrize("is_attached", ways, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Draw each picture once, the last one of a test from afar; a test with a single one, twice.

    The size makes no difference to the engine.
    """
    pictures: dict[tuple[Path, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and "snap_compare" in item.fixturenames:
            pictures.setdefault((item.path, item.originalname), []).append(item)
    left_out: set[pytest.Item] = set()
    for of_a_test in pictures.values():
        near = {picture_name(i.name): i for i in of_a_test if not is_far(i)}
        far = {picture_name(i.name): i for i in of_a_test if is_far(i)}
        left_out.update(list(far.values())[:-1])
        if len(near) > 1:
            left_out.update(near[name] for name in list(far)[-1:] if name in near)
    items[:] = [item for item in items if item not in left_out]


def is_far(item: pytest.Function) -> bool:
    return item.name.endswith(f"{ATTACHED}]")


_PARSE_RULES = Stylesheet._parse_rules


@pytest.fixture
def is_attached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Path]]:
    socket_file = tmp_path_factory.mktemp("stage") / "control.sock"
    stage = Stage()
    with served(stage, socket_file):
        yield stage, socket_file


@pytest.fixture
def snapshot(
    snapshot: Any, is_attached: bool, no_delays: None, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """Return the recorded picture; an attached console has to draw the one of another test."""
    if not is_attached:
        yield snapshot
        return
    location = snapshot.test_location
    location.testname = picture_name(location.testname)
    with through(*request.getfixturevalue("stage")):
        yield snapshot


@pytest.fixture(autouse=True)
def _in_utc(in_utc: None) -> None:
    """Texts and pictures are recorded for UTC."""


@pytest.fixture(autouse=True)
def _silence_has_just_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pictures say the same on a slow machine."""
    monkeypatch.setattr("tui.engine_client.EngineLink.monotonic", staticmethod(lambda: 0.0))


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
        places = tuple(replace(p, screen=p.screen or SCREEN_SPECS[0].screen) for p in SCREEN_SPECS)
        monkeypatch.setattr("tui.app.SCREEN_SPECS", places)


@pytest.fixture
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits for a pause in typing be done at once, so that a pause of the pilot is one."""
    monkeypatch.setattr("tui.shell.engine_app.EngineScreen.pause_seconds", 0.001)


@pytest.fixture
def styles_parsed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let style sheets be parsed as they are outside of tests."""
    monkeypatch.setattr(Stylesheet, "_parse_rules", _PARSE_RULES)


@pytest.fixture(autouse=True, scope="session")
def _styles_are_parsed_once() -> Iterator[None]:
    """Keep what style sheets say: parsing them anew for each console took a tenth of the time."""
    parsed: dict[tuple[Any, ...], list[RuleSet]] = {}

    def parse_once(sheet: Stylesheet, css: str, *place: Any, **more: Any) -> list[RuleSet]:
        meaning = css, place, tuple(more.items()), tuple(sheet._variables.items())
        if meaning not in parsed:
            parsed[meaning] = _PARSE_RULES(sheet, css, *place, **more)
        return parsed[meaning]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", until_idle)
    monkeypatch.setattr(asyncio, "run", run_in_idle_loop)
