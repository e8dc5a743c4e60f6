"""The scale benchmark: its arithmetic, and that its data directories are sound and its rows run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.host.clock import SystemClock
from engine.sessions.service import sessions_without_engine
from tests.bench.scale import configuration, sessions
from tests.bench.scale.cli import main
from tests.bench.scale.docks import Dock
from tests.bench.scale.rows import growth, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("sizes", "values", "expected"),
    [
        ((1_000, 10_000), (2.0, 2.0), 1.0),
        ((1_000, 10_000, 100_000), (1.0, 50.0, 100.0), 10.0),
        ((10, 1_000), (1.0, 10_000.0), 100.0),
        ((1_000,), (2.0,), None),
        ((10, 100), (0.0, 1.0), None),
        ((10, 10), (1.0, 1.0), None),
    ],
)
def test_growth_is_that_of_a_tenfold_size(
    sizes: tuple[int, ...], values: tuple[float, ...], expected: float | None
) -> None:
    assert growth(sizes, values) == (pytest.approx(expected) if expected else None)


def test_values_are_shown_with_three_digits() -> None:
    assert [shown(v) for v in (0, 0.01234, 1.5, 12.34, 553_000.4)] == [
        *("0", "0.0123", "1.50", "12.3", "553,000")
    ]


def test_what_the_benchmark_fills_is_as_an_engine_leaves_it(tmp_path: Path) -> None:
    dock = Dock(tmp_path)
    dock.fill(2, 3)
    with sessions_without_engine(dock.settings, SystemClock()) as service:
        found = service.audit(lambda *_: None)
    assert dock.count("SELECT count(*) FROM objects") == 6
    assert len([*dock.settings.prearchive_dir.rglob("*.dcm")]) == 6
    assert found.agrees


@pytest.mark.parametrize(
    "measure",
    [
        *(sessions.status_change, sessions.build, sessions.operation, sessions.purge),
        *(configuration.save,),
    ],
)
def test_a_row_is_measured_at_a_small_size(
    measure: Callable[[Path, int], float], tmp_path: Path
) -> None:
    assert measure(tmp_path, 2) > 0


def test_a_row_or_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--rows", "speed"], ["--sizes", "many"]):
        with pytest.raises(SystemExit):
            main(words)
        assert "is no" in capsys.readouterr().err
