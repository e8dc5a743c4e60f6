"""The switch over all receivers, and how a site that allows none is shown."""

from dataclasses import replace

import pytest
from textual.widgets import Button, Static

from engine.api import ReceiverState
from tests.fakes import (
    FakeEngine,
    barred,
    busy,
    config_problem,
    empty,
    idle,
    make_receiver,
    make_snapshot,
    make_status,
)
from tests.tui.dashboard.test_dashboard import footer, header, running, settle, shown, toasts
from tests.tui.tables import cell
from tui.app import ConsoleApp
from tui.keys import possible
from tui.receivers.table import ReceiversTable
from tui.shell.dialogs import QuestionDialog
from tui.shell.health import Banners
from tui.shell.palette import ConsoleCommands


def banner(app: ConsoleApp) -> str:
    return str(app.dashboard.query_one("#barred", Static).content)


def sentence(app: ConsoleApp) -> str:
    return str(app.screen.query_one(".sentence", Static).content)


def offers(app: ConsoleApp) -> list[str]:
    return [offer.name for offer in ConsoleCommands(app.dashboard)._entries()]


async def test_barring_asks_first_and_names_receivers_and_associations() -> None:
    engine = busy()
    async with running(engine) as (app, pilot):
        await pilot.press("B")
        await settle(app, pilot)
        assert isinstance(app.screen, QuestionDialog)
        assert sentence(app) == (
            "4 enabled receivers will take no associations until this is switched on again. "
            "4 open associations may finish."
        )
        assert app.screen.query_one("#cancel", Button).has_focus
        await pilot.press("enter")
        await settle(app, pilot)
        assert engine.named("set_site") == []


async def test_barring_after_a_yes_changes_only_the_switch() -> None:
    engine = busy()
    engine.site_settings = replace(engine.site_settings, bind_address="10.0.0.5")
    async with running(engine, actor="anna") as (app, pilot):
        await pilot.press("B")
        await settle(app, pilot)
        await pilot.press("tab", "enter")
        await settle(app, pilot)
        site = replace(engine.site_settings, receivers_allowed=False)
        assert engine.named("set_site") == [(site, "anna")]
        assert site.bind_address == "10.0.0.5"
        assert toasts(app) == ["DICOM receivers are not allowed now   Z undoes it"]
        assert shown(app, "#barred")


async def test_without_open_associations_the_question_says_so() -> None:
    async with running(idle()) as (app, pilot):
        await pilot.press("B")
        await settle(app, pilot)
        assert sentence(app).endswith("switched on again. No association is open.")


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 15)])
async def test_a_barred_site_says_so_above_everything(size: tuple[int, int]) -> None:
    async with running(barred(), size) as (app, _):
        assert shown(app, "#barred")
        assert banner(app).startswith("⊘ DICOM receivers are not allowed on this site: 4 enabled")
        table = app.dashboard.query_one(ReceiversTable)
        assert cell(table, "1", "state") == "⊘ BARRED"
        assert "⊘" in header(app)


async def test_one_key_allows_all_again_without_asking() -> None:
    engine = barred()
    async with running(engine) as (app, pilot):
        assert footer(app)["Allow receivers"]
        await pilot.press("B")
        await settle(app, pilot)
        assert engine.named("set_site") == [
            (replace(engine.site_settings, receivers_allowed=True), "console")
        ]
        assert not shown(app, "#barred")
        assert toasts(app) == ["DICOM receivers are allowed now   Z undoes it"]


async def test_a_switch_that_somebody_else_has_set_is_not_set_again() -> None:
    engine = busy()
    engine.site_settings = replace(engine.site_settings, receivers_allowed=False)
    async with running(engine) as (app, pilot):
        await pilot.press("B")
        await settle(app, pilot)
        assert engine.named("set_site") == []
        assert toasts(app) == ["DICOM receivers are not allowed already"]


async def test_both_banners_can_stand_together() -> None:
    engine = config_problem()
    engine.current = replace(
        barred().current, configuration_problem=engine.current.configuration_problem
    )
    async with running(engine, (80, 24)) as (app, _):
        assert shown(app, "#banner")
        assert shown(app, "#barred")
        assert app.dashboard.query_one(Banners).region.height <= 5


async def test_without_receivers_there_is_nothing_to_bar() -> None:
    engine = empty()
    async with running(engine) as (app, pilot):
        await pilot.press("B")
        await settle(app, pilot)
        assert engine.calls == []
        assert not [name for name in offers(app) if name.startswith("site:")]


async def test_the_palette_offers_the_other_state_of_the_switch() -> None:
    async with running(busy()) as (app, _):
        assert "site: Allow no DICOM receivers" in offers(app)
    async with running(barred()) as (app, _):
        assert "site: Allow DICOM receivers" in offers(app)


def test_a_barred_receiver_can_be_stopped_but_neither_tested_nor_retried() -> None:
    status = make_status(make_receiver(1), ReceiverState.NOT_ALLOWED)
    allowed = [a for a in ("stop", "start", "echo", "retry", "edit") if possible(a, status)]
    assert allowed == ["stop", "edit"]


async def test_a_receiver_started_while_none_is_allowed_says_why_it_does_not_listen() -> None:
    status = make_status(make_receiver(1), ReceiverState.NOT_ALLOWED)
    engine = FakeEngine(make_snapshot(receivers=(status,)))
    async with running(engine) as (app, pilot):
        app.carry_out(app._receiver_commands.saved, status.receiver)
        await pilot.pause()
        assert toasts(app) == [
            "XNAT:8104 saved, but the site allows no receivers now   Z undoes it"
        ]
        assert banner(app).startswith(
            "⊘ DICOM receivers are not allowed on this site: 1 enabled receiver does not listen"
        )
