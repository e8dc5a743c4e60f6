"""The limit on open files: raised as far as allowed, and told if that is little."""

from __future__ import annotations

import logging
import resource

import pytest

from engine.host.open_files import FEW, WANTED, raise_limit

NO_LIMIT = resource.RLIM_INFINITY


class System:
    """Stands for the `resource` module's limits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.limits = (soft, hard)
        self.refuses = False
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.limits)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, which: int, limits: tuple[int, int]) -> None:
        assert which == resource.RLIMIT_NOFILE
        if self.refuses:
            raise ValueError("not allowed")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "is_told"),
    [
        (1024, 20_000, 20_000, False),
        (1024, 1_000_000, WANTED, False),
        (1024, NO_LIMIT, WANTED, False),
        (100_000, 1_000_000, 100_000, False),
        (NO_LIMIT, NO_LIMIT, NO_LIMIT, False),
        (256, FEW - 1, FEW - 1, True),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    soft: int,
    hard: int,
    raised: int,
    is_told: bool,
) -> None:
    system = System(monkeypatch, soft, hard)
    with caplog.at_level(logging.WARNING):
        assert raise_limit() == raised
    assert system.limits == (raised, hard)
    assert bool(caplog.records) is is_told


def test_a_system_that_refuses_leaves_the_limit_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(monkeypatch, 1024, 20_000)
    system.refuses = True
    with caplog.at_level(logging.WARNING):
        assert raise_limit() == 1024
    assert "only 1024 files" in caplog.text
