"""What every test gets: a clean environment, one snapshot folder, no thread left behind."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

for _name in [n for n in os.environ if n.startswith(("TEXTUAL", "DICOMDOCK"))]:
    del os.environ[_name]
for _name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "SSH_CONNECTION"):
    os.environ.pop(_name, None)
os.environ.update(TEXTUAL_ANIMATIONS="none", TZ="UTC", LC_ALL="C.UTF-8", TERM="xterm-256color")

import pytest  # noqa: E402 - Textual reads the environment when it is imported
import pytest_textual_snapshot  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


class TopLevelSVG(pytest_textual_snapshot.SVGImageExtension):  # type: ignore[misc]
    """Keeps pictures in the project's top-level snapshots folder, one folder per test module."""

    file_extension = "svg"

    @classmethod
    def dirname(cls, *, test_location: Any) -> str:
        return str(ROOT / "snapshots" / test_location.basename)


@pytest.fixture(autouse=True)
def _pictures_at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytest_textual_snapshot, "SVGImageExtension", TopLevelSVG)


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in set(threading.enumerate()) - before if not t.daemon]
    for thread in left:
        with suppress(RuntimeError):  # it is only just being started
            thread.join(timeout=5)
    names = [t.name for t in left if t.is_alive()]
    assert not names, f"threads left running: {names}"
