"""An admin's first hour at the console, on a real engine that real scanners send to."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import textual.app
import textual.pilot
from textual.widgets import Input, TextArea

from engine.app.demo.sender import CT_SCANNER, MR_SCANNER, study
from engine.config.store import ConfigurationStore
from engine.events import IdentifyingValuesShown
from engine.host.clock import SystemClock
from engine.model.project import AutoArchive, Project
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from engine.model.site import SessionSettings
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import Caller
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, LOOPBACK_SITE, configure, free_port, make_receiver
from tests.serving import attached
from tui.app import ConsoleApp
from tui.sessions.list import SessionsScreen
from tui.sessions.tables import ObjectsTable, SessionsTable
from tui.settings.dialog import ScriptDialog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from pydicom import Dataset
    from textual.pilot import Pilot
    from textual.widget import Widget

    from engine.api import EngineView
    from engine.app.demo.sender import Scanner
    from engine.model.receiver import Receiver

pytestmark = pytest.mark.timeout(240)
"""An hour takes its time on a machine that does other things too."""
PATIENCE_SECONDS = 30
STEPS_MOST = 40
"""No form has more fields than the tab key finds in so many steps."""
OBJECTS = 2
EXAMPLE_DISTRIBUTION = Path(__file__).parents[1] / "plugin_distribution"
WHOLE_VALUE = "(0008,1030):(.*)"
UP_TO_CARET = "(0008,1030):([^^]+).*:1"
"""What the scanners write there is the project, and after a caret the region."""


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key wait until the process is idle, which an engine at work never is."""

    async def go_on(*_: float) -> None:
        await asyncio.sleep(0)

    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", go_on)


class Walk:
    """One admin, who sees what is on the screen, presses keys and waits for what shows."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    def screen(self) -> str:
        """Return all that is drawn now, line by line."""
        strips = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(strip.text for strip in strips)

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def sees(self, *words: str) -> None:
        """Wait until all these words are on the screen."""
        await self.until(lambda: all(some in self.screen() for some in words), " and ".join(words))

    async def leaves(self, title: str) -> None:
        """Wait until a dialog is closed: a key pressed before that is one of the dialog's."""
        await self.until(lambda: title not in self.screen(), f"the end of {title}")

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"waited for {what}; there is\n{self.screen()}"
            await self._pilot.pause(0.02)

    async def tab_to(self, field: str, key: str = "tab") -> None:
        """Go to a field of a dialog as people do."""
        for _ in range(STEPS_MOST):
            before = self.app.focused
            if before is not None and before.id == field:
                return
            await self.press(key)
            await self.until(partial(self._has_left, before), "the next field")
        raise AssertionError(f"{key} never comes to {field}:\n{self.screen()}")

    def is_checked(self) -> bool:
        """Tell whether the script in the dialog has been looked at by the engine."""
        dialog = self.app.screen
        return isinstance(dialog, ScriptDialog) and dialog._checked is not None

    def _has_left(self, field: Widget | None) -> bool:
        return self.app.focused is not field

    async def switch_on(self, field: str, opens: str) -> None:
        """Turn a switch, and wait for the field that it opens."""
        await self.tab_to(field)
        await self.press("space")
        await self.until(
            lambda: any(w.focusable for w in self.app.screen.query(f"#{opens}")), opens
        )

    async def fill(self, field: str, text: str) -> None:
        """Write a text in the place of what is in a field of one line."""
        await self.tab_to(field)
        if self._value():
            await self.press("end", "ctrl+u")
        await self.until(lambda: self._value() == "", f"an empty {field}")
        await self.press(*text)
        await self.until(lambda: self._value() == text, f"{text} in {field}")

    def _value(self) -> str:
        match self.app.focused:
            case Input() as entry:
                return entry.value
            case TextArea() as area:
                return area.text
            case other:
                raise AssertionError(f"{other} has no text")


@asynccontextmanager
async def walking(engine: EngineView, **options: str) -> AsyncIterator[Walk]:
    app = ConsoleApp(engine, refresh_hz=5, blink=False, **options)  # type: ignore[arg-type]
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        yield Walk(app, pilot)


@contextmanager
def running(data: Path, *receivers: Receiver) -> Iterator[Engine]:
    """Run an engine whose sessions are complete after a second of silence."""
    project = Project("THORAX-02", auto_archive=AutoArchive.MANUAL)
    configure(data, *receivers, projects=(project,))
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    store.set_site(replace(LOOPBACK_SITE, sessions=SessionSettings(idle_seconds=1)), "test")
    engine = Engine(EngineSettings(data, durability=Durability.NONE))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(drain_seconds=0)


def _send(scanner: Scanner, port: int, objects: Iterable[Dataset]) -> list[int | None] | str:
    to = Destination(LOOPBACK, port, "WALK", scanner.ae_title)
    with SendingAssociation(to, [scanner.sop_class_uid]) as peer:
        if peer.is_established:
            return [peer.send(ds) for ds in objects]
        if peer.is_rejected:
            return "rejected"
    with Caller(port) as caller:  # pynetdicom's requestor loses a rejection now and then
        return "not answered" if caller.associate("WALK", scanner.ae_title) is None else "rejected"


async def send(scanner: Scanner, port: int, number: int) -> list[int | None] | str:
    """Send a study as a modality would; return the statuses, or what became of the call."""
    objects = list(islice(study(scanner, number, "", datetime.now(UTC)), OBJECTS))
    for ds in objects:
        ds.StudyDescription = f"THORAX-02^{scanner.study_description}"
        del ds.PatientComments
    return await send_objects(scanner, port, objects)


async def send_objects(
    scanner: Scanner, port: int, objects: Iterable[Dataset]
) -> list[int | None] | str:
    """Do the same with objects that are there."""
    return await asyncio.to_thread(_send, scanner, port, objects)


STORED = [0] * OBJECTS


async def test_the_first_hour_of_an_admin(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path / "data", make_receiver("XNAT", free_port())) as engine:
        async with walking(engine, actor="anna") as walk:
            await clear_the_table(walk)
            await make_a_project(walk, engine)
            await make_the_receiver(walk, port)
            assert await send(CT_SCANNER, port, 1) == STORED
            await walk.sees("CT_SCANNER_1", "released")
            await look_at_the_receiver(walk)
            await let_the_other_scanner_in(walk, port)
            await mend_the_routing(walk, engine, port)
            await archive_what_came(walk, engine)
            await inspect_an_object(walk, engine)
            await take_the_rule_back(walk, engine)


async def clear_the_table(walk: Walk) -> None:
    """The receiver of the first start goes; what is seen without any says what to do next."""
    await walk.sees("1 listening")
    await walk.press("d")
    await walk.sees("Delete XNAT")
    await walk.press("right", "enter")
    await walk.sees("no receivers yet", "creates one")


async def make_a_project(walk: Walk, engine: Engine) -> None:
    """It is saved without a script, which it need not have."""
    await walk.press("6")
    await walk.sees("[6 Site & projects]", "Alerts")
    await walk.press("G")
    await walk.sees("THORAX-02")
    await walk.press("n")
    await walk.sees("New project")
    await walk.fill("id", "NEURO-01")
    await walk.until(walk.is_checked, "the check of a script that there is not")
    await walk.press("ctrl+s")
    await walk.until(lambda: len(engine.projects()) == 2, "the new project")
    await walk.sees("project NEURO-01 saved")
    await walk.press("1")
    await walk.sees("no receivers yet")


async def make_the_receiver(walk: Walk, port: int) -> None:
    """It accepts one scanner, and has a rule that is not quite right."""
    await walk.press("n")
    await walk.sees("New DICOM receiver")
    await walk.fill("ae_title", "WALK")
    await walk.fill("port", str(port))
    await walk.switch_on("whitelist_enabled", opens="whitelist")
    await walk.fill("whitelist", "CT_SCANNER_1")
    await walk.switch_on("routing_enabled", opens="project_routing")
    await walk.fill("project_routing", WHOLE_VALUE)
    await walk.tab_to("routing-preview")
    await walk.sees("there is no object to try the rules on")
    await walk.press("ctrl+s")
    await walk.sees(f"WALK:{port} saved", "1 listening")


async def look_at_the_receiver(walk: Walk) -> None:
    """Its screen shows who called, what came last, and the header of that."""
    await walk.press("enter")
    await walk.sees("Receivers ▸ WALK", "Last objects", "✓ stored", "Unassigned")
    await walk.press("tab", "tab", "enter")
    await walk.sees("StudyDescription", "Where it went")
    await walk.press("escape")
    await walk.sees("Receivers ▸ WALK", "Last objects")
    await walk.press("escape")
    await walk.sees("[1 Dashboard]", "Selected receiver")


async def let_the_other_scanner_in(walk: Walk, port: int) -> None:
    """It is seen rejected on screen 2, and allowed from its row."""
    assert await send(MR_SCANNER, port, 2) == "rejected"
    await walk.press("2")
    await walk.sees("MR_PRISMA", "rejected")
    await walk.press("g", "w")
    await walk.sees("Allow MR_PRISMA in WALK", "is on no whitelist line")
    await walk.press("ctrl+s")
    await walk.sees("lets MR_PRISMA in now, by line")
    assert await send(MR_SCANNER, port, 2) == STORED


async def mend_the_routing(walk: Walk, engine: Engine, port: int) -> None:
    """The preview in the dialog shows what the rule makes of what came, while it is typed."""
    await walk.press("1", "e")
    await walk.sees("Edit receiver · WALK")
    await walk.tab_to("routing-preview", "shift+tab")
    await walk.sees("✗ nothing decides → Unassigned", "does not exist")
    await walk.tab_to("project_routing", "shift+tab")
    await walk.fill("project_routing", UP_TO_CARET)
    await walk.sees("→ THORAX-02 · rule 1")
    await walk.press("ctrl+s")
    await walk.until(lambda: receiver_of(engine).project_routing == UP_TO_CARET, "the new rule")
    await walk.leaves("Edit receiver · WALK")
    assert await send(CT_SCANNER, port, 3) == STORED


async def archive_what_came(walk: Walk, engine: Engine) -> None:
    """The session becomes ready by itself; the archive has it when the console says so."""
    await walk.press("3")
    await walk.sees("THORAX-02", "Unassigned")
    await walk.press("slash")
    await walk.until(lambda: isinstance(walk.app.focused, Input), "the filter")
    await walk.press(*"project:thorax status:ready", "enter")
    await walk.until(lambda: isinstance(walk.app.focused, SessionsTable), "the list again")
    await walk.sees("1 of 3", "DEMO-0003")
    await walk.until(lambda: ready_under_the_cursor(walk) == ["DEMO-0003"], "its row")
    await walk.press("a")
    await walk.sees("Archive DEMO-0003?")
    await walk.press("right", "enter")
    await walk.sees("DEMO-0003 archived")
    archived = engine.sessions.list(SessionQuery(area=SessionArea.ARCHIVE)).sessions
    assert [(s.project, s.label, s.objects) for s in archived] == [
        ("THORAX-02", "DEMO-0003", OBJECTS)
    ]


def ready_under_the_cursor(walk: Walk) -> list[str]:
    """Before it is ready, the half of the filter that was typed first shows the session too."""
    screen = walk.app.screen
    here = screen.sessions_here() if isinstance(screen, SessionsScreen) else ()
    return [session.label for session in here if session.status is SessionStatus.READY]


async def inspect_an_object(walk: Walk, engine: Engine) -> None:
    """From the archive to the session, its scan, the object's header and way; who looks is kept."""
    await walk.press("escape", "right_square_bracket")
    await walk.sees("[Archive 1]", "Dunmore_Avery", "Topogram")
    await walk.press("enter")
    await walk.sees("Sessions ▸ Archive ▸ DEMO-0003", "scan 1   1 object", "Topogram")
    await walk.press("enter")
    await walk.until(lambda: isinstance(walk.app.focused, ObjectsTable), "the list of objects")
    await walk.press("enter")
    await walk.sees("object 1 of 1", "StudyDescription", "Where it went", "CT_SCANNER_1")
    await walk.sees("•••••••• (masked, v shows)")
    await walk.press("v")
    await walk.sees("Dunmore^Avery")
    events = [recorded.event for recorded in engine.events_since(0, 500).events]
    assert [e.by for e in events if isinstance(e, IdentifyingValuesShown)] == ["anna"]


async def take_the_rule_back(walk: Walk, engine: Engine) -> None:
    """Z shows what the last change was, and screen 8 what became of it."""
    await walk.press("8")
    await walk.sees("Revisions", "anna")
    await walk.press("Z")
    await walk.sees("Undo the last change?", UP_TO_CARET)
    await walk.press("right", "enter")
    await walk.sees("last change undone")
    receiver = receiver_of(engine)
    assert receiver.project_routing == WHOLE_VALUE
    assert receiver.whitelist == ("CT_SCANNER_1", f"MR_PRISMA@{LOOPBACK}")


async def test_a_study_announced_at_the_console_is_filed_where_it_was_to_go(
    tmp_path: Path,
) -> None:
    port = free_port()
    receiver = make_receiver("WALK", port, identifier="studyRouting", anonymization=False)
    objects = list(islice(study(CT_SCANNER, 7, "", datetime.now(UTC)), OBJECTS))
    with running(tmp_path / "data", receiver) as engine:
        async with walking(engine, actor="anna") as walk:
            await walk.press("6")
            await walk.sees("[6 Site & projects]", "Study routes")
            await walk.press("G", "k")
            await walk.sees("no study is announced")
            await walk.press("n")
            await walk.sees("New study route", "Asked for by WALK")
            await walk.fill("study_instance_uid", objects[0].StudyInstanceUID)
            await walk.fill("project", "THORAX-02")
            await walk.fill("subject", "S7")
            await walk.press("ctrl+s")
            await walk.sees("saved", "S7", "anna")
            assert await send_objects(CT_SCANNER, port, objects) == STORED
            await walk.press("3")
            await walk.sees("THORAX-02", "S7", "● ready")
            await walk.press("6")
            await walk.sees("[6 Site & projects]", "S7")
            await walk.press("G", "k", "d")
            await walk.sees("Delete this route?")
            await walk.press("right", "enter")
            await walk.sees("no study is announced")
        assert engine.study_routes.list().total == 0


async def test_a_test_alert_reaches_a_program_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "data", make_receiver("WALK", free_port())) as engine:
        async with walking(engine, actor="anna") as walk:
            await walk.press("6")
            await walk.sees("[6 Site & projects]", "nobody")
            await walk.press("G", "k", "k", "n")
            await walk.sees("New alert target")
            await walk.fill("name", "pager")
            await walk.fill("command", "/nowhere/page")
            await walk.press("ctrl+t")
            await walk.sees("The alert was not delivered", "No such file", "What to do")
            await walk.press("enter")
            await walk.leaves("The alert was not delivered")
            await walk.fill("command", f"/usr/bin/tee {tmp_path}/told")
            await walk.press("ctrl+t")
            await walk.sees("1 test alert delivered: pager")
            assert "this is a test" in (tmp_path / "told").read_text()
            await walk.press("ctrl+s")
            await walk.until(lambda: bool(engine.site().alerts.targets), "the target")
            await walk.leaves("New alert target")
            await walk.press("4")
            await walk.sees("a test alert of anna to pager was")


async def test_files_are_named_as_another_distribution_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_file_namer(tmp_path / "site", monkeypatch)
    port = free_port()
    objects = list(islice(study(CT_SCANNER, 7, "", datetime.now(UTC)), OBJECTS))
    for ds in objects:
        ds.StationName = "CT 8"
    with running(tmp_path / "data", make_receiver("WALK", port)) as engine:
        async with walking(engine, actor="anna") as walk:
            await walk.sees("1 listening")
            await walk.press("e")
            await walk.sees("Edit receiver · WALK")
            await walk.tab_to("advanced")
            await walk.press("enter")
            await walk.sees("File namer")
            await walk.tab_to("file_namer")
            await walk.press("enter")
            await walk.sees("By station name")
            await walk.press("down", "enter")
            await walk.sees("By station name (stationNamer)", "its own: file namer")
            await walk.press("ctrl+s")
            await walk.until(lambda: receiver_of(engine).file_namer == "stationNamer", "the namer")
        assert await send_objects(CT_SCANNER, port, objects) == STORED
    found = {file.name for file in (tmp_path / "data" / "prearchive").rglob("*.dcm")}
    assert found == {f"CT_8-{ds.SOPInstanceUID}.dcm" for ds in objects}


def install_file_namer(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the example distribution be found as an installed one, with its file namer alone."""
    info = site / "dicomdock_example-2.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dicomdock-example\nVersion: 2.5\n")
    entry = "stationNamer = dicomdock_example.namer:StationNamer"
    (info / "entry_points.txt").write_text(f"[dicomdock.file_namers]\n{entry}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(EXAMPLE_DISTRIBUTION)


async def test_an_attached_console_sees_the_same_and_leaves_the_engine_running(
    tmp_path: Path,
) -> None:
    port = free_port()
    with (
        running(tmp_path / "data", make_receiver("WALK", port)) as engine,
        attached(engine, tmp_path / "control.sock") as view,
    ):
        assert await send(CT_SCANNER, port, 1) == STORED
        async with walking(view, actor="bo") as walk:
            await walk.sees("1 listening", "CT_SCANNER_1", "released")
            await walk.press("2")
            await walk.sees("Presentation contexts", "CT_SCANNER_1")
            await walk.press("3")
            await walk.sees("DEMO-0001", "● ready 1")
            await walk.press("4")
            await walk.sees("started: 1 of 1 listening")
            await walk.press("1")
            await walk.sees("[1 Dashboard]")
            await walk.press("s")
            await walk.sees("rejects every new caller from now on")
            await walk.press("y")
            await walk.until(lambda: not receiver_of(engine).enabled, "the stop")
            await walk.sees("○ 1 stopped", "○ STOPPED WALK")
            await walk.press("8")
            await walk.sees("Revisions", ", says: bo")
            await walk.press("ctrl+q")
        engine.set_enabled(receiver_of(engine).id, True, "test")
        assert await send(CT_SCANNER, port, 2) == STORED


def receiver_of(engine: Engine) -> Receiver:
    (status,) = engine.snapshot().receivers
    return status.receiver
