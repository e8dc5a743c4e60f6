"""What an identifier wants to know is asked in the dialog while it is chosen, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Select

from engine.model.plugins import DEFAULT_IDENTIFIERS, PROJECT_FIELD, IdentifierField, IdentifierInfo
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import ReceiverRules
from engine.model.secrets import MASK
from tests.tui.receivers.test_receiver_dialog import (
    FakeEngine,
    Host,
    make_receiver,
    screen_text,
    settle,
)
from tui.receivers.form import ReceiverForm, project_choices

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.model.receiver import Receiver

DEFAULT = DEFAULT_IDENTIFIERS[0]
SUBJECT = IdentifierField(
    "subject",
    "Subject",
    "use 1 to 64 letters, digits, '_' or '-'",
    check=lambda text: "" if text.isalnum() else "is not a label",
)
FIXED = IdentifierInfo(
    "fixedProjectSubject",
    "One project and subject for all objects",
    can_route=False,
    fields=(PROJECT_FIELD, SUBJECT),
)
STATION = IdentifierInfo(
    "stationIdentifier", "By station name", can_route=True, fields=(PROJECT_FIELD,)
)
BROKEN = IdentifierInfo(
    "acmeIdentifier",
    "acmeIdentifier",
    can_route=False,
    origin="acme 2.5",
    error="ModuleNotFoundError: No module named 'acme_needs'",
)
INSTALLED = (DEFAULT, FIXED, STATION, BROKEN)
PROJECTS = ProjectRegistry((Project("NEURO-01", "Neurology", ("neuro",)), Project("CARDIO")))
PROJECT, NAME, OTHER_PROJECT = "setting_1_project", "setting_1_subject", "setting_2_project"
SETTINGS = (("project", "CARDIO"), ("subject", "S1"))


def rules(*others: Receiver, projects: ProjectRegistry = PROJECTS) -> ReceiverRules:
    return ReceiverRules(identifiers=INSTALLED, others=others, projects=projects)


def fixed(**changes: object) -> Receiver:
    return make_receiver(
        "FIX", 8104, **{"identifier": FIXED.id, "identifier_settings": SETTINGS, **changes}
    )


def edit(receiver: Receiver) -> ReceiverForm:
    return ReceiverForm.edit(receiver, rules())


def new(identifier: str = FIXED.id) -> ReceiverForm:
    form = ReceiverForm.new(rules())
    form.set("ae_title", "FIX")
    form.choose_identifier(identifier)
    return form


@pytest.mark.parametrize(
    ("identifier", "shown"),
    [
        (DEFAULT.id, set()),
        (FIXED.id, {PROJECT, NAME}),
        (STATION.id, {OTHER_PROJECT}),
        (BROKEN.id, set()),
    ],
)
def test_only_the_fields_of_the_chosen_identifier_are_visible(
    identifier: str, shown: set[str]
) -> None:
    visible = new(identifier).visible_fields()
    assert {name for name in visible if name.startswith("setting_")} == shown


def test_they_stand_below_the_identifier() -> None:
    order = new().field_order
    at = order.index("identifier")
    assert order[at : at + 4] == ("identifier", PROJECT, NAME, OTHER_PROJECT)


def test_what_the_identifier_is_told_is_saved_and_read_back() -> None:
    form = new()
    form.set(PROJECT, "CARDIO")
    form.set(NAME, "S1")
    receiver = form.result()
    assert receiver.identifier_settings == SETTINGS
    again = edit(receiver)
    assert (again.text(PROJECT), again.text(NAME), again.text(OTHER_PROJECT)) == (
        "CARDIO",
        "S1",
        "",
    )
    assert not again.is_dirty()


def test_another_identifier_is_not_told_what_this_one_was_but_it_is_kept_meanwhile() -> None:
    form = edit(fixed())
    form.choose_identifier(DEFAULT.id)
    assert form.result().identifier_settings == ()
    form.choose_identifier(FIXED.id)
    assert form.result().identifier_settings == SETTINGS


def test_problems_appear_at_the_field_that_they_are_about() -> None:
    form = new()
    assert list(form.problems()) == [PROJECT, NAME]
    form.set(PROJECT, "GONE")
    form.set(NAME, "a b")
    told = {name: found[0].message for name, found in form.problems().items()}
    assert told == {PROJECT: "names no project", NAME: "is not a label"}


@pytest.mark.parametrize("identifier", ["gone", BROKEN.id])
def test_one_that_can_not_be_used_keeps_what_it_was_told_and_says_why(identifier: str) -> None:
    form = edit(fixed(identifier=identifier))
    (problem,) = form.problems()["identifier"]
    assert problem.message.startswith(
        "can't be used: ModuleNotFoundError" if identifier == BROKEN.id else "specifies an unknown"
    )
    assert form._settings_record() == dict(SETTINGS)
    form.choose_identifier(DEFAULT.id)
    assert form.problems() == {}


def test_a_reload_takes_over_what_somebody_else_told_the_identifier() -> None:
    form = edit(fixed())
    form.set(NAME, "S2")
    assert form.rebase(fixed(identifier_settings=(("project", "neuro"), ("subject", "S1")))) == (
        NAME,
    )
    assert (form.text(PROJECT), form.text(NAME)) == ("neuro", "S2")


def test_labels_and_help_come_from_the_identifier() -> None:
    form = new()
    assert form.label(PROJECT) == "  Project *"
    assert form.help(NAME) == "Use 1 to 64 letters, digits, '_' or '-'."


@pytest.mark.parametrize(
    ("chosen", "last"),
    [
        ("", ("CARDIO", "CARDIO")),
        ("CARDIO", ("CARDIO", "CARDIO")),
        ("neuro", ("neuro (alias of NEURO-01)", "neuro")),
        ("GONE", ("GONE (does not exist)", "GONE")),
    ],
)
def test_the_projects_to_choose_from_include_what_is_chosen(
    chosen: str, last: tuple[str, str]
) -> None:
    choices = project_choices(PROJECTS, chosen)
    assert choices[0] == ("NEURO-01  Neurology", "NEURO-01")
    assert choices[-1] == last
    assert project_choices(None, "") == ()


async def pick(pilot: Pilot[None], app: Host, name: str, *keys: str) -> None:
    app.dialog.query_one(f"#{name}").focus()
    await pilot.press("enter", *keys, "enter")
    await pilot.pause()


async def test_a_receiver_with_a_fixed_project_is_made_with_the_keyboard() -> None:
    app = Host(ReceiverForm.new(rules()))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*"FIX")
        await pick(pilot, app, "identifier", "down")
        assert {PROJECT, NAME} <= app.shown_fields()
        assert OTHER_PROJECT not in app.shown_fields()
        assert "cannot use routing expressions" in app.field("identifier").hint
        await pick(pilot, app, PROJECT, "down", "down")
        await pilot.press("tab", *"S1", "ctrl+s")
        await settle(pilot)
    assert app.results[0] is not None
    assert app.results[0].identifier_settings == (("project", "CARDIO"), ("subject", "S1"))


async def test_what_is_missing_is_said_at_the_field_when_saving_is_tried() -> None:
    app = Host(new())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.focused_id() == PROJECT
        assert "is empty; name a project" in app.field(PROJECT).problems[0]
        await pilot.press("f8")
        assert app.focused_id() == NAME


async def test_the_fields_go_with_their_identifier_and_the_focus_goes_to_it() -> None:
    app = Host(edit(fixed()))
    async with app.run_test(size=(120, 40)) as pilot:
        await pick(pilot, app, "identifier", "up")
        assert not {PROJECT, NAME} & app.shown_fields()
        assert app.form.is_dirty()
        await pick(pilot, app, "identifier", "down")
        assert app.dialog.query_one(f"#{PROJECT}", Select).value == "CARDIO"
        assert app.dialog.query_one(f"#{NAME}", Input).value == "S1"
        assert not app.form.is_dirty()


async def test_a_mask_in_what_the_identifier_is_told_says_what_leaving_it_means() -> None:
    app = Host(edit(fixed(identifier_settings=(("project", "CARDIO"), ("subject", MASK)))))
    async with app.run_test(size=(120, 40)) as pilot:
        assert app.field(NAME).hint == f"{MASK} is saved and not shown; leave it to keep it"
        app.dialog.query_one(f"#{NAME}", Input).value = "S2"
        await pilot.pause()
        assert app.field(NAME).hint == SUBJECT.help


async def test_a_reload_shows_a_project_that_was_not_there_before() -> None:
    engine = FakeEngine()
    engine.current = fixed(identifier_settings=(("project", "GONE"), ("subject", "S3")))
    app = Host(edit(fixed()), engine=engine)
    async with app.run_test(size=(120, 40)) as pilot:
        app.dialog._changed_meanwhile = True
        app.dialog.action_reload()
        await settle(pilot)
        assert app.dialog.query_one(f"#{PROJECT}", Select).value == "GONE"
        assert app.dialog.query_one(f"#{NAME}", Input).value == "S3"
        assert "names no project" in app.field(PROJECT).problems[0]


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        (BROKEN.id, ("✗ acmeIdentifier (broken)", "No module named 'acme_needs'")),
        ("gone", ("✗ gone (not installed)", "unknown DICOM Object Identifier 'gone'")),
    ],
)
async def test_a_stored_identifier_that_can_not_be_used_is_shown_with_its_error(
    identifier: str, said: tuple[str, ...]
) -> None:
    app = Host(edit(fixed(identifier=identifier)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert all(words in screen_text(app) for words in said)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.fake.saved == []


async def test_without_projects_there_is_nothing_to_choose_and_that_is_said() -> None:
    form = ReceiverForm.new(rules(projects=ProjectRegistry()))
    form.choose_identifier(FIXED.id)
    app = Host(form)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert "there are no projects yet" in screen_text(app)


async def test_hostile_words_of_a_plugin_are_only_words() -> None:
    field = IdentifierField(
        "x", "[red]X[/]\x1b[2J and more of it", "[bold]help\x9b", required=False
    )
    hostile = IdentifierInfo("[link]id\x1b", "[/]\x1b]0;name", can_route=True, fields=(field,))
    form = ReceiverForm.new(ReceiverRules(identifiers=(hostile, DEFAULT), projects=PROJECTS))
    form.choose_identifier(hostile.id)
    app = Host(form)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        text = screen_text(app)
        assert "[red]X[/]␛[2J" in text
        assert "[/]␛]0;name" in text
        app.dialog.query_one("#setting_0_x").focus()
        await pilot.press("f1")
        await settle(pilot)
        assert "[bold]help⟨009B⟩." in screen_text(app)
