"""Pictures of the dialog's advanced section, whitelist tester and conflicts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import ChangedMeanwhile
from engine.model.plugins import FileNamerInfo
from tests.tui.receivers.test_receiver_advanced import AT
from tests.tui.receivers.test_receiver_dialog import settle
from tests.tui.receivers.test_receiver_dialog_pictures import (
    WHITELIST,
    at_both_sizes,
    edit,
    pressing,
    research,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

ODD_WHITELIST = (*WHITELIST, "MR_PRISMA@10.4.1.9", "10411", "0.0.0.0/0", "MR_SKYRA@10.4.7.300")


def conflicting(*after: str) -> Callable[[Pilot[Any]], Awaitable[None]]:
    async def save(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        app: Any = pilot.app
        pilot.app.screen.query_one("#whitelist").focus()
        await pilot.press("end", "2", "ctrl+s")
        await settle(pilot)
        app.fake.current = replace(app.form.original, port=11113, anonymization=False)
        await pilot.press(*after)
        await settle(pilot)

    return save


def refusing(app: Any) -> Any:
    changes = [
        "receiver MR_RESEARCH:11112 port: 11112 → 11113",
        "receiver MR_RESEARCH:11112 anonymization: on → off",
    ]
    app.fake.refusal = ChangedMeanwhile("MR_RESEARCH:11113", "anna@10.4.0.7", AT, changes)
    return app


@at_both_sizes
def test_advanced_open(snap_compare: Any, size: tuple[int, int]) -> None:
    """Own limits beside the site's; one of them is wrong."""
    app = edit(research(bind_address="10.4.0.5", limits=(("idle_seconds", 120),)))
    keys = ("1", "tab", "tab")
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys, focus="pdu_bytes"))


@at_both_sizes
def test_file_namers(snap_compare: Any, size: tuple[int, int]) -> None:
    """The file namers that are installed, one of them broken, and the one that is not any more."""
    namers = (
        FileNamerInfo("stationNamer", "By station name", "${StationName}-${SOPInstanceUID}"),
        FileNamerInfo("nameless", "Nameless", error="the template gives all files one name"),
    )
    app = edit(research(file_namer="gone"), file_namers=namers)
    keys = ("enter", "down")
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys, focus="file_namer"))


@at_both_sizes
def test_whitelist_tester_admits(snap_compare: Any, size: tuple[int, int]) -> None:
    """The caller that is tried would be admitted; odd lines are noted."""
    app = edit(research(whitelist_enabled=True, whitelist=ODD_WHITELIST[:5]))
    keys = (*"MR_SKYRA", "tab", *"10.4.7.9")
    assert snap_compare(
        app, terminal_size=size, run_before=pressing(*keys, focus="caller_ae_title")
    )


@at_both_sizes
def test_whitelist_tester_refuses(snap_compare: Any, size: tuple[int, int]) -> None:
    """The caller that is tried would be refused, with the nearest line."""
    app = edit(research(whitelist_enabled=True, whitelist=WHITELIST))
    keys = (*"MR_SKYRA", "tab", *"10.4.8.9")
    assert snap_compare(
        app, terminal_size=size, run_before=pressing(*keys, focus="caller_ae_title")
    )


@at_both_sizes
def test_odd_lines(snap_compare: Any, size: tuple[int, int]) -> None:
    """Lines without effect, of digits, for everybody, repeated and wrong."""
    app = edit(research(whitelist=(*ODD_WHITELIST[:5], "MR_PRISMA", *ODD_WHITELIST[5:])))
    keys = ("space", "tab")
    assert snap_compare(
        app, terminal_size=size, run_before=pressing(*keys, focus="whitelist_enabled")
    )


@at_both_sizes
def test_changed_meanwhile(snap_compare: Any, size: tuple[int, int]) -> None:
    """Who changed what, with everything typed still there."""
    app = refusing(edit(research(whitelist_enabled=True, whitelist=("MR_PRISMA",))))
    assert snap_compare(app, terminal_size=size, run_before=conflicting())


@at_both_sizes
def test_reloaded(snap_compare: Any, size: tuple[int, int]) -> None:
    """Their changes are taken over, mine are kept and named."""
    app = refusing(edit(research(whitelist_enabled=True, whitelist=("MR_PRISMA",))))
    assert snap_compare(app, terminal_size=size, run_before=conflicting("ctrl+r"))
