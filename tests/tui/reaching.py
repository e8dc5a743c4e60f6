"""How consoles under test reach their engine: in this process, or through a control socket."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from tests.serving import remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ATTACHED = "attached"
"""Ends the name of a test whose picture is drawn by a console far from its engine."""


class Stage:
    """What a control server serves: an engine that is another one for each test."""

    def __init__(self) -> None:
        self.engine: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


def reach(engine: Any) -> Any:
    """Return what a console gets of an engine: itself, or what stands for it far away."""
    return _way.get()(engine)


@contextmanager
def through(stage: Stage, socket_file: Path) -> Iterator[None]:
    """Let all engines that are reached in the block be reached through a socket."""
    with remote(socket_file) as far:

        def put_on(engine: Any) -> Any:
            stage.engine = engine
            return far.view

        stage.engine = None
        token = _way.set(put_on)
        try:
            yield
        finally:
            _way.reset(token)
    assert stage.engine is not None, "no engine was reached, so this picture proves nothing"


def picture_name(test: str) -> str:
    """Return the name of the picture that a test is compared with, wherever it is drawn."""
    name = re.sub(rf"[-[]{ATTACHED}\]$", "", test)
    return name if name == test or "[" not in name else f"{name}]"


def _itself(engine: Any) -> Any:
    return engine


_way: ContextVar[Callable[[Any], Any]] = ContextVar("_way", default=_itself)
