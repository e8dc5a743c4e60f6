"""The receiver dialog, driven by keys: what it shows, asks, saves and keeps."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Button, Input, Select, Static, Switch, TextArea

import tui
from engine.api import PortState, PortStatus
from engine.errors import InvalidReceiver, NotFound, PortInUse, Problem, UnreadableObject
from engine.model.peer import AETitle
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierInfo
from engine.model.receiver import Receiver, ReceiverRules
from tests.fakes import make_snapshot, make_status
from tests.fakes.processing import FakePeers
from tests.fakes.senders import FakeSenders, make_sender
from tests.tui.reaching import reach
from tui.receivers.dialog import ReceiverDialog
from tui.receivers.form import FIELD_ORDER, ReceiverForm
from tui.shell.dialogs import QuestionDialog
from tui.shell.engine_app import EngineApp
from tui.theme import DARK
from tui.widgets.field import Field, LineNotes, Note
from tui.widgets.known_names import MOST_SENDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import App
    from textual.pilot import Pilot

    from engine.api import EngineSnapshot
    from engine.model.file_sample import FileSample
    from engine.model.processing import RoutingPreview
    from engine.model.project import Project

THEME = Path(tui.__file__).with_name("theme.tcss")
DEFAULT = DEFAULT_IDENTIFIERS[0]
DQR = IdentifierInfo("dqrObjectIdentifier", "Query/retrieve", can_route=True)
FIXED = IdentifierInfo("fixedProjectSubject", "Fixed project and subject", can_route=False)
SEVERAL = (DEFAULT, DQR, FIXED)
SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]


def make_receiver(ae_title: str = "XNAT", port: int = 8104, **changes: object) -> Receiver:
    return Receiver(**{"id": 1, "ae_title": AETitle(ae_title), "port": port, **changes})  # type: ignore[arg-type]


class FakeEngine:
    """Answers the dialog's calls; refuses what it is told to refuse."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.saved: list[Receiver] = []
        self.seen: list[Receiver | None] = []
        self.current: Receiver | None = None
        """What `snapshot` shows in place of all receivers."""
        self.probed: list[int] = []
        self.ports: dict[int, PortStatus | Exception] = {}
        self.may_save = threading.Event()
        self.may_save.set()
        self.may_look = threading.Event()
        self.may_look.set()
        self.senders, self.peers = FakeSenders([]), FakePeers()
        self.files: list[FileSample | None] = []
        """What was tried at each preview: a file, or recent objects."""
        self.preview: Callable[[Receiver, bool], tuple[RoutingPreview, ...]] | None = None

    def projects(self) -> tuple[Project, ...]:
        return ()

    def file_preview(self, receiver: Receiver, file: FileSample) -> Any:
        raise UnreadableObject("the file can't be tried: is not a DICOM file", "choose another")

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> Receiver:
        self.may_save.wait(10)
        self.saved.append(receiver)
        self.seen.append(replacing)
        if self.refusal is not None:
            raise self.refusal
        return receiver

    def snapshot(self) -> EngineSnapshot:
        self.may_look.wait(10)
        found = (make_status(self.current),) if self.current is not None else ()
        return make_snapshot(receivers=found)

    def preview_routing(
        self, receiver: Receiver, site: object = None, file: FileSample | None = None
    ) -> Any:
        assert self.preview is not None
        self.files.append(file)
        if file is not None:
            return self.file_preview(receiver, file)
        return self.preview(receiver, False)

    def shown_routing(
        self, receiver: Receiver, actor: str, site: object = None, file: FileSample | None = None
    ) -> Any:
        assert self.preview is not None
        return self.preview(receiver, True)

    def port_status(self, port: int) -> PortStatus:
        self.probed.append(port)
        status = self.ports.get(port, PortStatus(PortState.FREE, "free"))
        if isinstance(status, Exception):
            raise status
        return status


class Host(EngineApp):
    """Shows one dialog in the console's colors and remembers its result."""

    CSS_PATH = THEME

    def __init__(
        self,
        form: ReceiverForm | None = None,
        *,
        identifiers: tuple[IdentifierInfo, ...] = (DEFAULT,),
        engine: FakeEngine | None = None,
        preview: Callable[[Receiver, bool], tuple[RoutingPreview, ...]] | None = None,
    ) -> None:
        self.fake = engine or FakeEngine()
        self.fake.preview = preview
        super().__init__(reach(self.fake), read_only=False, actor="anna", blink=False)
        self.register_theme(DARK)
        self.theme = DARK.name
        self.form = form or ReceiverForm.new(ReceiverRules(identifiers=identifiers))
        self.dialog = ReceiverDialog(self.form, has_preview=preview is not None)
        self.results: list[Receiver | None] = []

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self.results.append)

    def field(self, name: str) -> Field:
        return self.dialog.query_one(f"#field-{name}", Field)

    def shown_fields(self) -> set[str]:
        return {f.name or "" for f in self.dialog.query(Field) if f.display}

    def focused_id(self) -> str | None:
        return None if self.focused is None else self.focused.id

    def top(self) -> str:
        """Title of the question or notice on top; empty if the dialog itself is on top."""
        screen: object = self.screen
        box = self.screen.query_one(".box") if isinstance(screen, QuestionDialog) else None
        return str(box.border_title) if box else ""

    def words(self, id: str) -> str:
        return str(self.dialog.query_one(f"#{id}", Static).visual)

    def border(self) -> tuple[str, str]:
        box = self.dialog.query_one("#box")
        return str(box.border_title), str(box.border_subtitle)


def edit_form(receiver: Receiver, *others: Receiver, several: bool = True) -> ReceiverForm:
    identifiers = SEVERAL if several else (DEFAULT,)
    return ReceiverForm.edit(receiver, ReceiverRules(identifiers=identifiers, others=others))


async def settle(pilot: Pilot[None]) -> None:
    await pilot.pause()
    await pilot.pause()
    await pilot.pause()


def routing_receiver(**changes: object) -> Receiver:
    routing = {"routing_enabled": True, "project_routing": "(0010,4000):(.*)"}
    return make_receiver("XNAT", 8104, **routing, **changes)


async def test_a_typed_receiver_is_saved_and_returned() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await settle(pilot)
    saved = make_receiver("XNAT_2", id=0)
    assert app.fake.saved == [saved]
    assert app.results == [saved]


async def test_tab_walks_through_the_visible_fields_in_order_and_then_the_buttons() -> None:
    receiver = routing_receiver(
        whitelist_enabled=True,
        whitelist=("CT1",),
        direct_archive=True,
        bind_address="127.0.0.1",
        tls_enabled=True,
    )
    app = Host(edit_form(receiver), identifiers=SEVERAL)
    async with app.run_test(size=(80, 24)) as pilot:  # where most of them have to be scrolled to
        await settle(pilot)
        walked = []
        for _ in range(len(FIELD_ORDER) + 3):
            walked.append(app.focused_id())
            await pilot.press("tab")
        assert walked == [*FIELD_ORDER, "cancel", "test-port", "save"]
        assert app.focused_id() == "ae_title"


async def test_what_a_line_means_is_said_in_full_below_if_there_is_no_room_beside_it() -> None:
    lines = ("CT1#san-uri:urn:uuid:4711", "CT2")
    app = Host(edit_form(make_receiver(whitelist_enabled=True, whitelist=lines)))
    async with app.run_test(size=(80, 24)) as pilot:
        assert app.field("whitelist").hint.startswith("one per line")
        app.dialog.query_one("#whitelist").focus()
        await pilot.pause()
        said = "line 1: ✓ CT1 from any address, with a certificate for the URI urn:uuid:4711"
        assert app.field("whitelist").hint == said
        await pilot.press("down")
        assert app.field("whitelist").hint.startswith("one per line")
        await pilot.press("up", "tab")
        await pilot.pause()
        assert app.field("whitelist").hint.startswith("one per line")


async def test_whitelist_text_appears_with_its_switch_and_keeps_what_was_typed() -> None:
    app = Host()
    async with app.run_test() as pilot:
        assert "whitelist" not in app.shown_fields()
        app.dialog.query_one("#whitelist_enabled").focus()
        await pilot.press("space", "tab", *"CT1")
        assert "whitelist" in app.shown_fields()
        await pilot.press("shift+tab", "space")
        await pilot.pause()
        assert "whitelist" not in app.shown_fields()
        assert app.focused is app.dialog.query_one("#whitelist_enabled")
        await pilot.press("space", "tab")
        assert app.focused is app.dialog.query_one("#whitelist")
        assert app.dialog.query_one("#whitelist", TextArea).text == "CT1"


async def test_routing_texts_appear_with_their_switch() -> None:
    app = Host()
    async with app.run_test() as pilot:
        app.dialog.query_one("#routing_enabled").focus()
        await pilot.press("space", "tab", *"(0010")
        assert {"project_routing", "subject_routing", "session_routing"} <= app.shown_fields()
        assert app.form.value("project_routing") == "(0010"
        await pilot.press("shift+tab", "space")
        assert "project_routing" not in app.shown_fields()
        assert app.form.value("project_routing") == "(0010"


@pytest.mark.parametrize("several", [False, True])
async def test_the_identifier_is_shown_only_if_there_is_a_choice(several: bool) -> None:
    app = Host(identifiers=SEVERAL if several else (DEFAULT,))
    async with app.run_test():
        assert ("identifier" in app.shown_fields()) is several


async def test_hiding_the_focused_field_moves_focus_to_the_switch_that_hid_it() -> None:
    app = Host(edit_form(routing_receiver(whitelist_enabled=True)), identifiers=SEVERAL)
    async with app.run_test() as pilot:
        for name, switch in (
            ("whitelist", "whitelist_enabled"),
            ("subject_routing", "routing_enabled"),
        ):
            app.dialog.query_one(f"#{name}").focus()
            await pilot.pause()
            app.dialog.query_one(f"#{switch}", Switch).toggle()
            await pilot.pause()
            assert app.focused is app.dialog.query_one(f"#{switch}")


async def test_every_switch_says_what_it_means() -> None:
    app = Host()
    async with app.run_test() as pilot:
        assert app.field("direct_archive").note.text == "off: objects wait in the prearchive"
        assert app.field("whitelist_enabled").note.text == "off: every caller is accepted"
        app.dialog.query_one("#direct_archive").focus()
        await pilot.press("space")
        assert app.field("direct_archive").note.text == "on: objects go straight to the archive"


async def test_the_ae_title_counts_characters_and_takes_neither_backslash_nor_a_17th() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press(*"CT", "backslash", *"123456789012345678")
        assert app.form.value("ae_title") == "CT12345678901234"
        assert app.field("ae_title").note.text == "16/16"


async def test_the_port_takes_digits_only() -> None:
    app = Host(ReceiverForm.new(ReceiverRules(), port=81))
    async with app.run_test() as pilot:
        app.dialog.query_one("#port").focus()
        await pilot.press("end", *"x0-4.5678")
        assert app.form.value("port") == "81045"


async def test_no_problem_is_shown_before_a_field_was_left() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await settle(pilot)
        assert app.field("ae_title").problems == ()
        assert app.border() == ("New DICOM receiver", "* required")
        await pilot.press("tab")
        await pilot.pause()
        (said,) = app.field("ae_title").problems
        assert said.startswith("is empty; use 1 to 16 printable ASCII characters")
        assert app.border()[1] == "1 problem"
        await pilot.press("shift+tab", *"XNAT")
        assert app.field("ae_title").problems == ()
        assert app.border()[1] == "* required"


async def test_saving_shows_all_problems_at_once_and_focuses_the_first() -> None:
    app = Host(ReceiverForm.new(ReceiverRules(), port=104))
    async with app.run_test() as pilot:
        app.form.set("whitelist", "CT1\n\n10.4.7.300")
        app.dialog.query_one("#whitelist_enabled").focus()
        await pilot.press("space", "ctrl+s")
        await pilot.pause()
        bad = [f.name for f in app.dialog.query(Field) if f.problems]
        assert bad == ["ae_title", "port", "whitelist"]
        assert app.border()[1] == "3 problems"
        assert app.words("summary") == "✗ 3 problems; f8 goes there"
        assert app.focused is app.dialog.query_one("#ae_title")
        assert app.fake.saved == []


async def test_f8_goes_round_the_problems_and_to_the_bad_line() -> None:
    app = Host(ReceiverForm.new(ReceiverRules(), port=104))
    async with app.run_test() as pilot:
        app.form.set("whitelist", "CT1\n\n10.4.7.300\n10.4.7.301")
        app.dialog.query_one("#whitelist_enabled").focus()
        await pilot.press("space", "ctrl+s")
        area = app.dialog.query_one("#whitelist", TextArea)
        visited = []
        for _ in range(4):
            await pilot.press("f8")
            await pilot.pause()
            line = area.cursor_location[0] if area.has_focus else 0
            visited.append((app.focused_id(), line))
            if line == 3:  # each line's problem is said where the cursor is, and only there
                said = app.field("whitelist").problems
                assert said[0].startswith("line 4: 10.4.7.301 is not an address")
                assert said[1:] == ("and 1 more; f8 goes there",)
        assert visited == [("port", 0), ("whitelist", 2), ("whitelist", 3), ("ae_title", 0)]


async def test_each_whitelist_line_has_a_verdict_that_follows_the_text() -> None:
    lines = ("CT1", "10.4.0.0/16", "CT1")
    app = Host(edit_form(make_receiver(whitelist_enabled=True, whitelist=lines)))
    async with app.run_test(size=(120, 40)) as pilot:
        notes = app.dialog.query_one(LineNotes)
        assert [note.text for note in notes.lines] == [
            "✓ CT1 from any address",
            "✓ any AE title from 10.4.0.0–10.4.255.255",
            "= same as line 1",
        ]
        app.dialog.query_one("#whitelist").focus()
        await pilot.press(*["down"] * 2, "end", *"@10.4.7.300")
        assert notes.lines[2].text.startswith("✗ 10.4.7.300 is not an address")
        said = "on: only callers below · 3 entries, 1 wrong"
        assert app.field("whitelist_enabled").note == Note(
            said, app.field("whitelist_enabled").note.tone
        )


async def test_verdicts_scroll_with_a_long_whitelist() -> None:
    lines = tuple(f"CT{number}" for number in range(40))
    app = Host(edit_form(make_receiver(whitelist_enabled=True, whitelist=lines)))
    async with app.run_test(size=(120, 40)) as pilot:
        app.dialog.query_one("#whitelist").focus()
        await pilot.press(*["pagedown"] * 6)
        await pilot.pause()
        notes = app.dialog.query_one(LineNotes)
        area = app.dialog.query_one("#whitelist", TextArea)
        assert area.scroll_y > 0
        assert str(notes.render()).splitlines()[-1] == "✓ CT39 from any address"
        assert notes.size.height == area.size.height


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (PortStatus(PortState.FREE, "free"), "✓ free"),
        (PortStatus(PortState.OURS, "shared with XNAT"), "✓ shared with XNAT"),
        (PortStatus(PortState.TAKEN, "held by storescp"), "✗ held by storescp"),
        (PortStatus(PortState.NOT_PERMITTED, "not permitted"), "✗ not permitted"),
        (NotFound("gone"), "– state not known"),
        (OSError("no sockets"), "– state not known"),
    ],
)
async def test_the_state_of_the_port_is_shown_in_words(
    status: PortStatus | Exception, shown: str
) -> None:
    app = Host()
    app.fake.ports[8104] = status
    async with app.run_test() as pilot:
        await wait_for(pilot, lambda: app.field("port").note.text == shown)
        assert app.fake.probed == [8104]


async def wait_for(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let workers and messages run until the condition holds; failed workers are no error here."""
    for _ in range(200):
        await pilot.pause(0.01)
        if condition():
            return
    assert condition()


async def test_a_port_that_only_this_receiver_uses_is_its_own() -> None:
    app = Host(edit_form(make_receiver()))
    app.fake.ports[8104] = PortStatus(PortState.OURS, "shared with XNAT")
    async with app.run_test() as pilot:
        await settle(pilot)
        assert app.field("port").note.text == "✓ its own port"


async def test_typing_a_port_probes_once_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Host(ReceiverForm.new(ReceiverRules(), port=81))
    async with app.run_test() as pilot:
        monkeypatch.setattr(ReceiverDialog, "pause_seconds", 30.0)
        app.dialog.query_one("#port").focus()
        await pilot.press("end", "1")
        assert app.field("port").note.text == ""
        monkeypatch.setattr(ReceiverDialog, "pause_seconds", 0.01)
        await pilot.press("2")
        await wait_for(pilot, lambda: app.field("port").note.text == "✓ free")
        assert app.fake.probed == [8112]


async def test_ctrl_t_probes_at_once_and_a_bad_port_is_not_probed() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert app.fake.probed == [8104, 8104]
        app.dialog.query_one("#port", Input).value = "70000"
        await pilot.press("ctrl+t")
        await settle(pilot)
        assert app.fake.probed == [8104, 8104]
        assert app.field("port").note.text == ""
        assert app.field("port").problems[0].startswith("is outside 1–65535")


async def test_ctrl_s_saves_from_inside_a_text_area() -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("CT1",))
    app = Host(edit_form(receiver))
    async with app.run_test() as pilot:
        app.dialog.query_one("#whitelist").focus()
        await pilot.press("end", "enter", *"CT2", "ctrl+s")
        await settle(pilot)
    assert app.results[0] is not None
    assert app.results[0].whitelist == ("CT1", "CT2")


async def test_escape_closes_at_once_without_changes() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test() as pilot:
        await pilot.press("tab", "tab", "escape")
        await pilot.pause()
        assert app.results == [None]


@pytest.mark.parametrize(
    ("answer", "closed"), [("escape", False), ("enter", False), ("left,enter", True)]
)
async def test_escape_asks_when_there_are_changes_and_keeping_is_the_default(
    answer: str, closed: bool
) -> None:
    app = Host(edit_form(make_receiver(whitelist_enabled=True)))
    async with app.run_test() as pilot:
        app.dialog.query_one("#whitelist").focus()
        await pilot.press("a")
        assert "● unsaved changes" in app.border()[0]
        await pilot.press("escape")
        await pilot.pause()
        assert app.top() == "Discard changes?"
        await pilot.press(*answer.split(","))
        await pilot.pause()
        assert app.results == ([None] if closed else [])
        assert app.form.value("whitelist") == "a"


async def test_escape_closes_an_open_list_first() -> None:
    app = Host(identifiers=SEVERAL)
    async with app.run_test() as pilot:
        select = app.dialog.query_one("#identifier", Select)
        select.focus()
        await pilot.press("enter")
        assert select.expanded
        await pilot.press("escape")
        assert not app.dialog.query_one("#identifier", Select).expanded
        assert app.results == []
        assert app.top() == ""
        await pilot.press("escape")
        await pilot.pause()
        assert app.results == [None]


async def choose_fixed(app: Host, pilot: Pilot[None]) -> None:
    app.dialog.query_one("#identifier").focus()
    await pilot.press("enter", "down", "down", "enter")
    await pilot.pause()


async def test_an_identifier_that_cannot_route_hides_routing_after_ok() -> None:
    app = Host(edit_form(routing_receiver()), identifiers=SEVERAL)
    async with app.run_test() as pilot:
        await choose_fixed(app, pilot)
        assert app.top() == "Switch routing off?"
        said = str(app.screen.query_one(".sentence", Static).content)
        assert FIXED.name in said
        assert not any(known.id in said for known in SEVERAL)
        await pilot.press("left", "enter")
        await pilot.pause()
        assert app.form.value("identifier") == FIXED.id
        assert not {"routing_enabled", "project_routing"} & app.shown_fields()
        await pilot.press("ctrl+s")
        await settle(pilot)
    assert app.results[0] is not None
    assert not app.results[0].routing_enabled
    assert app.results[0].project_routing == "(0010,4000):(.*)"


async def test_saving_without_anonymization_is_asked_about_once() -> None:
    app = Host(edit_form(make_receiver(anonymization=True)))
    async with app.run_test() as pilot:
        app.dialog.query_one("#anonymization").focus()
        await pilot.press("space", "ctrl+s")
        await pilot.pause()
        assert app.top() == "Store identifying data?"
        await pilot.press("enter")  # too early: goes back
        await settle(pilot)
        assert app.results == []
        await pilot.press("ctrl+s", "left", "enter")
        await settle(pilot)
    assert app.results[0] is not None
    assert not app.results[0].anonymization


async def test_cancel_goes_back_to_the_identifier_that_can_route() -> None:
    app = Host(edit_form(routing_receiver()), identifiers=SEVERAL)
    async with app.run_test() as pilot:
        await choose_fixed(app, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert app.dialog.query_one("#identifier", Select).value == DEFAULT.id
        assert "project_routing" in app.shown_fields()
        assert not app.form.is_dirty()


async def test_an_identifier_that_cannot_route_is_taken_at_once_while_routing_is_off() -> None:
    app = Host(identifiers=SEVERAL)
    async with app.run_test() as pilot:
        await choose_fixed(app, pilot)
        assert app.screen is app.dialog
        assert app.form.value("identifier") == FIXED.id
        assert "routing_enabled" not in app.shown_fields()
        assert "cannot use routing expressions" in app.field("identifier").hint


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (
            PortInUse("", 8104, "storescp (pid 4127)"),
            "✗ Address in use: port 8104 is held by storescp (pid 4127)\n"
            "→ stop that program or choose another port",
        ),
        (
            NotFound("receiver 7 was deleted meanwhile", "save it as a new one"),
            "✗ Not found: receiver 7 was deleted meanwhile\n→ save it as a new one",
        ),
    ],
)
async def test_a_refusal_keeps_the_dialog_open_with_everything_typed(
    refusal: Exception, said: str
) -> None:
    app = Host(engine=FakeEngine(refusal))
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await settle(pilot)
        assert app.screen is app.dialog
        assert app.words("refusal") == said
        assert app.dialog.query_one("#ae_title", Input).value == "XNAT_2"
        assert app.focused is app.dialog.query_one("#ae_title")
        assert not app.dialog.query_one("#save", Button).disabled
        app.fake.refusal = None
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert len(app.results) == 1


async def test_a_refused_value_is_marked_until_something_changes() -> None:
    problem = Problem("port", "8104", "is reserved", "choose another port")
    app = Host(engine=FakeEngine(InvalidReceiver(problem)))
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await settle(pilot)
        assert app.field("port").problems == ("is reserved; choose another port",)
        assert app.focused is app.dialog.query_one("#port")
        assert app.border()[1] == "1 problem"
        assert app.words("refusal") == "✗ Not saved: the engine refused what is marked ✗"
        await pilot.press("end", "backspace", "5")
        assert app.field("port").problems == ()
        assert app.words("refusal")


async def test_an_unexpected_error_while_saving_is_said_and_loses_nothing() -> None:
    app = Host(engine=FakeEngine(RuntimeError("engine [/gone]")))
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await wait_for(pilot, lambda: app.dialog.query_one("#refusal").display)
        assert "save: RuntimeError: engine [/gone]\n→ this is a defect" in app.words("refusal")
        assert app.form.value("ae_title") == "XNAT_2"


async def test_while_saving_the_button_says_so_and_nothing_else_can_be_started() -> None:
    app = Host()
    app.fake.may_save.clear()
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await pilot.pause()
        save = app.dialog.query_one("#save", Button)
        assert str(save.label) == "Saving…"
        assert save.disabled
        await pilot.press("ctrl+s", "escape", "f1", "ctrl+t", "x")
        await pilot.pause()
        assert app.screen is app.dialog
        app.fake.may_save.set()
        await settle(pilot)
    assert len(app.fake.saved) == 1
    assert app.results == [make_receiver("XNAT_2", id=0)]


async def test_a_screen_that_came_on_top_while_saving_is_waited_for() -> None:
    app = Host()
    app.fake.may_save.clear()
    async with app.run_test() as pilot:
        await pilot.press(*"XNAT_2", "ctrl+s")
        await pilot.pause()
        await app.push_screen(QuestionDialog.notice("News", "A receiver failed."))
        app.fake.may_save.set()
        await settle(pilot)
        assert app.results == []
        await pilot.press("escape")
        await pilot.pause()
        assert app.results == [make_receiver("XNAT_2", id=0)]


@pytest.mark.parametrize(("button", "probes"), [("test-port", 2), ("cancel", 1), ("save", 1)])
async def test_buttons_do_what_their_keys_do(button: str, probes: int) -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test() as pilot:
        await settle(pilot)
        await pilot.click(f"#{button}")
        await settle(pilot)
    assert len(app.fake.probed) == probes
    assert app.results == {"cancel": [None], "save": [make_receiver()]}.get(button, [])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("expanded", [False, True])
async def test_buttons_and_keys_are_always_in_view(size: tuple[int, int], expanded: bool) -> None:
    receiver = routing_receiver(whitelist_enabled=True, whitelist=("CT1",) * 20)
    app = Host(edit_form(receiver if expanded else make_receiver()), identifiers=SEVERAL)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for selector in ("#test-port", "#cancel", "#save", "#summary"):
            widget = app.dialog.query_one(selector)
            assert app.dialog.region.contains_region(widget.region)
            assert app.dialog.get_widget_at(*widget.region.offset)[0] is widget


@pytest.mark.parametrize("name", ["ae_title", "port", "identifier", "anonymization", "whitelist"])
async def test_f1_explains_the_focused_field(name: str) -> None:
    receiver = make_receiver(whitelist_enabled=True)
    app = Host(edit_form(receiver), identifiers=SEVERAL)
    async with app.run_test(size=(80, 24)) as pilot:
        app.dialog.query_one(f"#{name}").focus()
        await pilot.press("f1")
        await pilot.pause()
        assert app.top().startswith("Help · ")
        await pilot.press("f1")
        await pilot.pause()
        assert app.top() == ""
        assert app.focused_id() == name


@pytest.mark.parametrize("ae_title", ["[/x]", "[red]X", "A[b]"])
async def test_brackets_in_an_ae_title_are_shown_as_they_are(ae_title: str) -> None:
    receiver = make_receiver(ae_title, whitelist_enabled=True, whitelist=(ae_title,))
    twin = make_receiver(ae_title, 8105, id=2)
    app = Host(edit_form(receiver, twin), identifiers=SEVERAL)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        app.dialog.query_one("#port", Input).value = "8105"
        await pilot.press("ctrl+s")
        await settle(pilot)
        text = screen_text(app)
        assert f"Edit receiver · {ae_title}" in text
        assert f"receiver {ae_title}:8105 exists" in text
        assert f"✓ {ae_title} from any address" in text
        await pilot.press("escape")
        await pilot.pause()
        assert f"The changes to {ae_title}:8104 will be lost." in screen_text(app)


async def test_words_of_the_engine_are_shown_as_they_are() -> None:
    app = Host(engine=FakeEngine(PortInUse("", 8104, "[/bin]\x1b[31m")))
    app.fake.ports[8104] = PortStatus(PortState.TAKEN, "held by [/x]\x1b[0m")
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press(*"XNAT", "ctrl+s")
        await settle(pilot)
        assert "held by [/x]␛[0m" in screen_text(app)
        assert "is held by [/bin]␛[31m" in screen_text(app)


async def test_control_characters_in_a_stored_text_are_made_visible_and_change_nothing() -> None:
    receiver = make_receiver(subject_routing="(0010,0020):\x1b[31m(.*)\n\tx\n")
    app = Host(edit_form(receiver), identifiers=SEVERAL)
    async with app.run_test() as pilot:
        await settle(pilot)
        app.dialog.query_one("#routing_enabled").focus()
        await pilot.press("space")
        area = app.dialog.query_one("#subject_routing", TextArea)
        assert area.text == "(0010,0020):␛[31m(.*)\n\tx"
        await pilot.press("space")
        assert not app.form.is_dirty()
        await pilot.press("ctrl+s")
        await settle(pilot)
    assert app.results == [receiver]


async def test_problems_of_a_stored_receiver_are_shown_from_the_start() -> None:
    app = Host(edit_form(make_receiver(identifier="gone"), several=False))
    async with app.run_test() as pilot:
        await settle(pilot)
        assert "unknown DICOM Object Identifier 'gone'" in app.field("identifier").problems[0]
        assert "✗ gone (not installed)" in screen_text(app)


async def test_the_layout_follows_the_width() -> None:
    app = Host()
    async with app.run_test(size=(120, 40)) as pilot:
        assert app.field("port").region.y == app.field("ae_title").region.y
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert app.field("port").region.y > app.field("ae_title").region.y
        assert app.dialog.query_one("#box").size.width == 78


def screen_text(app: App[None]) -> str:
    strips: Sequence[object] = app.screen._compositor.render_strips()
    return "\n".join(getattr(strip, "text", "") for strip in strips)


async def test_what_was_never_shown_is_not_made_and_has_its_value_once_it_is() -> None:
    app = Host(edit_form(make_receiver(whitelist=("CT1", "10.4.7.300x"))))
    async with app.run_test() as pilot:
        await settle(pilot)
        assert not app.dialog.query(TextArea)
        app.dialog.query_one("#whitelist_enabled").focus()
        await pilot.press("space")
        await settle(pilot)
        assert app.dialog.query_one("#whitelist", TextArea).text == "CT1\n10.4.7.300x"
        assert "✓ CT1 from any address" in screen_text(app)


def called_by(*titles: str) -> FakeEngine:
    engine = FakeEngine()
    engine.senders = FakeSenders([make_sender(title) for title in titles])
    return engine


async def test_a_whitelist_line_is_completed_by_callers_that_were_seen() -> None:
    receiver = make_receiver(whitelist_enabled=True)
    app = Host(edit_form(receiver), engine=called_by("10.0.0.0/8", "CT\x1b[2J", "CT_SCANNER_1"))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        area = app.dialog.query_one("#whitelist", TextArea)
        area.focus()
        await pilot.press(*"CT_S")
        assert area.suggestion == "CANNER_1"
        await pilot.press("right", "enter", *"CT_S")
        assert area.text == "CT_SCANNER_1\nCT_S"
        assert area.suggestion == "CANNER_1@10.4.7.21"
        await pilot.press("up")
        assert area.suggestion == ""
        await pilot.press("down", "end", "right", "enter", *"10.0")
        assert app.form.text("whitelist") == "CT_SCANNER_1\nCT_SCANNER_1@10.4.7.21\n10.0"
        assert area.suggestion == ""  # a caller that calls itself a network lets nobody in


async def test_the_caller_that_is_tried_is_completed_in_any_case() -> None:
    receiver = make_receiver(whitelist_enabled=True, whitelist=("CT_SCANNER_1",))
    app = Host(edit_form(receiver), engine=called_by("CT_SCANNER_1"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        entry = app.dialog.query_one("#caller_ae_title", Input)
        entry.focus()
        await pilot.press(*"ct")
        await settle(pilot)
        await pilot.press("right")
        assert entry.value == "CT_SCANNER_1"
        assert app.form.text("caller_ae_title") == "CT_SCANNER_1"


async def test_names_are_asked_for_once_and_not_with_each_key() -> None:
    engine = called_by("CT_SCANNER_1")
    asked: list[int] = []
    of_engine = engine.senders.list

    def listed(**how: Any) -> Any:
        asked.append(how["limit"])
        return of_engine(**how)

    engine.senders.list = listed  # type: ignore[method-assign]
    app = Host(edit_form(make_receiver(whitelist_enabled=True)), engine=engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        app.dialog.query_one("#whitelist").focus()
        await pilot.press(*"CT_SCAN")
        await settle(pilot)
    assert asked == [MOST_SENDERS]
