"""Screen 6: what it shows, what its forms save, check, try and keep."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from textual.widgets import Button, Input, Static, TextArea

from engine.api.scripts import ScriptPreview, TrialOutcome
from engine.errors import EngineError, InvalidProject, NotDelivered, NotFound, Problem
from engine.model.file_sample import FileSample
from engine.model.project import Project
from engine.model.site import SiteSettings
from engine.model.study_route import StudyRoute
from tests.fakes import NOW, FakeEngine, busy
from tests.fakes.sessions import make_session
from tests.tui.receivers.test_receiver_dialog import wait_for
from tests.tui.settings.settled_site import ERROR, PROJECTS, SITE, TARGETS, TRAP, settled
from tui.app import ConsoleApp
from tui.places import SCREEN_SPECS
from tui.settings.before_after import BeforeAfter
from tui.settings.dialog import RoutingDialog, ScriptDialog
from tui.settings.screen import SiteScreen
from tui.settings.tables import ProjectsTable, StudyRoutesTable
from tui.shell.dialogs import MessageDialog, QuestionDialog
from tui.shell.palette import ConsoleCommands
from tui.shell.status import active_hints
from tui.widgets.field import Field, LineNotes
from tui.widgets.filter import FilterBar
from tui.widgets.panel import Facts
from tui.widgets.routing_preview import RoutingPreviewPanel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest
    from textual.pilot import Pilot

PLACES_HERE = tuple(place for place in SCREEN_SPECS if place.name in ("dashboard", "site"))
SECTION_KEYS = {
    "receivers": (),
    "routing": ("j",),
    "anonymization": ("j", "j"),
    "sessions": ("j",) * 3,
    "alerts": ("j",) * 4,
    "studies": ("j",) * 5,
    "projects": ("G",),
}

CHANGING = ("settings:", "project:", "site:", "alerts:")
ROUTE = StudyRoute("1.2.3", "neuro", added_by="anna", added_at=NOW)


@asynccontextmanager
async def running(
    engine: FakeEngine, section: str = "receivers", *keys: str, **options: Any
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    """Run a console that shows a section; pressing goes on once all is answered."""
    app = ConsoleApp(engine, refresh_hz=0, blink=False, actor="anna", places=PLACES_HERE, **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.pause()
        await press(app, pilot, "6")
        await press(app, pilot, *SECTION_KEYS[section], *keys)
        yield app, pilot


async def press(app: ConsoleApp, pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settle(app, pilot)


async def settle(app: ConsoleApp, pilot: Pilot[None]) -> None:
    for _ in range(2):
        await pilot.pause()
        await pilot.pause()
    await pilot.pause()


async def tried(app: ConsoleApp, pilot: Pilot[None]) -> None:
    """Let what waits for a pause in typing happen now."""
    await pilot.pause()
    dialog = app.screen
    if isinstance(dialog, ScriptDialog):
        dialog._check_and_try()
    if isinstance(dialog, RoutingDialog):
        dialog._try_rules()
    await settle(app, pilot)


def facts(app: ConsoleApp) -> dict[str, str]:
    return dict(app.screen.query_one(Facts).facts)


def field(app: ConsoleApp, name: str) -> Field:
    return app.screen.query_one(f"#field-{name}", Field)


def refusal(app: ConsoleApp) -> str:
    return str(app.screen.query_one("#refusal", Static).content)


def summary(app: ConsoleApp) -> str:
    return str(app.screen.query_one("#summary", Static).content)


def toasts(app: ConsoleApp) -> list[str]:
    return [notification.message for notification in app._notifications]


def hints(app: ConsoleApp) -> list[str]:
    return [hint.key.label for hint in active_hints(app.screen) if hint.enabled]


async def test_sections_show_what_is_in_force_and_are_read_again_after_a_change() -> None:
    engine = settled()
    async with running(engine) as (app, pilot):
        assert facts(app)["ports"] == "1024–49151"
        await press(app, pilot, "j")
        assert facts(app)["project"].startswith("in force\n(0010,4000):(.*)")
        await press(app, pilot, "k")
        engine.site_settings = replace(SITE, allow_low_ports=True)
        engine.undo("bert")
        await app.look()
        await settle(app, pilot)
        assert facts(app)["ports"] == "1–65535"


async def test_what_cannot_be_read_is_said_and_what_was_there_stays() -> None:
    engine = settled()
    async with running(engine) as (app, pilot):

        def fail() -> SiteSettings:
            raise EngineError("the store is locked", "wait")

        engine.site = fail  # type: ignore[method-assign]
        engine.undo("bert")
        await app.look()
        await settle(app, pilot)
        assert app.screen.query_one("#sections").border_subtitle is not None
        assert "the store is locked" in str(app.screen.query_one("#sections").border_subtitle)
        assert facts(app)["ports"] == "1024–49151"


async def test_a_changed_limit_is_saved_for_what_was_seen() -> None:
    engine = settled()
    async with running(engine, "receivers", "e") as (app, pilot):
        app.screen.query_one("#associations", Input).value = "0"
        await press(app, pilot, "ctrl+s")
        assert field(app, "associations").problems == ("is outside 1–10000; use 1 to 10000",)
        assert app.focused is not None
        assert app.focused.id == "associations"
        app.screen.query_one("#associations", Input).value = "25"
        await press(app, pilot, "ctrl+s")
        assert isinstance(app.screen, SiteScreen)
        ((saved, actor),) = engine.named("set_site")
        assert saved == replace(SITE, limits=replace(SITE.limits, associations=25))
        assert actor == "anna"


async def test_a_change_by_somebody_else_is_taken_over_on_request() -> None:
    engine = settled()
    async with running(engine, "receivers", "e") as (app, pilot):
        app.screen.query_one("#bind_address", Input).value = "127.0.0.1"
        engine.site_settings = replace(SITE, allow_low_ports=True)
        await press(app, pilot, "ctrl+s")
        assert "was changed by bert" in refusal(app)
        await press(app, pilot, "ctrl+r")
        assert "kept: Bind address" in refusal(app)
        await press(app, pilot, "ctrl+s")
        assert isinstance(app.screen, SiteScreen)
        assert engine.site_settings == replace(SITE, allow_low_ports=True, bind_address="127.0.0.1")


# Routing


async def test_rules_of_the_site_are_tried_after_those_of_each_objects_receiver() -> None:
    engine = settled()
    async with running(engine, "routing", "e") as (app, pilot):
        await tried(app, pilot)
        asked = engine.named("preview_routing")
        assert [receiver for receiver, _ in asked] == [
            status.receiver for status in engine.current.receivers
        ]
        assert {site for _, site in asked} == {SITE}
        assert field(app, "project_routing").hint == "✗ nothing decides → Unassigned"
        panel = app.screen.query_one(RoutingPreviewPanel)
        panel.action_step(1)
        await pilot.pause()
        assert "site rule 2" in field(app, "project_routing").hint
        assert panel.words is not None
        assert [str(words.attribute) for words in panel.words.attributes] == [
            *("project", "subject", "session", "auto-archive"),
        ]
        area = app.screen.query_one("#project_routing", TextArea)
        area.text = "(0008,1030:(.*)"
        await tried(app, pilot)
        assert not panel.is_current
        await press(app, pilot, "ctrl+s")
        assert area.has_focus
        assert engine.named("set_site") == []


async def test_whoever_is_shown_the_values_of_the_preview_is_told_to_the_engine() -> None:
    engine = settled()
    async with running(engine, "routing", "e") as (app, pilot):
        await tried(app, pilot)
        panel = app.screen.query_one(RoutingPreviewPanel)
        assert engine.named("shown_routing") == []
        assert "S0044" not in str(panel.visual)
        panel.focus()
        await press(app, pilot, "v")
        await tried(app, pilot)
        assert {actor for _, actor, _ in engine.named("shown_routing")} == {"anna"}
        assert "S0044" in str(panel.visual)


# Anonymization


async def test_a_script_is_checked_by_line_and_tried_before_it_is_saved() -> None:
    engine = settled()
    async with running(engine, "anonymization", "e") as (app, pilot):
        await tried(app, pilot)
        assert field(app, "anonymization_script").hint.startswith("! line 4: removes")
        notes = app.screen.query_one("#notes-anonymization_script", LineNotes)
        assert notes.lines[3].text == f"! {TRAP.message}"
        tries = [asked for kind, asked in engine.scripts.calls if kind == "preview"]
        trial, _, as_received, _ = cast("tuple[Any, ...]", tries[-1])
        assert (trial.text, as_received) == (SITE.script.text, True)
        await press(app, pilot, "f8")
        area = app.screen.query_one("#anonymization_script", TextArea)
        assert area.cursor_location == (3, 0)
        engine.scripts.findings = (ERROR,)
        area.text = SITE.script.text + "nonsense"
        await tried(app, pilot)
        assert field(app, "anonymization_script").problems == (
            "line 3, column 13: an unexpected word; write one statement a line",
        )
        await press(app, pilot, "ctrl+s")
        assert area.cursor_location == (2, 12)
        assert engine.named("set_site") == []


async def test_values_are_shown_on_request_for_a_while_and_that_is_told_to_the_engine() -> None:
    engine = settled()
    async with running(engine, "anonymization", "e") as (app, pilot):
        await tried(app, pilot)
        panel = app.screen.query_one(BeforeAfter)
        panel.focus()
        await press(app, pilot, "v")
        await tried(app, pilot)
        shows = [asked for kind, asked in engine.scripts.calls if kind == "shown_preview"]
        assert cast("tuple[Any, ...]", shows[-1])[2] == "anna"
        shown = panel._preview
        await press(app, pilot, "v")
        assert panel.masked
        assert panel._preview is panel._masked_preview
        assert shown is not None
        first = panel.chosen
        await press(app, pilot, "right")
        await tried(app, pilot)
        assert panel.chosen != first
        assert panel.masked


async def test_a_trial_that_fails_says_why_and_a_rejection_is_an_outcome() -> None:
    engine = settled()
    engine.scripts.result = ScriptPreview(TrialOutcome.REJECTED, (), "no consent", "", 4)
    async with running(engine, "anonymization", "e") as (app, pilot):
        await tried(app, pilot)
        panel = app.screen.query_one(BeforeAfter)
        assert any("reject it: line 4: no consent" in str(part) for part in panel._parts())

        def gone(*_: object, **__: object) -> ScriptPreview:
            raise NotFound("the object is gone", "choose another")

        engine.scripts.preview = gone  # type: ignore[method-assign]
        app.screen.query_one("#anonymization_script", TextArea).text = "// other"
        await tried(app, pilot)
        assert panel.chosen is not None
        assert not panel.chosen.as_received
        said = "no preview: the object is gone; choose another"
        assert any(said in str(part) for part in panel._parts())


async def test_a_script_is_tried_on_a_file_and_on_objects_again(tmp_path: Path) -> None:
    engine = settled()
    engine.objects.known = ()
    path = tmp_path / "a.dcm"
    path.write_bytes(b"the beginning")
    async with running(engine, "anonymization", "e") as (app, pilot):
        await tried(app, pilot)
        panel = app.screen.query_one(BeforeAfter)
        dialog = app.screen
        assert "f7 file" in str(panel.border_subtitle)
        assert engine.scripts.files == []
        await press(app, pilot, "f7")
        app.screen.query_one("#file", Input).value = str(path)
        await press(app, pilot, "enter")
        await wait_for(pilot, lambda: app.screen is dialog)
        await tried(app, pilot)
        assert set(engine.scripts.files) == {FileSample(b"the beginning", 13)}
        assert "a file" in str(panel.border_title)
        asked = len(engine.scripts.files)
        app.screen.query_one("#anonymization_script", TextArea).text += "-(0010,1000)\n"
        await tried(app, pilot)
        assert len(engine.scripts.files) > asked
        await press(app, pilot, "f7")
        app.screen.query_one("#file", Input).value = ""
        await press(app, pilot, "enter")
        await tried(app, pilot)
        assert any("no object is in memory" in str(part) for part in panel._parts())


async def test_without_a_script_the_usual_one_is_offered_to_begin_with() -> None:
    engine = settled()
    engine.site_settings, engine.scripts.findings = SiteSettings(), (ERROR,)
    engine.objects.known = ()
    async with running(engine, "anonymization", "e") as (app, pilot):
        await tried(app, pilot)
        panel = app.screen.query_one(BeforeAfter)
        assert any("no object is in memory" in str(part) for part in panel._parts())
        assert not field(app, "anonymization_script").problems
        engine.scripts.findings = ()
        await press(app, pilot, "f6")
        assert app.screen.query_one("#anonymization_script", TextArea).text.startswith("version")
        await press(app, pilot, "ctrl+s")
        assert engine.site_settings.script.text == engine.scripts.default_script()
        assert not engine.site_settings.script.enabled


# Projects


async def test_a_project_is_added_changed_and_deleted_with_what_becomes_of_its_data() -> None:
    engine = settled()
    async with running(engine, "projects", "n") as (app, pilot):
        await press(app, pilot, *"LUNG")
        await press(app, pilot, "ctrl+s")
        assert engine.named("save_project") == [(Project("LUNG"), "anna", None)]
        await press(app, pilot, "e")
        app.screen.query_one("#title", Input).value = "Brain"
        await press(app, pilot, "ctrl+s")
        changed = replace(PROJECTS[0], title="Brain")
        assert engine.named("save_project")[-1] == (changed, "anna", PROJECTS[0])
        app.screen.query_one(ProjectsTable).choose("NEURO-01")
        await press(app, pilot, "d")
        assert isinstance(app.screen, QuestionDialog)
        assert app.screen.query_one("#cancel", Button).has_focus
        sentence = str(app.screen.query_one(".sentence", Static).content)
        assert "sessions of it lie here; their files stay where they are" in sentence
        await press(app, pilot, "right", "enter")
        assert engine.named("delete_project") == [("NEURO-01", "anna")]


async def test_a_project_that_is_gone_cannot_be_saved_and_a_refusal_keeps_what_was_typed() -> None:
    engine = settled()
    async with running(engine, "projects", "e") as (app, pilot):
        app.screen.query_one("#title", Input).value = "Brain"
        taken = Problem("aliases", "neuro", "names another project", "choose another")
        engine.error = InvalidProject(taken)
        await press(app, pilot, "ctrl+s")
        assert "names another project" in field(app, "aliases").problems[0]
        engine.error, engine.known_projects = None, ()
        dialog = app.screen
        assert isinstance(dialog, ScriptDialog)
        dialog.action_reload()
        await settle(app, pilot)
        assert "does not exist any more" in refusal(app)
        assert app.screen.query_one("#title", Input).value == "Brain"


async def test_projects_are_filtered_and_opened() -> None:
    async with running(settled(), "projects") as (app, pilot):
        app.screen.query_one(FilterBar).open()
        app.screen.query_one(FilterBar).value = "alias:neuro"
        await press(app, pilot, "enter")
        assert app.screen.query_one(ProjectsTable).row_count == 1
        await press(app, pilot, "enter")
        assert isinstance(app.screen, MessageDialog)
        assert "sessions here     5" in app.screen._detail


# Alerts


async def test_targets_are_added_and_deleted_and_their_secrets_not_shown() -> None:
    engine = settled()
    async with running(engine, "alerts", "enter", "j") as (app, pilot):
        assert facts(app)["sent to"] == "webhook https://chat.example/…"
        await press(app, pilot, "d")
        assert isinstance(app.screen, QuestionDialog)
        assert "secret" not in str(app.screen.query_one(".sentence", Static).content)
        await press(app, pilot, "right", "enter")
        assert [target.name for target in engine.site_settings.alerts.targets] == ["pager"]
        await press(app, pilot, "n")
        app.screen.query_one("#name", Input).value = "log"
        app.screen.query_one("#command", Input).value = "/usr/bin/logger"
        await press(app, pilot, "ctrl+s")
        assert engine.site_settings.alerts.targets[-1].command == ("/usr/bin/logger",)


async def test_a_test_alert_goes_to_the_target_under_the_cursor_or_to_all() -> None:
    engine = settled()
    async with running(engine, "alerts", "t") as (app, pilot):
        assert engine.named("try_alert") == [(target, "anna") for target in TARGETS]
        assert toasts(app) == ["✓ 2 test alerts delivered: pager, chat"]
        await press(app, pilot, "enter", "j", "t")
        assert engine.named("try_alert")[2:] == [(TARGETS[1], "anna")]


async def test_a_test_alert_that_does_not_arrive_says_why_and_can_be_copied() -> None:
    engine = settled()
    engine.error = NotDelivered("the webhook answered 404", "check its address")
    async with running(engine, "alerts", "enter", "t") as (app, pilot):
        words = str(app.screen.query_one("#failures", Static).content)
        assert "The alert was not delivered: the webhook answered 404" in words
        assert "What to do: check its address" in words
        await press(app, pilot, "y")
        assert "send a test alert to pager" in app.clipboard


async def test_a_target_is_tried_before_it_is_saved() -> None:
    engine = settled()
    async with running(engine, "alerts", "n") as (app, pilot):
        await press(app, pilot, "ctrl+t")
        assert not engine.named("try_alert")
        assert field(app, "name").problems
        app.screen.query_one("#name", Input).value = "log"
        app.screen.query_one("#command", Input).value = "/usr/bin/logger -t dock"
        await pilot.pause()
        app.screen.query_one("#test", Button).press()
        await settle(app, pilot)
        ((target, _),) = engine.named("try_alert")
        assert target.command == ("/usr/bin/logger", "-t", "dock")
        assert len(engine.site_settings.alerts.targets) == 2


# Study routes


async def test_a_study_route_is_added_changed_and_deleted() -> None:
    engine = settled()
    async with running(engine, "studies") as (app, pilot):
        assert "no study is announced" in app.screen.query_one(StudyRoutesTable)._empty
        await press(app, pilot, "n")
        app.screen.query_one("#study_instance_uid", Input).value = "1.2.3"
        app.screen.query_one("#project", Input).value = "neuro"
        await pilot.pause()
        assert field(app, "project").note.text == "✓ NEURO-01"
        await press(app, pilot, "ctrl+s")
        assert engine.study_routes.known == [ROUTE]
        await press(app, pilot, "enter", "e")
        app.screen.query_one("#subject", Input).value = "S 1"
        await press(app, pilot, "ctrl+s")
        assert field(app, "subject").problems
        app.screen.query_one("#subject", Input).value = "S1"
        await press(app, pilot, "ctrl+s")
        assert engine.named("study_routes.save")[-1] == (
            StudyRoute("1.2.3", "neuro", "S1"), "anna", ROUTE
        )  # fmt: skip
        await press(app, pilot, "d")
        assert "Unassigned" in str(app.screen.query_one(".sentence", Static).content)
        await press(app, pilot, "right", "enter")
        assert engine.study_routes.known == []
        assert app.screen.query_one(StudyRoutesTable).row_count == 0


async def test_study_routes_are_filtered_and_said_in_full() -> None:
    engine = settled()
    engine.study_routes.known = [ROUTE, StudyRoute("1.2.4", "PETLAB", "S7", "S7_PT")]
    async with running(engine, "studies") as (app, pilot):
        assert hints(app)[:4] == ["Edit", "New", "Delete", "Filter"]
        await press(app, pilot, "slash", *"project:pet", "enter")
        assert app.screen.query_one(StudyRoutesTable).row_count == 1
        assert facts(app)["session"] == "S7_PT"
        await press(app, pilot, "escape")
        assert facts(app)["subject"] == "S7"
        engine.study_routes.known = []
        await press(app, pilot, "e")
        assert isinstance(app.screen, MessageDialog)
        assert "has no route any more" in app.screen._detail


async def test_a_route_that_nobody_asks_for_is_said() -> None:
    engine = settled()
    async with running(engine, "studies", "n") as (app, pilot):
        assert "No receiver has the identifier studyRouting" in summary(app)
    first = engine.current.receivers[0]
    routed = replace(first, receiver=replace(first.receiver, identifier="studyRouting"))
    engine.current = replace(engine.current, receivers=(routed,))
    async with running(engine, "studies", "n") as (app, pilot):
        assert summary(app).startswith("Asked for by XNAT:8104")
        await pilot.pause()


# Keys


async def test_keys_and_palette_offer_what_a_section_has_and_nothing_that_changes_when_read_only(
) -> None:  # fmt: skip
    async with running(settled()) as (app, pilot):
        assert {"Edit", "Details"} <= set(hints(app))
        assert not {"New", "Delete", "Filter"} & set(hints(app))
        names = [offer.name for offer in ConsoleCommands(app.screen)._entries()]
        assert {
            "settings: Edit routing",
            "settings: New project",
            "settings: New study route",
            "alerts: Test pager",
            "project: Delete PETLAB",
            "site: Allow no DICOM receivers",
        } <= set(names)
        await press(app, pilot, "G")
        assert {"Edit", "New", "Delete", "Filter"} <= set(hints(app))
    async with running(settled(), "projects", read_only=True) as (app, pilot):
        assert not {"Edit", "New", "Delete"} & set(hints(app))
        names = [offer.name for offer in ConsoleCommands(app.screen)._entries()]
        assert not [n for n in names if n.startswith(CHANGING)]


async def test_a_site_without_projects_says_the_next_step() -> None:
    async with running(busy(), "projects") as (app, _):
        table = app.screen.query_one(ProjectsTable)
        assert "n adds one" in table._empty
    async with running(busy(), "projects", read_only=True) as (app, _):
        assert app.screen.query_one(ProjectsTable)._empty == "there are no projects yet"


def noted(monkeypatch: pytest.MonkeyPatch, engine: object, name: str, asked: list[str]) -> None:
    """Note each call of a method, which still answers."""
    real = getattr(engine, name)

    def answer() -> object:
        asked.append(name)
        return real()

    monkeypatch.setattr(engine, name, answer)


async def test_the_sessions_of_a_thousand_projects_are_counted_by_one_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, asked = settled(), list[str]()
    ids = [f"P{number:04}" for number in range(1_000)]
    engine.known_projects = tuple(map(Project, ids))
    engine.sessions.known = [make_session(1, project="P0999")]
    noted(monkeypatch, engine.sessions, "by_project", asked)
    noted(monkeypatch, engine, "projects", asked)
    monkeypatch.setattr(engine.sessions, "list", None)
    async with running(engine, "projects", "G") as (app, _):
        rows = {row.key: row for row in app.screen.query_one(ProjectsTable)._rows}
        assert len(rows) == 1_000
        assert str(rows["P0999"].cells["sessions"].text) == "1"
        assert str(rows["P0500"].cells["sessions"].text) == "0"
        # One question for each look at the projects.
        assert asked.count("by_project") == asked.count("projects") <= 2
        table = app.screen.query_one(ProjectsTable)
        before = table._rows
        cast("SiteScreen", app.screen).show_again()
        assert table._rows is before  # nothing is new, so that no row is made again
