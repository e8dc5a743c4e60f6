"""The dry run of routing rules in the receiver dialog: its words, and when it is made."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Input, Static, TextArea

from engine.errors import NotFound, UnreadableObject
from engine.model.file_sample import FileSample
from engine.model.identity import Attribute
from engine.model.processing import Assignment, ElementChange, ProcessorStep, Verdict
from engine.model.processor import Location
from engine.model.receiver import ReceiverRules
from tests.engine.identification.identifying import header_of
from tests.tui.previewing import PROJECTS, preview_of
from tests.tui.receivers.test_receiver_dialog import DEFAULT, SEVERAL, Host, make_receiver, wait_for
from tui.receivers.form import ReceiverForm
from tui.widgets.field import Field, LineNotes
from tui.widgets.routing_preview import (
    MAX_FAILED_RULES,
    SHOW_SECONDS,
    RoutingPreviewPanel,
    object_words,
    totals,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.timer import Timer

    from engine.model.processing import RoutingPreview
    from engine.model.receiver import Receiver
    from tui.widgets.routing_preview import AttributeWords

pytestmark = pytest.mark.usefixtures("no_delays")

PLAIN = make_receiver("MR_RESEARCH", 11112, identifier=DEFAULT.id)
ROUTED = replace(
    PLAIN,
    routing_enabled=True,
    project_routing="(0010,4000):(.*)\n(0008,1030):([A-Z]+-\\d+).*:1",
    subject_routing="(0010,0020):([^_]+)_.*:1",
    session_routing="(0020,0010):(.+):1",
)


def newest(draft: Receiver, **values: Any) -> RoutingPreview:
    headers = [header_of(**values)] if values else None
    return preview_of(PLAIN, headers)(draft)[0]


def words_of(draft: Receiver, attribute: Attribute, *, masked: bool = False) -> AttributeWords:
    preview = preview_of(PLAIN)(draft)[-1]
    return next(
        found
        for found in object_words(preview.masked() if masked else preview).attributes
        if found.attribute is attribute
    )


def test_the_rule_that_decides_is_named_with_what_it_took() -> None:
    words = words_of(ROUTED, Attribute.PROJECT)
    assert words.value == "NEURO-01"
    assert words.by == "rule 2 · (0008,1030) StudyDescription"
    assert words.taken == "“[NEURO-01]^BRAIN”"
    assert words.in_one_line == "→ NEURO-01 · rule 2 · (0008,1030) StudyDescription"


def test_rules_that_decide_nothing_say_why() -> None:
    (why,) = words_of(ROUTED, Attribute.PROJECT).passed_over
    assert why == "rule 1: (0010,4000) PatientComments: the object has no such element"


def test_what_processors_do_is_said_before_the_rules() -> None:
    change = ElementChange("(0010,0010)", "PatientName", "changed", "A", "B")
    at = Location.AFTER_DICOM_READ
    steps = (
        ProcessorStep("Other", "setElements", at, Verdict.NOT_SEEN, "its project is A"),
        ProcessorStep("Set", "setElements", at, Verdict.CONTINUED, changes=(change,)),
        ProcessorStep("Re\nlabel", "x", at, Verdict.CONTINUED, "", Assignment("A", "S0042")),
    )
    preview = replace(preview_of(PLAIN)(ROUTED)[-1], draft_processing=steps)
    assert object_words(preview).processing == (
        "Set continued: 1 element changed",
        "Re␊label continued: project=A, subject=S0042",
    )
    assert "S0042" not in repr(object_words(preview.masked()).processing)


def test_a_default_that_steps_in_is_named() -> None:
    words = words_of(ROUTED, Attribute.SESSION)
    assert words.is_decided
    assert words.by.startswith("default · ")
    assert len(words.passed_over) == 1


def test_what_nothing_decides_is_said() -> None:
    draft = replace(PLAIN, routing_enabled=True, project_routing="(0008,0060):(PT)")
    preview = newest(draft, StudyDescription="nobody")
    project = object_words(preview).attributes[0]
    assert not project.is_decided
    assert project.in_one_line == "✗ nothing decides → Unassigned"


def test_many_rules_that_decide_nothing_do_not_fill_the_screen() -> None:
    draft = replace(ROUTED, project_routing="(0010,4000):(.*)\n" * 9)
    assert len(words_of(draft, Attribute.PROJECT).passed_over) == MAX_FAILED_RULES


def test_masked_words_show_no_value_of_the_patient() -> None:
    preview = preview_of(PLAIN)(ROUTED)[-1]
    assert "S0042" in repr(object_words(preview))
    assert "S0042" not in repr(object_words(preview.masked()))
    assert words_of(ROUTED, Attribute.SUBJECT, masked=True).value == "•••••"


def test_values_of_peers_cannot_steer_the_terminal() -> None:
    preview = newest(ROUTED, PatientID="S\x1b[2J_1", StudyDescription="NEURO-01^\x9b2J")
    assert not re.search("[\x00-\x1f\x80-\x9f]", repr(object_words(preview))[1:-1])


def test_a_rule_that_would_refuse_objects_is_said() -> None:
    draft = replace(ROUTED, subject_routing=r"(0010,4000):((a|aa)+)!")
    preview = newest(draft, PatientComments="a" * 60)
    words = object_words(preview)
    assert words.refused.startswith("a routing rule failed")
    assert words.attributes == ()
    assert "✗ 1 object would be refused" in totals((preview,))


def test_all_objects_are_counted() -> None:
    draft = replace(ROUTED, subject_routing="(0010,0020):(S0042)_.*:1")
    assert totals(preview_of(PLAIN)(draft)) == (
        "3 recent objects; these rules decide project 2, subject 1, session 0; "
        "2 filed otherwise than now"
    )


def test_a_draft_is_judged_by_its_rules_alone() -> None:
    form = ReceiverForm.new(ReceiverRules(identifiers=(DEFAULT,)))
    form.set("routing_enabled", True)
    form.set("project_routing", "(0008,1030):(.*)")
    form.set("whitelist_enabled", True)
    form.set("whitelist", "10.4.7.300")
    assert form.problems()
    assert form.to_draft().project_routing == "(0008,1030):(.*)"


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        ({}, False),
        ({"routing_enabled": True}, True),
        ({"identifier": SEVERAL[2].id}, True),
    ],
)
def test_the_preview_is_there_when_something_else_may_decide(
    changes: dict[str, str | bool], matters: bool
) -> None:
    form = ReceiverForm.edit(PLAIN, ReceiverRules(identifiers=SEVERAL))
    for name, value in changes.items():
        form.set(name, value)
    assert form.previews_routing() is matters


def host(receiver: Receiver) -> Host:
    rules = ReceiverRules(identifiers=(DEFAULT,), projects=PROJECTS)
    return Host(ReceiverForm.edit(receiver, rules), preview=preview_of(receiver))


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(2):
        await pilot.pause()
        await pilot.pause()
    await pilot.pause()


async def test_a_typed_rule_shows_at_once_what_it_does() -> None:
    app = host(ROUTED)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        field = app.dialog.query_one("#field-project_routing", Field)
        assert field.hint.startswith("✗ nothing decides")  # the newest one is a heart
        app.dialog.query_one("#project_routing").focus()
        await pilot.press("down", "end", "enter", *"(0008,1030):(.*")
        await settle(pilot)
        assert "waits" in str(panel.visual)
        notes = app.dialog.query_one("#notes-project_routing", LineNotes)
        assert [note.text for note in notes.lines] == ["✓", "✓", "✗"]
        await pilot.press(*")\\^.*:1")
        await settle(pilot)
        assert field.hint.startswith("→ CARDIO · rule 3")
        assert "object 1 of 3" in str(panel.border_title)


async def test_objects_are_walked_through_and_their_values_shown_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timers: list[float] = []
    app = host(ROUTED)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        set_timer = panel.set_timer

        def timer(delay: float, then: Callable[[], None]) -> Timer:
            timers.append(delay)
            return set_timer(delay, then)

        monkeypatch.setattr(panel, "set_timer", timer)
        panel.focus()
        await pilot.press("right", "right", "right")
        assert "object 3 of 3" in str(panel.border_title)
        assert "S0042" not in str(panel.visual)
        await pilot.press("v")
        await settle(pilot)
        assert "S0042" in str(panel.visual)
        subject = app.dialog.query_one("#field-subject_routing", Field)
        assert subject.hint == "→ S0042 · rule 1 · (0010,0020) PatientID"
        assert timers == [SHOW_SECONDS]
        panel._mask()
        assert "S0042" not in str(panel.visual)
        await pilot.press("left")
        assert "object 2 of 3" in str(panel.border_title)


async def test_values_are_asked_for_when_they_are_wanted_and_no_sooner() -> None:
    asked: list[bool] = []
    found = preview_of(ROUTED)

    def preview(draft: Receiver, shown: bool) -> tuple[RoutingPreview, ...]:
        asked.append(shown)
        return found(draft, shown)

    form = ReceiverForm.edit(ROUTED, ReceiverRules(identifiers=(DEFAULT,), projects=PROJECTS))
    app = Host(form, preview=preview)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        assert (asked, "S0044" in repr(panel._previews)) == ([False], False)
        panel.focus()
        await pilot.press("v")
        await settle(pilot)
        assert (asked, "S0044" in repr(panel._previews)) == ([False, True], True)
        await pilot.press("v")
        assert "S0044" not in repr(panel._previews)
        await settle(pilot)
        assert asked[-1] is False


async def test_a_preview_that_cannot_be_made_says_why() -> None:
    def refuse(*_: object) -> tuple[RoutingPreview, ...]:
        raise NotFound("the engine stops")

    app = Host(ReceiverForm.edit(ROUTED, ReceiverRules(identifiers=(DEFAULT,))), preview=refuse)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        assert str(panel.visual) == "no preview: the engine stops"


async def test_without_objects_the_preview_says_what_it_waits_for() -> None:
    form = ReceiverForm.edit(ROUTED, ReceiverRules(identifiers=(DEFAULT,)))
    app = Host(form, preview=lambda *_: ())
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        assert "there is no object to try the rules on" in str(panel.visual)


DICOM = b"the beginning of a file"


def host_with_file(receiver: Receiver) -> Host:
    app = host(receiver)
    found = preview_of(receiver)

    def file_preview(draft: Receiver, file: FileSample) -> Any:
        if file.content != DICOM:
            raise UnreadableObject("the file can't be tried: is not a DICOM file", "choose another")
        return (replace(found(draft, False)[-1], is_file=True),)

    app.fake.file_preview = file_preview  # type: ignore[assignment, method-assign]
    return app


async def test_the_rules_of_the_form_are_tried_on_a_file_and_on_recent_objects_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(DICOM)
    app = host_with_file(ROUTED)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        panel = app.dialog.query_one(RoutingPreviewPanel)
        assert "f7 file" in str(panel.border_subtitle)
        await pilot.press("f7")
        app.screen.query_one("#file", Input).value = str(path)
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.screen is app.dialog)
        head = "a file, as if it were sent to MR_RESEARCH:11112"
        await wait_for(pilot, lambda: panel.words is not None and panel.words.head == head)
        assert app.fake.files[-1] == FileSample(DICOM, len(DICOM))
        assert "a file" in str(panel.border_title)
        assert "←→" not in str(panel.border_subtitle)  # there is nothing else to go to
        asked = len(app.fake.files)
        app.dialog.query_one("#project_routing", TextArea).text = "(0008,0060):(.*)"
        await wait_for(pilot, lambda: len(app.fake.files) > asked)
        assert app.fake.files[-1] is not None  # unsaved rules, on the same file
        await pilot.press("f7")
        app.screen.query_one("#file", Input).value = ""
        await pilot.press("enter")
        await wait_for(pilot, lambda: "object 1 of 3" in str(panel.border_title))
        assert app.fake.files[-1] is None


async def test_enter_pressed_again_while_a_file_is_read_closes_only_the_prompt(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(DICOM)
    app = host_with_file(make_receiver(routing_enabled=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("f7")
        prompt = app.screen
        entry = prompt.query_one("#file", Input)
        entry.value = str(path)
        for _ in range(3):
            entry.post_message(Input.Submitted(entry, entry.value))
        await wait_for(pilot, lambda: app.screen is not prompt)
        await settle(pilot)
        assert app.screen is app.dialog


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.dcm", "does not exist"),
        ("", "is a folder"),
        ("text.txt", "is not a DICOM file"),
    ],
)
async def test_a_file_that_can_not_be_tried_is_refused_in_the_prompt(
    tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "text.txt").write_text("hello")
    app = host_with_file(ROUTED)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f7")
        app.screen.query_one("#file", Input).value = f"{tmp_path}/{name}"
        await pilot.press("enter")
        problem = app.screen.query_one("#file-problem", Static)
        await wait_for(pilot, lambda: str(problem.visual).startswith("✗"))
        assert why in str(problem.visual)
        assert "→ choose" in str(problem.visual) or "→ type" in str(problem.visual)
        await pilot.press("escape")
        await settle(pilot)
        assert app.screen is app.dialog


async def test_the_key_for_a_file_says_why_it_does_nothing_while_no_rules_are_tried() -> None:
    app = host(PLAIN)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f7")
        await settle(pilot)
        assert app.screen is app.dialog
        assert ["none while routing is off" in toast.message for toast in app._notifications] == [
            True
        ]
