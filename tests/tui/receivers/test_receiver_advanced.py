"""The dialog's advanced section, its whitelist tester, and what happens when others change."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Button, Input, Select, Static, TextArea

from engine.errors import ChangedMeanwhile, InvalidReceiver, Problem
from engine.model.limits import Limits
from engine.model.receiver import ReceiverRules
from engine.model.site import DuplicatePolicy, SiteSettings
from tests.tui.receivers.test_receiver_dialog import (
    SIZES,
    FakeEngine,
    Host,
    edit_form,
    make_receiver,
    routing_receiver,
    screen_text,
    settle,
    wait_for,
)
from tui.receivers.fields import Disclosure
from tui.receivers.form import ADVANCED_FIELDS, ReceiverForm

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from engine.model.receiver import Receiver

AT = datetime(2026, 8, 24, 14, 1, 7, tzinfo=UTC)
ADVANCED = set(ADVANCED_FIELDS)


def form_of(receiver: Receiver, **site: object) -> ReceiverForm:
    return ReceiverForm.edit(receiver, ReceiverRules(site=SiteSettings(**site)))  # type: ignore[arg-type]


# The form


def test_own_limits_and_bind_address_survive_and_empty_means_the_sites() -> None:
    receiver = make_receiver(limits=(("idle_seconds", 120),), bind_address="10.0.0.5")
    form = form_of(receiver)
    assert form.result() == receiver
    form.set("idle_seconds", "")
    form.set("pdu_bytes", " 65536 ")
    form.set("bind_address", "")
    assert form.result() == make_receiver(limits=(("pdu_bytes", 65536),))


def test_every_member_of_a_receiver_survives_the_dialog() -> None:
    receiver = routing_receiver(
        enabled=False,
        file_namer="n",
        custom_processing=True,
        direct_archive=True,
        direct_archive_append=True,
        anonymization=False,
        whitelist_enabled=True,
        whitelist=("A", "B"),
        bind_address="::1",
        limits=(("message_seconds", 60), ("data_set_bytes", 2_000_000)),
    )
    assert form_of(receiver).result() == receiver


def test_advanced_fields_show_when_opened_set_or_wrong() -> None:
    form = form_of(make_receiver())
    assert not ADVANCED & form.visible_fields()
    form.open_advanced()
    assert form.visible_fields() >= ADVANCED
    form.set("idle_seconds", "3")
    form.open_advanced(False)
    assert form.visible_fields() >= ADVANCED
    (problem,) = form.problems()["idle_seconds"]
    assert (problem.field, problem.message) == ("limits.idle_seconds", "is outside 5–86400")
    form.set("idle_seconds", "30")
    assert not ADVANCED & form.visible_fields()
    assert form.advanced_in_words() == "its own: idle seconds"
    assert form_of(form.result()).is_advanced_open()


@pytest.mark.parametrize("text", ["1e3", "x", "٣"])
def test_a_limit_that_is_no_number_is_a_problem_of_its_field(text: str) -> None:
    form = form_of(make_receiver())
    form.set("pdu_bytes", text)
    assert [p.message for p in form.problems()["pdu_bytes"]] == ["is not a whole number"]


def test_a_bind_conflict_opens_the_section() -> None:
    other = make_receiver("OTHER", 8104, id=2, bind_address="10.0.0.5")
    form = edit_form(make_receiver(), other)
    assert form.is_advanced_open()
    assert list(form.problems()) == ["bind_address"]


def test_append_matters_only_with_direct_archive() -> None:
    form = form_of(make_receiver(direct_archive_append=True))
    assert "direct_archive_append" not in form.visible_fields()
    form.set("direct_archive", True)
    assert "direct_archive_append" in form.visible_fields()
    assert form.result().direct_archive_append


def test_a_rebase_keeps_what_was_changed_here_and_takes_the_rest() -> None:
    form = form_of(make_receiver(whitelist_enabled=True, whitelist=("A",)))
    form.set("whitelist", "A\nMINE")
    form.set("anonymization", False)
    theirs = make_receiver(
        "XNAT", 8105, enabled=False, whitelist_enabled=True, whitelist=("A", "THEIRS")
    )
    assert form.rebase(theirs) == ("anonymization", "whitelist")
    assert form.original == theirs
    assert form.is_dirty()
    assert form.result() == replace(theirs, anonymization=False, whitelist=("A", "MINE"))


def test_a_rebase_onto_the_same_change_leaves_nothing_to_save() -> None:
    form = form_of(make_receiver())
    form.set("port", "8105")
    assert form.rebase(make_receiver("XNAT", 8105)) == ()
    assert not form.is_dirty()


# The dialog


@pytest.mark.parametrize("keys", [["enter"], ["space"]])
@pytest.mark.parametrize("size", SIZES)
async def test_the_advanced_section_opens_and_closes_by_key(
    keys: list[str], size: tuple[int, int]
) -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        head = app.dialog.query_one(Disclosure)
        assert str(head.render()) == "▸ Advanced   as the site says"
        assert not ADVANCED & app.shown_fields()
        head.focus()
        await pilot.press(*keys)
        await pilot.pause()
        assert app.shown_fields() >= ADVANCED
        assert str(head.render()).startswith("▾ Advanced")
        await pilot.press("tab")
        assert app.focused_id() == "bind_address"
        await pilot.press("shift+tab", *keys)
        await pilot.pause()
        assert not ADVANCED & app.shown_fields()
        assert app.focused is head


async def test_a_click_opens_it_too() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.click(Disclosure)
        await pilot.pause()
        assert app.shown_fields() >= ADVANCED


async def test_placeholders_and_notes_say_the_sites_values() -> None:
    site = SiteSettings(bind_address="10.0.0.1", limits=Limits(idle_seconds=90))
    receiver = make_receiver(limits=(("message_seconds", 600),))
    app = Host(ReceiverForm.edit(receiver, ReceiverRules(site=site)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert app.dialog.query_one("#idle_seconds", Input).placeholder == "90"
        assert app.dialog.query_one("#bind_address", Input).placeholder == "10.0.0.1"
        assert app.field("bind_address").note.text == "the site's: 10.0.0.1"
        assert app.field("idle_seconds").note.text == "the site's: 90 s"
        assert app.field("message_seconds").note.text == "10 min; the site's: 30 min"
        assert app.field("data_set_bytes").note.text == "the site's: 4.3 GB"


async def test_typed_limits_are_saved_and_letters_are_not_taken() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=(120, 40)) as pilot:
        app.dialog.query_one(Disclosure).focus()
        await pilot.press("enter", "tab", *"::1", "tab", "tab", *"x2-5")
        app.dialog.query_one("#duplicates", Select).value = "reject"
        await settle(pilot)
        assert app.field("duplicates").note.text == "the site's: keep"
        await pilot.press("ctrl+s")
        await settle(pilot)
    own: dict[str, Any] = {"bind_address": "::1", "duplicates": DuplicatePolicy.REJECT}
    saved = make_receiver(**own, limits=(("associations_per_receiver", 25),))
    assert app.results == [saved]


async def test_f8_opens_the_section_and_goes_to_the_wrong_limit() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=(80, 24)) as pilot:
        app.dialog.query_one(Disclosure).focus()
        await pilot.press("enter", *["tab"] * 4, "3", "shift+tab", "ctrl+s")
        await settle(pilot)
        assert app.focused_id() == "idle_seconds"
        said = app.field("idle_seconds").problems
        assert said == ("is outside 5–86400; use 5 to 86400",)


async def test_a_refused_advanced_value_opens_the_section() -> None:
    problem = Problem("bind_address", "10.0.0.9", "is not on this host", "choose another")
    app = Host(edit_form(make_receiver()), engine=FakeEngine(InvalidReceiver(problem)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.focused_id() == "bind_address"
        assert app.field("bind_address").problems == ("is not on this host; choose another",)


@pytest.mark.parametrize("size", SIZES)
async def test_the_tester_follows_caller_and_whitelist(size: tuple[int, int]) -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("MR_SKYRA@10.4.7.0/24",))
    app = Host(edit_form(receiver))
    async with app.run_test(size=size) as pilot:
        verdict = app.dialog.query_one("#caller-verdict", Static)
        app.dialog.query_one("#whitelist").focus()
        await pilot.press("tab", *"CT1", "tab", *"10.4.1.9")
        await pilot.pause()
        assert str(verdict.visual) == "✗ refused; no line is like it"
        area = app.dialog.query_one("#whitelist", TextArea)
        area.focus()
        await pilot.press("end", "enter", *"CT1@10.4.1.9")
        await pilot.pause()
        assert str(verdict.visual) == "✓ admitted by line 2: CT1@10.4.1.9"
        assert app.dialog.region.contains_region(verdict.region) or size == (80, 24)
        await pilot.press("ctrl+s")
        await settle(pilot)
    assert app.results == [
        replace(receiver, whitelist=("MR_SKYRA@10.4.7.0/24", "CT1@10.4.1.9")),
    ]


async def test_trying_a_caller_changes_nothing_that_could_be_lost() -> None:
    app = Host(edit_form(make_receiver(whitelist_enabled=True, whitelist=("[b]A",))))
    async with app.run_test(size=(120, 40)) as pilot:
        app.dialog.query_one("#caller_ae_title").focus()
        await pilot.press(*"[b]A", "tab", "1")
        await pilot.pause()
        assert "! 1 is not an address" in screen_text(app)
        await pilot.press(*".1.1.1")
        await pilot.pause()
        assert "✓ admitted by line 1: [b]A" in screen_text(app)
        await pilot.press("escape")
        await pilot.pause()
    assert app.results == [None]


async def test_the_tester_goes_with_the_whitelist() -> None:
    app = Host(edit_form(make_receiver(whitelist_enabled=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        assert app.dialog.query_one("#tester").display
        app.dialog.query_one("#whitelist_enabled").focus()
        await pilot.press("space")
        assert not app.dialog.query_one("#tester").display


async def test_the_dialog_answers_keys_while_a_silent_engine_is_asked_for_a_reload() -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("A",))
    app = Host(edit_form(receiver))
    async with app.run_test(size=(120, 40)) as pilot:
        await change_meanwhile(pilot, app, replace(receiver, port=8105))
        app.fake.may_look.clear()
        await pilot.press("ctrl+r", *"_2")
        await pilot.pause()
        assert app.dialog.query_one("#whitelist", TextArea).text == "A\nMINE_2"
        assert "Reloaded" not in app.words("refusal")
        app.fake.may_look.set()
        await wait_for(pilot, lambda: "Reloaded" in app.words("refusal"))
        assert app.dialog.query_one("#whitelist", TextArea).text == "A\nMINE_2"
        assert app.dialog.query_one("#port", Input).value == "8105"


async def change_meanwhile(pilot: Pilot[None], app: Host, current: Receiver | None) -> None:
    """Type a whitelist line, and save after somebody else has changed the receiver."""
    app.fake.current = current
    changes = ["port: 8104 → 8105"]
    app.fake.refusal = ChangedMeanwhile("XNAT:8104", "anna [/x]", AT, changes)
    app.dialog.query_one("#whitelist").focus()
    await pilot.press("end", "enter", *"MINE", "ctrl+s")
    await settle(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_a_conflict_says_who_changed_what_and_keeps_everything_typed(
    size: tuple[int, int],
) -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("A",))
    app = Host(edit_form(receiver))
    async with app.run_test(size=size) as pilot:
        assert not app.dialog.query_one("#reload", Button).display
        await change_meanwhile(pilot, app, replace(receiver, port=8105))
        said = app.words("refusal")
        assert said.startswith("✗ Not saved: XNAT:8104 was changed by anna [/x] at 2026-08-24")
        assert "port: 8104 → 8105" in said
        assert said.endswith("ctrl+r takes over those changes and keeps yours; then save again")
        assert app.dialog.query_one("#whitelist", TextArea).text == "A\nMINE"
        assert app.dialog.query_one("#port", Input).value == "8104"
        button = app.dialog.query_one("#reload", Button)
        assert app.dialog.region.contains_region(button.region)


@pytest.mark.parametrize("by", ["key", "button"])
async def test_reload_takes_their_changes_and_keeps_mine(by: str) -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("A",))
    theirs = replace(receiver, port=8105, direct_archive=True, bind_address="10.0.0.5")
    app = Host(edit_form(receiver))
    async with app.run_test(size=(120, 40)) as pilot:
        await change_meanwhile(pilot, app, theirs)
        await (pilot.press("ctrl+r") if by == "key" else pilot.click("#reload"))
        await pilot.pause()
        assert app.words("refusal") == "↻ Reloaded. Your own changes are kept: Whitelist"
        assert app.dialog.query_one("#port", Input).value == "8105"
        assert app.form.text("bind_address") == "10.0.0.5"
        assert app.form.is_on("direct_archive")
        assert not app.dialog.query_one("#reload", Button).display
        app.fake.refusal = None
        await pilot.press("ctrl+s")
        await settle(pilot)
    assert app.fake.seen == [receiver, theirs]
    assert app.results == [replace(theirs, whitelist=("A", "MINE"))]


async def test_reload_of_a_receiver_that_is_gone_says_so() -> None:
    app = Host(edit_form(make_receiver(whitelist_enabled=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await change_meanwhile(pilot, app, None)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert "does not exist any more" in app.words("refusal")
        assert app.form.text("whitelist").strip() == "MINE"


async def test_ctrl_r_does_nothing_without_a_conflict() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test() as pilot:
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert app.words("refusal") == ""


async def test_a_problem_in_a_text_names_line_and_column_and_f8_goes_there() -> None:
    problem = Problem("subject_routing", "x", "[/x] is no group", "write 1", line=2, column=4)
    receiver = routing_receiver(subject_routing="(0010,0020):(.*)\n(0010,0010):(.*)")
    app = Host(edit_form(receiver), engine=FakeEngine(InvalidReceiver(problem)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+s")
        await settle(pilot)
        said = app.field("subject_routing").problems
        assert said == ("line 2, column 4: [/x] is no group; write 1",)
        assert app.dialog.query_one("#subject_routing", TextArea).cursor_location == (1, 3)


async def test_a_column_of_a_single_line_stands_alone() -> None:
    problem = Problem("ae_title", "x", "is odd", "mend it", column=9)
    app = Host(edit_form(make_receiver()), engine=FakeEngine(InvalidReceiver(problem)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.field("ae_title").problems == ("column 9: is odd; mend it",)
