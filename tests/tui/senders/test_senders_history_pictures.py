"""Pictures of senders, history, and the question before something is taken back."""

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from engine.errors import EngineError
from tests.fakes import busy, empty, hostile_names, whitelist_rejections
from tests.tui.shell.test_screen_pictures import (
    both_sizes,
    console,
    large_only,
    pressing,
    small_only,
)

Compare = Callable[..., bool]


@both_sizes
def test_senders(snap_compare: Compare, size: tuple[int, int]) -> None:
    """All senders with state, numbers and their last day; below, the chosen one and its week."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("5"))


@both_sizes
def test_senders_rejected(snap_compare: Compare, size: tuple[int, int]) -> None:
    """A sender that was only ever rejected: why, what helps, and the key that allows it."""
    filtered = pressing("5", words="state:reject")

    async def before(pilot: Pilot[Any]) -> None:
        await filtered(pilot)
        await pressing("enter")(pilot)

    assert snap_compare(console(whitelist_rejections()), terminal_size=size, run_before=before)


@large_only
def test_senders_of_a_day(snap_compare: Compare, size: tuple[int, int]) -> None:
    """The chart fills the screen and shows each hour of the last day with the time below."""
    before = pressing("5", "j", "tab", "tab", "h", "z")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_senders_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Nobody has ever called, and the list says where to look."""
    assert snap_compare(console(empty()), terminal_size=size, run_before=pressing("5"))


@both_sizes
def test_senders_hostile(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Names that are markup or escape sequences stand there literally."""
    before = pressing("5", "j", "j", "j", "j")
    assert snap_compare(console(hostile_names()), terminal_size=size, run_before=before)


@both_sizes
def test_history(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Who changed what, when and from where; below, before and after of the chosen revision."""
    assert snap_compare(console(busy()), terminal_size=size, run_before=pressing("8", "j", "j"))


@small_only
def test_history_of_two(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Two marked revisions are compared; the list can't be read anew, is greyed and says why."""
    engine = busy()
    marked = pressing("8", "j", "space", "j", "space")

    def fail(**_: Any) -> Any:
        raise EngineError("the folder of the history can't be read", "look at its permissions")

    async def before(pilot: Pilot[Any]) -> None:
        await marked(pilot)
        engine.history.revisions = fail  # type: ignore[method-assign]
        await pressing("r")(pilot)

    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@both_sizes
def test_restore_is_asked(snap_compare: Compare, size: tuple[int, int]) -> None:
    """Before a revision is restored: what changes back, that nothing is lost; Cancel is focused."""
    before = pressing("8", "j", "j", "R")
    assert snap_compare(console(busy()), terminal_size=size, run_before=before)


@small_only
def test_history_empty(snap_compare: Compare, size: tuple[int, int]) -> None:
    """No revision is kept yet, and the list says what makes one."""
    assert snap_compare(console(empty()), terminal_size=size, run_before=pressing("8"))
