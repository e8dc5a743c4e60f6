"""Pictures of the receiver dialog, wide and narrow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from textual.widgets import Static

from engine.api import PortState, PortStatus
from engine.errors import PortInUse
from engine.model.processing import ElementChange, ProcessorStep, Verdict
from engine.model.processor import Location, Processor
from engine.model.receiver import Receiver, ReceiverRules
from tests.tui.previewing import PROJECTS, preview_of
from tests.tui.receivers.test_receiver_dialog import (
    DEFAULT,
    FIXED,
    SEVERAL,
    FakeEngine,
    Host,
    called_by,
    make_receiver,
    settle,
    wait_for,
)
from tests.tui.receivers.test_routing_preview import settle as previewed
from tui.receivers.form import ReceiverForm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from engine.model.plugins import FileNamerInfo
    from engine.model.processing import RoutingPreview

SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]
at_both_sizes = pytest.mark.parametrize("size", SIZES)

PROJECT_RULES = r"(0010,4000):.*Project:\s*([\w-]+).*:1" + "\n" + r"(0008,1030):([A-Z]+-\d+).*:1"
WHITELIST = ("MR_PRISMA", "MR_SKYRA@10.4.7.0/24", "10.4.1.9")
BAD_WHITELIST = (*WHITELIST, "", "MR_PRISMA", "MR_SKYRA@10.4.7.300")


def research(**changes: object) -> Receiver:
    values = {"id": 3, "identifier": DEFAULT.id, **changes}
    return make_receiver("MR_RESEARCH", 11112, **values)


def routed(**changes: object) -> Receiver:
    return research(
        routing_enabled=True,
        project_routing=PROJECT_RULES,
        subject_routing="(0010,0020):([^_]+)_.*:1",
        session_routing="(0020,0010):(.+):1",
        **changes,
    )


def edit(receiver: Receiver, file_namers: tuple[FileNamerInfo, ...] = ()) -> Host:
    others = (receiver, make_receiver("XNAT", 8104))
    rules = ReceiverRules(identifiers=SEVERAL, others=others, file_namers=file_namers)
    engine = FakeEngine()
    engine.ports[11112] = PortStatus(PortState.OURS, "shared with MR_RESEARCH")
    return Host(ReceiverForm.edit(receiver, rules), identifiers=SEVERAL, engine=engine)


def pressing(*keys: str, focus: str = "ae_title") -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def press(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        pilot.app.screen.query_one(f"#{focus}").focus()
        await pilot.pause()
        await pilot.press(*keys)
        await settle(pilot)

    return press


@at_both_sizes
def test_new_basic(snap_compare: Any, size: tuple[int, int]) -> None:
    """A new receiver with one identifier installed: the fewest fields."""
    assert snap_compare(Host(), terminal_size=size, run_before=pressing(*"XNAT_2"))


@at_both_sizes
def test_several_identifiers(snap_compare: Any, size: tuple[int, int]) -> None:
    """The identifier list is open and says which ones can route."""
    app = Host(identifiers=SEVERAL)
    assert snap_compare(
        app, terminal_size=size, run_before=pressing("enter", "down", focus="identifier")
    )


@at_both_sizes
def test_whitelist_with_good_and_bad_lines(snap_compare: Any, size: tuple[int, int]) -> None:
    """Each line has its verdict; the field was left, so the bad line is said in full."""
    app = edit(research(whitelist=BAD_WHITELIST))
    keys = ("space", "tab", "tab")
    assert snap_compare(
        app, terminal_size=size, run_before=pressing(*keys, focus="whitelist_enabled")
    )


@at_both_sizes
def test_routing_open(snap_compare: Any, size: tuple[int, int]) -> None:
    """The three rule texts, the second one focused."""
    assert snap_compare(
        edit(routed()), terminal_size=size, run_before=pressing(focus="subject_routing")
    )


@at_both_sizes
def test_routing_preview(snap_compare: Any, size: tuple[int, int]) -> None:
    """Below the rules: which of them decides about an object that arrived, and which do not."""
    rules = ReceiverRules(identifiers=SEVERAL, projects=PROJECTS)
    app = Host(
        ReceiverForm.edit(routed(), rules), identifiers=SEVERAL, preview=preview_of(routed())
    )

    async def older(pilot: Pilot[Any]) -> None:
        await previewed(pilot)
        pilot.app.screen.query_one("#routing-preview").focus()
        await pilot.press("right", "right", "v")
        await settle(pilot)

    assert snap_compare(app, terminal_size=size, run_before=older)


@at_both_sizes
def test_try_a_file(snap_compare: Any, size: tuple[int, int]) -> None:
    """A file that rules can't be tried on: what is wrong, and what to do."""
    rules = ReceiverRules(identifiers=SEVERAL, projects=PROJECTS)
    app = Host(
        ReceiverForm.edit(routed(), rules), identifiers=SEVERAL, preview=preview_of(routed())
    )

    async def mistyped(pilot: Pilot[Any]) -> None:
        await previewed(pilot)
        await pilot.press("f7", *"/none/scan.dcm", "enter")
        problem = pilot.app.screen.query_one("#file-problem", Static)
        await wait_for(pilot, lambda: str(problem.visual).startswith("✗"))

    assert snap_compare(app, terminal_size=size, run_before=mistyped)


@at_both_sizes
def test_completed_whitelist_line(snap_compare: Any, size: tuple[int, int]) -> None:
    """What completes a line stands behind the cursor, in grey."""
    form = ReceiverForm.edit(
        research(whitelist_enabled=True, whitelist=WHITELIST), ReceiverRules(identifiers=SEVERAL)
    )
    app = Host(form, identifiers=SEVERAL, engine=called_by("CT_SCANNER_1"))
    typed = pressing("ctrl+end", "down", "down", "end", "enter", *"CT_S", focus="whitelist")
    assert snap_compare(app, terminal_size=size, run_before=typed)


def test_processors_in_the_preview(snap_compare: Any) -> None:
    """Custom processing says who sees the objects, the preview what they do, in order."""
    receiver = routed(custom_processing=True)
    rules = ReceiverRules(identifiers=SEVERAL, projects=PROJECTS)
    form = ReceiverForm.edit(receiver, rules)
    form.processors = (
        Processor(1, "Relabel [CT]", "relabelFromTable", priority=20),
        Processor(2, "Set trial", "setElements"),
        Processor(3, "Elsewhere", "acme", receivers_denied=("MR_RESEARCH:11112",)),
    )
    changes = (ElementChange("(0008,1030)", "StudyDescription", "changed", "x", "TRIAL 7"),)
    read = Location.AFTER_DICOM_READ
    steps = (
        ProcessorStep("Set trial", "setElements", read, Verdict.CONTINUED, changes=changes),
        ProcessorStep(
            "Relabel [CT]", "relabelFromTable", read, Verdict.REJECTED, "its key is not known"
        ),
    )
    found = preview_of(receiver)

    def preview(draft: Receiver, shown: bool) -> tuple[RoutingPreview, ...]:
        return tuple(replace(one, draft_processing=steps) for one in found(draft, shown))

    async def show(pilot: Pilot[Any]) -> None:
        await previewed(pilot)
        pilot.app.screen.query_one("#routing-preview").scroll_visible(animate=False)
        await settle(pilot)

    app = Host(form, identifiers=SEVERAL, preview=preview)
    assert snap_compare(app, terminal_size=(120, 60), run_before=show)


@at_both_sizes
def test_everything_open(snap_compare: Any, size: tuple[int, int]) -> None:
    """All fields at once, with unsaved changes; the narrow one has scrolled to the focus."""
    app = edit(routed(whitelist_enabled=True, whitelist=WHITELIST))
    keys = (*["down"] * 2, "end", "enter", *"CT1")
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys, focus="whitelist"))


@at_both_sizes
def test_an_identifier_that_cannot_route(snap_compare: Any, size: tuple[int, int]) -> None:
    """No routing switch, and the hint says why."""
    app = edit(research(identifier=FIXED.id))
    assert snap_compare(app, terminal_size=size, run_before=pressing(focus="identifier"))


@at_both_sizes
def test_all_problems_after_save(snap_compare: Any, size: tuple[int, int]) -> None:
    """Everything wrong is said at once, and the first bad field has the focus."""
    others = (make_receiver("XNAT", 8104),)
    form = ReceiverForm.new(ReceiverRules(others=others), port=104)
    form.set("whitelist", "CT1\n10.4.7.300")
    form.set("whitelist_enabled", True)
    assert snap_compare(
        Host(form), terminal_size=size, run_before=pressing("ctrl+s", focus="whitelist_enabled")
    )


@at_both_sizes
def test_duplicate(snap_compare: Any, size: tuple[int, int]) -> None:
    """The pair of AE title and port exists already; a hostile title is shown as it is."""
    form = ReceiverForm.new(ReceiverRules(others=(make_receiver("[/x]", 8104),)))
    engine = FakeEngine()
    engine.ports[8104] = PortStatus(PortState.OURS, "shared with [/x]")
    assert snap_compare(
        Host(form, engine=engine), terminal_size=size, run_before=pressing(*"[/x]", "ctrl+s")
    )


@at_both_sizes
def test_unsupported_routing(snap_compare: Any, size: tuple[int, int]) -> None:
    """Choosing an identifier that can't route asks before routing is switched off."""
    keys = ("enter", "down", "down", "enter")
    assert snap_compare(
        edit(routed()), terminal_size=size, run_before=pressing(*keys, focus="identifier")
    )


@at_both_sizes
def test_engine_refusal(snap_compare: Any, size: tuple[int, int]) -> None:
    """The engine refused: title, detail and remedy, with everything typed still there."""
    engine = FakeEngine(PortInUse("", 8104, "storescp (pid 4127, user dicom)"))
    engine.ports[8104] = PortStatus(PortState.TAKEN, "held by storescp (pid 4127, user dicom)")
    assert snap_compare(
        Host(engine=engine), terminal_size=size, run_before=pressing(*"XNAT_2", "ctrl+s")
    )


@at_both_sizes
def test_help_for_a_rule_field(snap_compare: Any, size: tuple[int, int]) -> None:
    """The help of the focused field with worked examples."""
    assert snap_compare(
        edit(routed()), terminal_size=size, run_before=pressing("f1", focus="project_routing")
    )
