"""One object: header, comparison, masked values, image, trail, and the way through its scan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot

from engine.api.objects import ObjectReference, Thumbnail, Window
from engine.model.identity import MASK
from tests.fakes import FakeEngine, busy
from tests.fakes.objects import phantom
from tests.tui.sessions.test_sessions_screen import (
    TOLD,
    keys_of,
    lines,
    note,
    press,
    seen,
    settle,
    telling,
    title,
)
from tui.app import ConsoleApp
from tui.inspector import screen as inspector
from tui.inspector.header import HeaderTable
from tui.inspector.image import Picture
from tui.inspector.screen import InspectorScreen, PlaceInScan
from tui.shell.dialogs import MessageDialog
from tui.widgets.panel import Facts

UID = "1.2.840.113619.2.55.3.604688119.971.1756018147.416.3"


@asynccontextmanager
async def running(
    engine: FakeEngine, *keys: str, size: tuple[int, int] = (120, 40), **options: Any
) -> AsyncIterator[tuple[ConsoleApp, InspectorScreen, Pilot[None]]]:
    app = telling(engine, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(app, pilot)
        screen = object_screen(app)
        app.push_screen(screen)
        await settle(app, pilot)
        await press(app, pilot, *keys)
        yield app, screen, pilot


def object_screen(app: ConsoleApp) -> InspectorScreen:
    """Return the screen of the first of three objects."""
    reference = ObjectReference(416, "SCANS/3/DICOM/3-0001.dcm", f"{UID}.1")
    place = PlaceInScan(416, "3", 0, 768)
    screen = InspectorScreen(app.frame, reference, ("Prearchive", "S0041_CT_01"), place)
    screen.show(app.engine_state)
    return screen


def header(app: ConsoleApp) -> str:
    return " ".join(" ".join(lines(app, HeaderTable)).split())


def facts(app: ConsoleApp, name: str) -> dict[str, str]:
    return dict(app.screen.query_one(f"#{name}-facts", Facts).facts)


async def test_values_are_masked_until_v_and_again_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = busy()
    async with running(engine, actor="anna") as (app, screen, pilot):
        assert f"PatientName {MASK} (masked" in header(app)
        assert "masked; v shows" in note(app, "header")
        await press(app, pilot, "v")
        assert "S0041_CT_01" in header(app)
        assert [call[1] for call in engine.named("objects.shown")] == ["anna"]
        screen._mask()
        await settle(app, pilot)
        assert MASK in header(app)
        monkeypatch.setattr(inspector, "SHOW_SECONDS", 0.001)
        await press(app, pilot, "v")
        assert MASK in header(app)
        await press(app, pilot, "c", "v")
        assert len(engine.named("objects.shown_comparison")) == 1


async def test_a_comparison_shows_what_changed_and_all_on_demand() -> None:
    async with running(busy(), "c") as (app, _, pilot):
        assert "11 changes since reception" in title(app, "header")
        assert "− (0010,0030) DA PatientBirthDate" in header(app)
        assert "compared up to (0032,4000)" in note(app, "header")
        assert "Modality" not in header(app)
        await press(app, pilot, "equals_sign")
        assert "Modality" in header(app)
        assert "= hides equal ones" in title(app, "header")
        await press(app, pilot, "c")
        assert "as stored" in title(app, "header")


async def test_what_arrived_may_be_gone_and_the_stored_header_stays() -> None:
    engine = busy()
    engine.objects.received = None
    async with running(engine, "c") as (app, _, pilot):
        assert isinstance(seen(app), MessageDialog)
        assert "not in memory any more" in seen(app)._detail
        assert "only the last 20 headers" in seen(app)._remedy
        await press(app, pilot, "x")
        assert "PatientName" in header(app)
        assert "as stored" in title(app, "header")
        await press(app, pilot, "c")
        assert isinstance(seen(app), MessageDialog)


async def test_sequences_unfold_and_what_is_copied_is_what_is_seen() -> None:
    async with running(busy(), *["j"] * 7, "enter") as (app, screen, pilot):
        assert "1· ReferencedSOPClassUID" in header(app)
        await press(app, pilot, "enter", "k", "y")
        assert app.clipboard == "NEURO-01^BRAIN"
        assert facts(app, "element")["raw"].startswith("4E 45 55 52 4F 2D 30 31 5E 42 52")
        await press(app, pilot, "Y")
        assert app.clipboard == "(0008,1030)"
        await press(app, pilot, "r")
        assert app.clipboard == r"(0008,1030):([^^]+)\^.*:1"
        assert TOLD[-1] == rf"rule copied: {app.clipboard}"
        await press(app, pilot, "s", "p")
        assert "▾ ReferencedImageSequence" in header(app)
        await press(app, pilot, *["j"] * 6, "y")
        assert MASK in app.clipboard
        details = screen.details()
        assert details is not None
        assert "S0041" not in details.to_json()


async def test_find_looks_into_sequences() -> None:
    async with running(busy(), "slash", *"sopinstance") as (app, _, pilot):
        assert "▾ ReferencedImageSequence" in header(app)
        assert "match “sopinstance”" in title(app, "header")
        await press(app, pilot, "escape")
        assert "Rows" in header(app)


async def test_brackets_go_through_the_scan_and_mask_again() -> None:
    engine = busy()
    async with running(engine, "v", "right_square_bracket") as (app, screen, pilot):
        assert screen.crumbs()[-2:] == ("scan 3", "object 2 of 768")
        assert MASK in header(app)
        trail = facts(app, "trail")
        assert trail["  file"] == "SCANS/3/DICOM/3-0002.dcm"
        place = "NEURO-01 / S0416 / S0416_CT_01, prearchive"
        assert (trail["session"], trail["  arrivals"]) == (place, "1, 2")
        assert trail["  went to"] == f"session 416: {place}"
        await press(app, pilot, "left_square_bracket", "left_square_bracket")
        assert TOLD[-1] == "this is the first object of the scan"
        engine.sessions.known = [s for s in engine.sessions.known if s.id != 416]
        await press(app, pilot, "right_square_bracket")
        assert TOLD[-1] == "that object is not there any more"
        assert screen.crumbs()[-1] == "object 1 of 768"


async def test_the_image_is_drawn_in_the_room_there_is_with_frames_and_windows() -> None:
    engine = busy()
    asked: list[dict[str, Any]] = []

    def drawn(_: ObjectReference, **wish: Any) -> Thumbnail:
        asked.append(wish)
        image = phantom(8, wish["frame"], wish["window"])
        return Thumbnail(8, 8, 1, image.pixels, wish["frame"], 3, 512, 512, image.window)

    engine.objects.thumbnail = drawn  # type: ignore[assignment, method-assign]
    engine.objects._header = more_frames(engine.objects._header)  # type: ignore[method-assign]
    async with running(engine, "w", "comma", "i") as (app, screen, pilot):
        assert screen.query_one(Picture).size.width > 100
        assert asked[-1]["width"] == screen.query_one(Picture).size.width
        assert asked[-1]["window"] == Window(40, 80)
        assert asked[-1]["frame"] == 3
        assert "frame 3/3   512×512   brain W80 C40" in title(app, "picture")
        await press(app, pilot, "right", "up", "full_stop")
        assert asked[-1]["window"] == Window(48.8, 88)
        assert asked[-1]["frame"] == 1
        await press(app, pilot, "i", "t")
        assert app.screen.query_one("#trail").has_class("-zoom")


def more_frames(ask: Any) -> Any:
    from dataclasses import replace

    return lambda *wish: replace(ask(*wish), frames=3)


async def test_without_an_image_it_is_said_why() -> None:
    engine = busy()
    engine.objects.image = Thumbnail(problem="a report has no pixels", remedy="read its text")
    async with running(engine) as (app, screen, _):
        picture = screen.query_one(Picture)
        shown = "".join(picture.render_line(y).text for y in range(4))
        assert "no image: a report has no pixels; read its" in " ".join(shown.split())
        assert {"object.frame", "object.neighbour"} & keys_of(app) == set()


async def test_a_read_only_console_may_look_at_an_object() -> None:
    async with running(busy(), "v", read_only=True) as (app, _, _pilot):
        assert "S0041" in header(app)
