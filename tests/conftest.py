"""What every test gets: a clean environment, one snapshot folder, no thread left behind."""

from __future__ import annotations

import gc
import os
import re
import sys
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

for _name in [n for n in os.environ if n.startswith(("TEXTUAL", "DICOMDOCK"))]:
    if _name != "TEXTUAL_SNAPSHOT_TEMPDIR":  # where test processes leave what the report shows
        del os.environ[_name]
for _name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "SSH_CONNECTION"):
    os.environ.pop(_name, None)
# A hundred processes are started, each of which would compile all that it imports; and compiling
# the tests takes each process that runs them ten seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
ZONE = os.environ.get("TESTS_ZONE", "UTC")
"""Where the tests run: pictures and most texts are recorded for UTC, `.ci/floor` is elsewhere."""
SHARE = int(os.environ.get("TESTS_SHARE", "1"))
"""Of how many tests one is run: `.ci/run` does not repeat all of them on the oldest Python."""
os.environ.update(TEXTUAL_ANIMATIONS="none", TZ=ZONE, LC_ALL="C.UTF-8", TERM="xterm-256color")

import pytest  # noqa: E402 - Textual reads the environment when it is imported
import pytest_textual_snapshot  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
END_WITHIN_SECONDS = 5
LONGEST_NAME = 60
"""Of a value that is a part of a test's name, in characters."""


_NUMBERS = count()


class TopLevelSVG(pytest_textual_snapshot.SVGImageExtension):  # type: ignore[misc]
    """Keeps pictures in the project's top-level snapshots folder, one folder per test module."""

    file_extension = "svg"

    @classmethod
    def dirname(cls, *, test_location: Any) -> str:
        return str(ROOT / "snapshots" / test_location.basename)


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Let this process be in another time zone, as a machine there would be."""
    before = os.environ["TZ"]
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ["TZ"] = before
        time.tzset()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as pytest's own does, which first reads the names of those of all tests."""
    name = re.sub(r"\W", "_", request.node.name)[:25]
    return tmp_path_factory.mktemp(f"{name}-{next(_NUMBERS)}", numbered=False)


@pytest.fixture
def in_utc() -> Iterator[None]:
    """For tests whose texts hold local times."""
    with zone("UTC"):
        yield


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long value by its beginning and its length.

    Processes tell each other the names of all tests, and again with each result.
    """
    if isinstance(val, str | bytes) and len(val) > LONGEST_NAME:
        begin = val[:LONGEST_NAME]
        return f"{begin if isinstance(begin, str) else ascii(begin)[2:-1]}... {len(val)}"
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let coverage not depend on luck, and leave out what is not in the wanted share."""
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.no_cover)
    if SHARE > 1:
        chosen = set(in_share(SHARE, {item.nodeid: str(item.path) for item in items}))
        config.hook.pytest_deselected(items=[i for i in items if i.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]


def in_share(share: int, modules: dict[str, str]) -> Iterator[str]:
    """Choose every so-manieth test by its name, the same each time, and one of each module.

    Args:
        share: how many tests there are for one that is chosen, about.
        modules: the module of each test.
    """
    places = {test: zlib.crc32(test.encode()) for test in modules}
    first: dict[str, str] = {}
    for test in sorted(places, key=lambda test: places[test]):
        first.setdefault(modules[test], test)
    for test, module in modules.items():
        if places[test] % share == 0 or first[module] == test:
            yield test


def pytest_collection_finish() -> None:
    """Keep the tests themselves, which last until the end, out of every search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _pictures_at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_textual_snapshot, "SVGImageExtension", TopLevelSVG)


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + END_WITHIN_SECONDS
    while left := [t for t in set(threading.enumerate()) - before if not t.daemon]:
        remaining = deadline - time.monotonic()
        assert remaining > 0, f"threads left running: {[t.name for t in left]}"
        with suppress(RuntimeError):  # it is only just being started
            left[0].join(remaining)
