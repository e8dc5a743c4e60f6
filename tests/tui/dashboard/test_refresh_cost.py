"""What one look at a busy engine may cost, with bounds that only a real regression crosses."""

import time
from dataclasses import replace
from datetime import timedelta
from statistics import median

import pytest
from rich.text import Text

from engine.events import ObjectsStored
from tests.fakes import NOW, FakeEngine, busy, make_throughput
from tui.app import ConsoleApp
from tui.dashboard.panels import ThroughputChart
from tui.shell.status import StatusLine
from tui.widgets.table import Table

LOOKS = 15
MAX_MEDIAN_SECONDS = 0.060
"""About four times what was measured: 15 ms, every number on the screen changing."""


def change_everything(engine: FakeEngine, step: int) -> None:
    current = engine.current
    engine.current = replace(
        current,
        taken_at=NOW + timedelta(seconds=step),
        throughput=make_throughput(38 + step % 5, 140 + step, step),
        receivers=tuple(
            replace(
                status,
                objects_today=status.objects_today + 13,
                throughput=make_throughput(30 + step % 7, 100 + step, step),
                last_object_at=NOW + timedelta(seconds=step),
            )
            for status in current.receivers
        ),
        associations=tuple(
            replace(association, objects=association.objects + 7, bytes_rate=1e6 * (step % 9 + 1))
            for association in current.associations
        ),
    )
    engine.record(ObjectsStored(receiver="XNAT:8104", objects=step, duplicates=0, bytes=step))


async def test_a_refresh_with_its_repaint_stays_cheap() -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        costs = []
        for step in range(LOOKS):
            change_everything(engine, step)
            begin = time.process_time()
            await app.look()
            await pilot.pause()
            costs.append(time.process_time() - begin)
    assert median(costs) < MAX_MEDIAN_SECONDS


async def test_a_refresh_that_changes_nothing_repaints_no_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        drawn: list[object] = []
        monkeypatch.setattr(Table, "render_lines", lambda table, crop: drawn.append(table))
        await app.look()
        await pilot.pause()
        assert not drawn


async def test_a_look_that_brings_only_another_time_asks_for_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        asked: list[str] = []
        monkeypatch.setattr(app.dashboard, "check_own", lambda action, _: asked.append(action))
        engine.current = replace(engine.current, taken_at=NOW + timedelta(seconds=1))
        await app.look()
        await pilot.pause()
        assert not asked
        engine.current = replace(engine.current, ended_associations=())
        await app.look()
        await pilot.pause()
        assert asked


async def test_charts_and_rates_are_drawn_once_a_second_and_nothing_behind_a_dialog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        drawn: list[str] = []
        rates: list[str] = []
        render = ThroughputChart.render

        def draw(chart: ThroughputChart) -> Text:
            drawn.append("chart")
            return render(chart)

        monkeypatch.setattr(ThroughputChart, "render", draw)

        async def look(quarter: int) -> None:
            change_everything(engine, quarter)
            at = NOW + timedelta(seconds=quarter / 4)
            engine.current = replace(engine.current, taken_at=at)
            await app.look()
            await pilot.pause()
            rates.append(str(app.query_one(StatusLine).render()).partition("obj/s")[0])

        for quarter in range(4, 12):
            await look(quarter)
        assert drawn == ["chart", "chart"]
        assert len(set(rates)) == 2
        await pilot.press("question_mark")
        for quarter in range(12, 31):
            await look(quarter)
        assert len(drawn) == 2, "five seconds are not over"
        await look(31)
        assert len(drawn) == 3
        await pilot.press("escape")
        await look(32)
        assert len(drawn) == 4
