"""Pictures of the processors' screen, their dialog, a trial and the given-up objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api.scripts import FindingKind, ScriptFinding
from engine.errors import EngineError
from tests.fakes import HOSTILE_NAMES
from tests.tui.processors.processing import hostile_processing, no_processors, processing
from tests.tui.shell.test_screen_pictures import (
    both_sizes,
    console,
    large_only,
    pressing,
    small_only,
)

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tests.tui.shell.test_screen_pictures import Before, Compare

Size = tuple[int, int]


def then(*rounds: tuple[str, ...]) -> Before:
    """Press keys in rounds, each after everything that the one before began is answered."""

    async def before(pilot: Pilot[Any]) -> None:
        for keys in rounds:
            await pressing(*keys)(pilot)
        await pressing()(pilot)

    return before


@both_sizes
def test_processors(snap_compare: Compare, size: Size) -> None:
    """Five processors in their order; of the broken one is said why; queues are below."""
    before = then(("7",), ("j",))
    assert snap_compare(console(processing()), terminal_size=size, run_before=before)


@small_only
def test_no_processors(snap_compare: Compare, size: Size) -> None:
    """Nothing there yet: the key that adds a processor, and what it needs."""
    assert snap_compare(console(no_processors()), terminal_size=size, run_before=then(("7",)))


@both_sizes
def test_hostile_and_long_names(snap_compare: Compare, size: Size) -> None:
    """Names that are markup or escape sequences stand there literally, long ones cut."""
    app = console(hostile_processing(HOSTILE_NAMES))
    assert snap_compare(app, terminal_size=size, run_before=then(("7",), ("j",)))


@small_only
def test_not_up_to_date(snap_compare: Compare, size: Size) -> None:
    """The last question failed: why, and what was known before stays, greyed."""
    engine = processing()

    async def before(pilot: Pilot[Any]) -> None:
        await then(("7",))(pilot)
        engine.processors.listing_error = EngineError("the engine is busy with [something]")
        pilot.app.screen.refetch()  # type: ignore[attr-defined]
        await pressing()(pilot)

    assert snap_compare(console(engine), terminal_size=size, run_before=before)


@both_sizes
def test_given_up(snap_compare: Compare, size: Size) -> None:
    """One destination: why it waits, when it tries again, and each object it gave up."""
    before = then(("7",), ("tab", "tab", "tab"), ("enter",), ("space", "space"))
    assert snap_compare(console(processing()), terminal_size=size, run_before=before)


@small_only
def test_trial(snap_compare: Compare, size: Size) -> None:
    """What the processor would make of the newest object, its values masked."""
    before = then(("7",), ("j",), ("t",))
    assert snap_compare(console(processing()), terminal_size=size, run_before=before)


@both_sizes
def test_edit_a_forward_copy(snap_compare: Compare, size: Size) -> None:
    """Peer, port and the rest as its class asks for them; what TLS needs is hidden while off."""
    before = then(("7",), ("j", "j", "j"), ("e",))
    assert snap_compare(console(processing()), terminal_size=size, run_before=before)


@large_only
def test_all_problems_after_saving(snap_compare: Compare, size: Size) -> None:
    """Everything that is missing or wrong is said at once, and the first has the focus."""

    async def before(pilot: Pilot[Any]) -> None:
        await then(("7",), ("n",))(pilot)
        pilot.app.screen.query_one("#receivers_allowed").focus()
        await then((*"XNAT:8104", "enter", *"XNAT"), ("ctrl+s",))(pilot)

    assert snap_compare(console(processing()), terminal_size=size, run_before=before)


@large_only
def test_script_with_a_trap(snap_compare: Compare, size: Size) -> None:
    """A script is checked while it is typed; below it stands the line that is odd."""
    engine = processing()
    trap = "“:=” needs no second argument; [it] is ignored"
    engine.scripts.findings = (ScriptFinding(FindingKind.TRAP, 2, 1, trap, "leave it out"),)
    before = then(("7",), ("e",), ("tab", "tab"))
    assert snap_compare(console(engine), terminal_size=size, run_before=before)
