"""What every test gets: a clean environment, one snapshot folder, no thread left behind."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
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
os.environ.update(TEXTUAL_ANIMATIONS="none", TZ=ZONE, LC_ALL="C.UTF-8", TERM="xterm-256color")

import pytest  # noqa: E402 - Textual reads the environment when it is imported
import pytest_textual_snapshot  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
END_WITHIN_SECONDS = 5
LONGEST_NAME = 60
"""Of a value that is a part of a test's name, in characters."""


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
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let coverage not depend on luck, nor on the longest loops, which it makes twice as long."""
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.no_cover)


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
