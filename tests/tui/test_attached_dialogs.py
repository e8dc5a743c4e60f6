"""Dialogs of a console far from its engine: what is completed there, and a file that is tried."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich.console import Console
from textual.widgets import Input, TextArea

from engine.app.demo.sender import CT_SCANNER, study
from engine.model.file_sample import MOST_BYTES
from engine.model.project import Project
from tests.fakes import NOW
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, engine_process, free_port, make_receiver
from tests.serving import remote
from tui.app import ConsoleApp
from tui.receivers.dialog import ReceiverDialog
from tui.settings.before_after import BeforeAfter
from tui.settings.dialog import ScriptDialog
from tui.shell.file_prompt import FilePrompt
from tui.widgets.completion import Names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from textual.pilot import Pilot
    from textual.screen import Screen

CALLER, REJECTED = "CT_SCANNER_1", "STRANGER"
RENAME = 'version "6.6"\n(0010,0010) := "RENAMED"\n'


@asynccontextmanager
async def console_far_from_its_engine(
    tmp_path: Path,
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None]]]:
    """Run a console on an engine in another process that stored an object and rejected a caller."""
    data, port = tmp_path / "data", free_port()
    receiver = make_receiver("XNAT", port, whitelist_enabled=True, whitelist=("CT_SCANNER_1",))
    configure(data, receiver, projects=(Project("NEURO-01"),))
    with engine_process(data, 1, "--durability", "none"):
        destination = Destination(LOOPBACK, port, "XNAT", CALLER)
        with SendingAssociation(destination, [CT_SCANNER.sop_class_uid]) as peer:
            assert [peer.send(ds) for ds in islice(study(CT_SCANNER, 1, "NEURO-01", NOW), 1)] == [0]
        stranger = Destination(LOOPBACK, port, "XNAT", REJECTED)
        with SendingAssociation(stranger, [CT_SCANNER.sop_class_uid]) as peer:
            assert peer.is_rejected
        with remote(data / "control.sock") as far:
            app = ConsoleApp(far.view, blink=False, actor="anna")
            async with app.run_test(size=(120, 40)) as pilot:
                yield app, pilot


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """Wait for another process."""
    for _ in range(500):
        if holds():
            return
        await pilot.pause(0.02)
    assert holds(), pilot.app.screen


async def test_callers_that_were_seen_or_rejected_and_projects_are_completed_from_afar(
    tmp_path: Path,
) -> None:
    async with console_far_from_its_engine(tmp_path) as (app, pilot):
        await opened(pilot, ReceiverDialog, "1", "e")
        dialog = app.screen
        assert isinstance(dialog, ReceiverDialog)
        await until(pilot, lambda: bool(dialog.body.names))
        assert dialog.body.names[Names.PROJECTS] == ("NEURO-01",)
        area = dialog.query_one("#whitelist", TextArea)
        area.focus()
        for typed, rest in (
            ("CT_S", "CANNER_1"),
            ("STR", "ANGER"),
            (f"{REJECTED}@1", "27.0.0.1"),
        ):
            area.text = ""
            await pilot.press(*typed)
            assert area.suggestion == rest
        await pilot.press("right")
        assert area.text == f"{REJECTED}@{LOOPBACK}"


async def test_rules_and_scripts_are_tried_on_a_file_from_afar(tmp_path: Path) -> None:
    (ds,) = islice(study(CT_SCANNER, 2, "NEURO-01", NOW), 1)
    ds.PatientName = "Never^Sent"
    ds.PixelData = bytes(2 * MOST_BYTES)  # so that as much as ever crosses the socket
    file = tmp_path / "scan.dcm"
    ds.save_as(file, enforce_file_format=True)
    async with console_far_from_its_engine(tmp_path) as (app, pilot):
        await opened(pilot, ScriptDialog, "6", "j", "j", "e")
        panel = app.screen.query_one(BeforeAfter)
        app.screen.query_one("#anonymization_script", TextArea).text = RENAME
        await opened(pilot, FilePrompt, "f7")
        app.screen.query_one("#file", Input).value = str(file)
        await opened(pilot, ScriptDialog, "enter")
        await until(pilot, lambda: "PatientName" in words(panel))
        assert "a file" in str(panel.border_title)
        assert "Never^Sent" not in words(panel)
        panel.focus()
        await pilot.press("v")
        await until(pilot, lambda: "Never^Sent" in words(panel))
        assert "RENAMED" in words(panel)


async def opened(pilot: Pilot[None], kind: type[Screen[Any]], *keys: str) -> None:
    """Press keys until a screen of this kind is there."""
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))


def words(panel: BeforeAfter) -> str:
    """Return what the panel shows."""
    console = Console(width=100)
    with console.capture() as shown:
        console.print(*panel._parts(), sep="\n")
    return shown.get()
