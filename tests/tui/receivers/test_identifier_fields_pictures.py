"""Pictures of what identifiers add to the dialog, wide and narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api import PortState, PortStatus
from engine.model.plugins import DEFAULT_IDENTIFIER
from tests.tui.receivers.test_identifier_fields import BROKEN, NAME, PROJECT, edit, fixed, new
from tests.tui.receivers.test_receiver_dialog import FakeEngine, Host
from tests.tui.receivers.test_receiver_dialog_pictures import at_both_sizes, pressing

if TYPE_CHECKING:
    from engine.model.receiver import Receiver


def editing(receiver: Receiver) -> Host:
    engine = FakeEngine()
    engine.ports[8104] = PortStatus(PortState.OURS, "shared with FIX")
    return Host(edit(receiver), engine=engine)


@at_both_sizes
def test_installed_identifiers(snap_compare: Any, size: tuple[int, int]) -> None:
    """The list is open: names, which one is the default, which can route, which is broken."""
    app = editing(fixed(identifier=DEFAULT_IDENTIFIER, identifier_settings=()))
    assert snap_compare(
        app, terminal_size=size, run_before=pressing("enter", "down", focus="identifier")
    )


@at_both_sizes
def test_a_fixed_project_and_subject(snap_compare: Any, size: tuple[int, int]) -> None:
    """Two fields more, and no routing rules."""
    assert snap_compare(editing(fixed()), terminal_size=size, run_before=pressing(focus=NAME))


@at_both_sizes
def test_projects_to_choose_from(snap_compare: Any, size: tuple[int, int]) -> None:
    """The list of projects is open."""
    assert snap_compare(
        editing(fixed()), terminal_size=size, run_before=pressing("enter", focus=PROJECT)
    )


@at_both_sizes
def test_what_the_identifier_still_needs(snap_compare: Any, size: tuple[int, int]) -> None:
    """Saving was tried: what is empty says so, with the remedy."""
    assert snap_compare(Host(new()), terminal_size=size, run_before=pressing("ctrl+s"))


@at_both_sizes
def test_a_broken_identifier(snap_compare: Any, size: tuple[int, int]) -> None:
    """The stored identifier is installed but can't be loaded; the error stands below it."""
    app = editing(fixed(identifier=BROKEN.id))
    assert snap_compare(app, terminal_size=size, run_before=pressing(focus="identifier"))


@at_both_sizes
def test_an_identifier_that_is_not_installed(snap_compare: Any, size: tuple[int, int]) -> None:
    """The stored identifier is unknown here."""
    app = editing(fixed(identifier="dqrObjectIdentifier"))
    assert snap_compare(app, terminal_size=size, run_before=pressing(focus="identifier"))


@at_both_sizes
def test_rules_would_be_dropped(snap_compare: Any, size: tuple[int, int]) -> None:
    """Choosing an identifier that can't route asks before the rules are switched off."""
    rules = {"routing_enabled": True, "project_routing": "(0008,1030):(.*)"}
    app = editing(fixed(identifier=DEFAULT_IDENTIFIER, identifier_settings=(), **rules))
    keys = ("enter", "down", "enter")
    assert snap_compare(app, terminal_size=size, run_before=pressing(*keys, focus="identifier"))
