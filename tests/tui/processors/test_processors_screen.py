"""Screen 7: processors ordered, edited, tried and switched; destinations tried and emptied."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, Static

from engine.api.commitments import CommitmentDetail, CommitmentState
from engine.api.scripts import FindingKind, ScriptFinding
from engine.errors import ChangedMeanwhile, EngineError, InvalidProcessor, Problem
from engine.model.processing import ProcessorStatus
from engine.model.processor import Processor
from engine.model.secrets import MASK
from tests.fakes import NOW
from tests.tui.associations.test_associations_screen import settle
from tests.tui.processors.processing import (
    COPY,
    RELABEL,
    SCRIPT,
    SET,
    TRIAGE,
    no_processors,
    processing,
)
from tui.app import ConsoleApp
from tui.processors.commitments import CommitmentsTable
from tui.processors.dialog import ProcessorDialog, TrialScreen
from tui.processors.fetch import RefreshState, is_due
from tui.processors.forwarding import DestinationsTable, ForwardingScreen, NotForwardedTable
from tui.processors.screen import ProcessorsScreen
from tui.processors.table import ClassesTable, ProcessorsTable
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.shell.status import active_hints
from tui.widgets.field import Field
from tui.widgets.filter import FilterBar
from tui.widgets.live_table import LiveTable
from tui.widgets.panel import Facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from textual.pilot import Pilot

    from tests.fakes import FakeEngine
    from tui.shell.screen import ConsoleScreen


pytestmark = pytest.mark.usefixtures("no_delays")


@asynccontextmanager
async def running(
    engine: FakeEngine, **options: Any
) -> AsyncIterator[tuple[ConsoleApp, ProcessorsScreen, Pilot[None]]]:
    app = ConsoleApp(engine, refresh_hz=0, blink=False, actor="anna", **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("7")
        await settle(app, pilot)
        screen: object = app.screen
        assert isinstance(screen, ProcessorsScreen)
        yield app, screen, pilot


async def press(app: ConsoleApp, pilot: Pilot[None], *pressed: str) -> None:
    """Press keys, each after what the one before began is answered."""
    for key in pressed:
        await pilot.press(key)
        if key not in {"j", "G", "g", "space", "left", "right"}:
            await settle(app, pilot)


async def write(app: ConsoleApp, pilot: Pilot[None], label: str) -> None:
    """Write another label into the dialog."""
    app.screen.query_one("#label", Input).value = label
    await pilot.pause()


def keys(screen: ConsoleScreen) -> set[str]:
    return {hint.key.id for hint in active_hints(screen) if hint.enabled}


def title(screen: ConsoleScreen) -> str:
    shown = screen.panel("processors")._border_title
    assert shown is not None
    return shown.plain


def rows(table: LiveTable) -> list[str]:
    table.render_lines(table.size.region)
    return [table.render_line(y).text.strip() for y in range(1, table.row_count + 1)]


def dialog_of(app: ConsoleApp) -> ProcessorDialog:
    assert isinstance(app.screen, ProcessorDialog)
    return app.screen


def changed_by(who: str) -> ChangedMeanwhile:
    return ChangedMeanwhile("processor Relabel CT", who, NOW, ())


def told(app: ConsoleApp) -> str:
    return " | ".join(toast.message for toast in app._notifications)


def words(app: ConsoleApp, id: str) -> str:
    return str(app.screen.query_one(f"#{id}", Static).visual)


async def test_processors_stand_in_their_order_with_why_one_is_broken() -> None:
    async with running(processing()) as (app, screen, pilot):
        assert "2 enabled   1 unused   1 broken   1 disabled" in title(screen)
        assert rows(screen.query_one(ProcessorsTable))[1].startswith("2 ✗ BROKEN   Relabel CT")
        await press(app, pilot, "j")
        facts = dict(screen.query_one(Facts).facts)
        assert facts["state"] == "✗ BROKEN: /etc/dicomdock/ct.csv: No such file or directory"
        assert facts["since the start"] == "9,804 runs, 0.2 ms each; 12 rejected, 31 errors"
        screen.query_one(FilterBar).value = "state:unused"
        await settle(app, pilot)
        assert "1 of 5 match" in title(screen)
        await press(app, pilot, "y")
        assert "Acme triage, acme-processors 1.4" in app.clipboard
        assert "class: only" not in app.clipboard


async def test_a_broken_class_says_why_and_what_others_are_told() -> None:
    async with running(processing()) as (app, screen, pilot):
        screen.query_one(ClassesTable).focus()
        await press(app, pilot, "G", "enter")
        assert isinstance(app.screen, MessageDialog)
        assert "No module named 'hospital_client'" in app.screen._detail
        await press(app, pilot, "escape", "g", "enter")
        assert "Program * (file): write the absolute path" in app.screen._detail


async def test_masked_arguments_say_that_leaving_them_keeps_them() -> None:
    told = (("program", "/opt/report"), ("arguments", MASK))
    status = ProcessorStatus(Processor(9, "Report", "command", parameters=told))
    engine = no_processors()
    engine.processors.statuses = (status,)
    async with running(engine) as (app, _, pilot):
        await press(app, pilot, "e")
        form = dialog_of(app).form
        name = next(n for n, f in form.parameters.items() if f.parameter.name == "arguments")
        field = app.screen.query_one(f"#field-{name}", Field)
        assert field.hint == f"{MASK} is saved and not shown; leave it to keep it"


async def test_a_new_processor_is_typed_chosen_and_saved() -> None:
    engine = no_processors()
    async with running(engine) as (app, screen, pilot):
        assert keys(screen) >= {"processor.new"}
        assert "processor.edit" not in keys(screen)
        await press(app, pilot, "n")
        dialog = dialog_of(app)
        await write(app, pilot, "Mine")
        dialog.query_one("#processor_class").value = "setElements"  # type: ignore[attr-defined]
        await settle(app, pilot)
        (name,) = dialog.form.scripts()
        dialog.query_one(f"#{name}").text = SCRIPT  # type: ignore[attr-defined]
        await settle(app, pilot)
        assert ("check", SCRIPT) in engine.scripts.calls
        field = dialog.query_one(f"#field-{name}", Field)
        assert field.hint == "✓ the script is valid"
        bad = ScriptFinding(FindingKind.ERROR, 2, 1, "is no [statement]", "write another")
        dialog.form.take_findings(name, SCRIPT, (bad,))
        dialog.sync()
        assert field.hint == "✗ line 2: is no [statement]; write another"
        dialog.form.take_findings(name, SCRIPT, ())
        await press(app, pilot, "ctrl+s")
        assert app.screen is screen
        saved = replace(SET, id=1, label="Mine")
        assert engine.processors.calls == [("save", replace(saved, id=0), "anna", None)]
        assert "processor Mine saved" in told(app)
        assert screen.chosen_status == ProcessorStatus(saved)


async def test_what_the_engine_refuses_is_said_at_the_field_and_nothing_is_lost() -> None:
    engine = processing()
    problem = Problem("parameters.key", "x", "is no element of a header", "write another")
    engine.processors.error = InvalidProcessor(problem)
    async with running(engine) as (app, _, pilot):
        await press(app, pilot, "j", "e")
        await write(app, pilot, "Relabel CT A")
        await press(app, pilot, "ctrl+s")
        dialog = dialog_of(app)
        (name,) = dialog._refused
        assert name.endswith("_key")
        assert app.focused is not None
        assert app.focused.id == name
        assert dialog.form.text("label") == "Relabel CT A"
        await press(app, pilot, "escape")
        assert isinstance(app.screen, QuestionDialog)
        await press(app, pilot, "left", "enter")
        assert isinstance(app.screen, ProcessorsScreen)


async def test_what_others_changed_meanwhile_is_taken_over_and_own_changes_kept() -> None:
    engine = processing()
    async with running(engine) as (app, _, pilot):
        await press(app, pilot, "j", "e")
        await write(app, pilot, "Relabel CT A")
        theirs = replace(RELABEL, priority=77)
        engine.processors.statuses = (ProcessorStatus(theirs),)
        engine.processors.error = changed_by("berta")
        await press(app, pilot, "ctrl+s")
        assert "changed by berta" in words(app, "refusal")
        engine.processors.error = None
        await press(app, pilot, "ctrl+r")
        assert "Your own changes are kept: Label" in words(app, "refusal")
        assert dialog_of(app).form.text("priority") == "77"
        await press(app, pilot, "ctrl+s")
        expected = ("save", replace(theirs, label="Relabel CT A"), "anna", theirs)
        assert engine.processors.calls[-1] == expected
        await press(app, pilot, "e", "x")
        engine.processors.statuses = ()
        engine.processors.error = changed_by("carla")
        await press(app, pilot, "ctrl+s", "ctrl+r")
        assert "does not exist any more" in words(app, "refusal")


async def test_a_trial_is_masked_until_asked_and_the_engine_knows_who_saw() -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        await press(app, pilot, "j", "t")
        trial = app.screen
        assert isinstance(trial, TrialScreen)
        assert "'••••••••' → '••••'" in trial.words
        assert "DOE" not in trial.words
        await press(app, pilot, "v")
        assert "assigns  project=NEURO-01, subject=DOE_JANE" in trial.words
        await press(app, pilot, "y")
        assert "Doe^Jane" in app.clipboard
        await press(app, pilot, "v")
        assert "Doe^Jane" not in trial.words
        assert [call[0] for call in engine.processors.calls] == ["test", "shown_test"]
        assert engine.processors.calls[1][2] == "anna"
        await press(app, pilot, "escape", "G")
        assert "processor.test" not in keys(screen)


async def test_a_draft_is_tried_from_the_dialog_before_it_is_saved() -> None:
    engine = processing()
    async with running(engine) as (app, _, pilot):
        await press(app, pilot, "j", "e")
        await write(app, pilot, "Relabel CT A")
        await press(app, pilot, "ctrl+t")
        assert isinstance(app.screen, TrialScreen)
        ((_, tried, _),) = engine.processors.calls
        assert tried == replace(RELABEL, label="Relabel CT A")
        engine.processors.error = EngineError("the engine is busy")
        await press(app, pilot, "v")
        assert "✗ the engine is busy" in app.screen.words
        await press(app, pilot, "escape", "ctrl+t")
        assert "the engine is busy" in words(app, "refusal")
        dialog = dialog_of(app)
        dialog.query_one("#processor_class").value = "forwardCopy"  # type: ignore[attr-defined]
        await press(app, pilot, "ctrl+t")
        assert "Not tried: only what acts before storing" in words(app, "refusal")


async def test_it_is_disabled_enabled_duplicated_and_deleted_after_a_yes() -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        await press(app, pilot, "s")
        assert "Set trial disabled, from the next object on" in told(app)
        assert engine.processors.calls[0] == ("set_enabled", 1, False, "anna")
        screen.query_one(ProcessorsTable).choose("4")
        await press(app, pilot, "c", "ctrl+s")
        assert engine.processors.calls[-1][1] == replace(COPY, id=0, label="Copy to PACS 2")
        screen.query_one(ProcessorsTable).choose("4")
        await press(app, pilot, "d")
        assert isinstance(app.screen, QuestionDialog)
        assert "1,277 objects for its destination will not be sent" in app.screen._text
        await press(app, pilot, "escape")
        assert engine.processors.calls[-1][0] == "save"
        await press(app, pilot, "d", "right", "enter")
        assert engine.processors.calls[-1] == ("delete", 4, "anna")


async def test_it_moves_among_those_at_its_location() -> None:
    engine = processing()
    async with running(engine) as (app, _, pilot):
        await press(app, pilot, "K")
        assert "Set trial is the first at its location" in told(app)
        await press(app, pilot, "j", "J")
        (saved,) = engine.processors.calls
        assert saved[1].order > TRIAGE.order
        assert saved[3] == RELABEL


async def test_given_up_objects_are_sent_again_or_forgotten_the_marked_ones_only() -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        screen.query_one(DestinationsTable).focus()
        await press(app, pilot, "r")
        assert engine.forwarding.calls == [("retry", 4, "anna", ())]
        await press(app, pilot, "enter")
        given_up = app.screen
        assert isinstance(given_up, ForwardingScreen)
        assert dict(given_up.query_one(Facts).facts)["next attempt"] == "14:04:32, in 1 min 10 s"
        await press(app, pilot, "enter")
        assert "0xA900: data set does not match" in app.screen._detail  # type: ignore[attr-defined]
        await press(app, pilot, "escape", "space", "space", "x")
        assert isinstance(app.screen, QuestionDialog)
        assert "Drop 2 given-up objects for Copy to PACS?" in app.screen._question
        await press(app, pilot, "right", "enter")
        assert ("drop", 4, "anna", (100, 99), False) in engine.forwarding.calls
        assert given_up.query_one(NotForwardedTable).marked == ()
        await press(app, pilot, "X", "right", "enter")
        last: tuple[Any, ...] = engine.forwarding.calls.pop()
        assert last == ("drop", 4, "anna", (), True)
        engine.forwarding.known = ()
        given_up.refetch()
        await settle(app, pilot)
        assert "forwarding.retry" not in keys(given_up)
        await press(app, pilot, "escape")
        shown: object = app.screen
        assert shown is screen


async def test_reports_that_are_not_delivered_say_why_and_are_sent_again() -> None:
    engine = processing()
    (delivered,) = engine.commitments.known
    waiting = replace(
        delivered.status,
        id=2,
        calling_ae_title="MR[1]",
        asked_at=NOW - timedelta(hours=3),
        state=CommitmentState.WAITING,
        failed=1,
        attempts=4,
        next_attempt_at=NOW + timedelta(seconds=30),
        reason="MR[1]@10.1.2.3:104: connection refused",
    )
    async with running(engine) as (app, screen, pilot):
        assert not screen.query_one(CommitmentsTable).region
        engine.commitments.known = (delivered, CommitmentDetail(waiting, delivered.objects))
        screen.refetch()
        await settle(app, pilot)
        table = screen.query_one(CommitmentsTable)
        (row,) = rows(table)
        assert row.removeprefix("▸").split()[:5] == ["▲", "waiting", "MR[1]", "3", "h"]
        assert "connection refused" in row
        assert "commitment.retry" not in keys(screen)
        table.focus()
        await press(app, pilot, "enter")
        detail = app.screen._detail  # type: ignore[attr-defined]
        assert "dicomdock commitments show 2" in detail
        await press(app, pilot, "escape", "r")
        assert engine.commitments.retried == [(2, "anna")]
        assert "the report to MR[1] is tried now" in told(app)


async def test_given_up_objects_that_a_filter_keeps_away_are_not_acted_on() -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        screen.query_one(DestinationsTable).focus()
        await press(app, pilot, "enter")
        given_up = app.screen
        assert isinstance(given_up, ForwardingScreen)
        await press(app, pilot, "slash", *"nosuchreason", "enter")
        assert given_up.query_one(NotForwardedTable).row_count == 0
        assert "forwarding.drop" not in keys(given_up)
        assert "forwarding.drop_waiting" in keys(given_up)
        await press(app, pilot, "x", "r")
        assert app.screen is given_up
        assert engine.forwarding.calls == []


async def test_a_long_list_of_given_up_objects_stays_short_and_says_so() -> None:
    engine = processing()
    first = engine.forwarding.given_up[0]
    engine.forwarding.given_up = tuple(replace(first, id=n) for n in range(2_000))
    engine.forwarding.known = (replace(engine.forwarding.known[0], failed=2_000_000),)
    async with running(engine) as (app, screen, pilot):
        screen.query_one(DestinationsTable).focus()
        await press(app, pilot, "enter")
        table = app.screen.query_one(NotForwardedTable)
        assert table.row_count == 500
        assert "500, the newest of 2,000,000" in str(app.screen.query_one("#failed").border_title)


async def test_an_answer_that_fails_leaves_what_was_known_and_says_so() -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        engine.processors.listing_error = EngineError("the [engine] is busy")
        screen.refetch()
        await settle(app, pilot)
        assert "✗ not up to date: the [engine] is busy" in screen.panel("processors")._note
        assert screen.query_one(ProcessorsTable).row_count == 5
        engine.processors.listing_error = None
        screen.refetch()
        await settle(app, pilot)
        assert screen.panel("processors")._note == ""
        assert not screen.has_class("-outdated")


@pytest.mark.parametrize(
    ("after", "moving", "due"),
    [
        (RefreshState(NOW, 12, 5, 3), False, False),
        (RefreshState(NOW, 13, 5, 3), False, True),
        (RefreshState(NOW + timedelta(seconds=0.5), 12, 6, 4), True, False),
        (RefreshState(NOW + timedelta(seconds=1), 12, 6, 3), False, True),
        (RefreshState(NOW + timedelta(seconds=1), 12, 5, 4), False, True),
        (RefreshState(NOW + timedelta(seconds=99), 12, 5, 3), False, False),
        (RefreshState(NOW + timedelta(seconds=2), 12, 5, 3), True, True),
    ],
)
def test_the_engine_is_asked_again_only_if_something_happened(
    after: RefreshState, moving: bool, due: bool
) -> None:
    asked = RefreshState(NOW, 12, 5, 3)
    assert is_due(after, asked, moving=moving) is due
    assert is_due(after, None, moving=moving)


async def test_read_only_shows_and_tries_but_changes_nothing() -> None:
    engine = processing()
    async with running(engine, read_only=True) as (app, screen, pilot):
        assert "processor.test" in keys(screen)
        await press(app, pilot, "n", "e", "s", "c", "d", "J")
        assert app.screen is screen
        screen.query_one(DestinationsTable).focus()
        await press(app, pilot, "r", "x", "X")
        assert app.screen is screen
        assert engine.processors.calls == []
        assert engine.forwarding.calls == []


async def test_one_refresh_of_a_busy_screen_writes_only_what_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = processing()
    async with running(engine) as (app, screen, pilot):
        drawn: list[object] = []
        monkeypatch.setattr(LiveTable, "render_lines", lambda table, _: drawn.append(table))
        screen.refetch()
        await settle(app, pilot)
        await app.look()
        await settle(app, pilot)
        assert not drawn
