"""The fake engine has every method of `EngineView`, with the same arguments."""

from __future__ import annotations

import inspect

import pytest

from engine import EngineView
from engine.remote.protocol import STREAMED, groups, methods
from tests.fakes import FakeEngine


def view(engine: FakeEngine) -> EngineView:
    """Let mypy compare the fake with the protocol, types included."""
    return engine


@pytest.mark.parametrize("path", methods())
def test_a_method_takes_the_same_arguments_as_the_engine_s(path: str) -> None:
    method = methods()[path]
    assert inspect.signature(method.of(view(FakeEngine()))) == method.signature


def test_every_group_and_what_is_streamed_is_there() -> None:
    engine = FakeEngine()
    assert set(groups(EngineView)) <= set(dir(engine))
    assert all(callable(getattr(engine, name)) for name in STREAMED)
