"""Pictures of the sessions: one state each, at both sizes."""

from dataclasses import replace
from typing import Any

import pytest

from engine.api.objects import Thumbnail
from engine.errors import NotFound
from engine.model.project import Project
from tests.fakes import HOSTILE_NAMES, FakeEngine, busy
from tests.fakes.sessions import hostile_sessions, past_actions
from tests.tui.shell.test_screen_pictures import (
    Compare,
    both_sizes,
    console,
    large_only,
    pressing,
    small_only,
)

MARKED = ("3", "j", "j", "j", "j", "space", "space")


def hostile() -> FakeEngine:
    engine = busy()
    engine.sessions.known = hostile_sessions()
    return engine


def without_sessions() -> FakeEngine:
    engine = busy()
    engine.sessions.known = []
    return engine


def refusing() -> FakeEngine:
    def away(*_: Any, **__: Any) -> Any:
        raise NotFound("the index is being rebuilt", "look again in a minute")

    engine = busy()
    engine.sessions.list = away  # type: ignore[method-assign]
    return engine


@both_sizes
def test_sessions(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Two of eighteen sessions are marked; below or beside the list, the one under the cursor."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing(*MARKED))


@both_sizes
def test_conflict_is_asked(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Before archiving: every reason against it in words, and what overwriting would come to."""
    before = pressing("3", *["j"] * 6, "a")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_trash_filtered(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The trash, filtered: how many match, until when the chosen one can be restored."""
    before = pressing("3", "left_square_bracket", words="phantom project:TEST")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_move_is_asked(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Where two sessions shall go: projects by id and title, those that match what is typed."""
    engine = busy()
    names = {"NEURO-01": "Neurology", "NEURO-02": "", "PETLAB": "[red]PET[/red] lab"}
    engine.known_projects = tuple(Project(id, title=title) for id, title in names.items())
    before = pressing(*MARKED, "m", "e")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@large_only
def test_sessions_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Names that are markup, escape sequences or too long stand there literally, cut at the end."""
    assert snap_compare(console(hostile()), terminal_size=size, run_before=pressing("3", "j"))


@small_only
def test_sessions_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """No session waits, and the list says what will bring one."""
    assert snap_compare(console(without_sessions()), terminal_size=size, run_before=pressing("3"))


@small_only
def test_sessions_refused(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The list can't be had: why, and what to do."""
    assert snap_compare(console(refusing()), terminal_size=size, run_before=pressing("3"))


@both_sizes
def test_session(snap_compare: Compare, size: tuple[int, int]) -> None:
    """One session in full, with its scans and the objects of the third."""
    before = pressing("3", "j", "j", "j", "j", "enter", "j", "j", "enter")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


# One object

OBJECT = ("3", "j", "j", "j", "j", "enter", "j", "j", "enter", "enter")


@both_sizes
def test_object(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A CT slice: header with masked values, image, where it went, an element with its bytes."""
    before = pressing(*OBJECT, *["j"] * 6)
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@large_only
def test_object_compared(snap_compare: Compare, size: tuple[int, int]) -> None:
    """What the scripts did: changed, removed and added elements by glyph, all of them masked."""
    before = pressing(*OBJECT, "s", "c", *["j"] * 11)
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_object_image(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The image alone, in the bone window, with the keys that change it."""
    before = pressing(*OBJECT, "i", "w", "w", "w", "w")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@large_only
def test_object_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Values that are markup, escapes or tricks stand there literally; why there is no image."""
    assert snap_compare(
        console(hostile_object()), terminal_size=size, run_before=pressing(*OBJECT, "j", "j")
    )


def hostile_object() -> FakeEngine:
    engine = busy()
    rows = zip(engine.objects.elements, HOSTILE_NAMES * 5, strict=False)
    engine.objects.elements = tuple(
        replace(row, value=name, identifying=False, keyword=name[:24]) for row, name in rows
    )
    engine.objects.image = Thumbnail(
        problem="the pixels can't be decoded: JPEG 2000 needs a decoder that is not installed",
        remedy="use a viewer",
    )
    return engine


@pytest.mark.usefixtures("no_delays")
@both_sizes
def test_review(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A session gets another label, one scan goes; what happens then, and a clash, in words."""
    engine = busy()
    engine.sessions.edit_clashes = (
        "the archive has this session already (session 3): archiving merges the two, or ends in a"
        " conflict",
    )
    before = pressing("3", *["j"] * 5, "e", "end", "b", "tab", "space")
    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@large_only
def test_actions_to_undo(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The last actions of everybody; why the chosen one can't be undone."""
    engine = busy()
    engine.sessions.done = past_actions()
    assert snap_compare(console(engine), terminal_size=size, run_before=pressing("3", "Z", "down"))
