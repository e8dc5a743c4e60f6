"""An association with a destination is hung up or made, never both at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.forwarding import line as line_module
from engine.forwarding.line import Line
from tests.taken_lock import require_wait

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("call", "entries"),
    [
        (lambda line: line.require(()), 0),
        (lambda line: line.require(()), 1),
        (lambda line: line.close(), 0),
        (lambda line: line.hang_up(), 0),
    ],
)
def test_an_association_is_made_given_up_and_hung_up_by_one_thread_at_a_time(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Line], object], entries: int
) -> None:
    destination: Any = SimpleNamespace(peer=None, deadlines=None)
    monkeypatch.setattr(line_module, "call", lambda *_: SimpleNamespace())
    line = Line(destination)
    require_wait(line, lambda: call(line), entries=entries)
