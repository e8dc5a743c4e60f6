"""Every method of the view, and of every group of it, does the same through a control socket."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest

from engine.host.terminal import visible
from engine.remote.protocol import ACTOR, methods
from engine.remote.schema import hints_of
from tests.kinds import kinds_in
from tests.samples import sample
from tests.serving import attached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import EngineView
    from engine.remote.protocol import Method

PATHS = sorted(methods())


class Recorder:
    """Takes the place of an engine: notes the calls, and returns what it is told to."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def at(self, path: str) -> Any:
        *groups, name = path.split("/")

        def called(**arguments: Any) -> Any:
            self.calls.append((path, arguments))
            return self.result

        reached: Any = types.SimpleNamespace(**{name: called})
        for group in reversed(groups):
            reached = types.SimpleNamespace(**{group: reached})
        return reached


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EngineView, Stage]]:
    stage = Stage()
    with attached(stage, tmp_path_factory.mktemp("both") / "control.sock") as view:
        yield view, stage


class Stage:
    """An engine that is another one for each test."""

    engine: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


def arguments_of(method: Method) -> dict[str, Any]:
    hints = hints_of(method.function)
    return {name: sample(hints[name]) for name in method.signature.parameters}


@pytest.mark.parametrize("path", PATHS)
def test_a_method_takes_and_returns_the_same_through_the_socket(
    path: str, both: tuple[EngineView, Stage]
) -> None:
    view, stage = both
    method = methods()[path]
    arguments = arguments_of(method)
    recorder = Recorder(sample(hints_of(method.function)["return"]))
    stage.engine = recorder.at(path)
    result = method.of(view)(**arguments)
    assert result == recorder.result
    assert kinds_in(result) == kinds_in(recorder.result)
    ((_, received),) = recorder.calls
    if ACTOR in arguments:
        assert visible(arguments.pop(ACTOR)) in received.pop(ACTOR)
    assert received == arguments
    assert kinds_in(received) == kinds_in(arguments)
