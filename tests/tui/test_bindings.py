"""The key table."""

from collections import Counter

import pytest

from engine.api import ReceiverState
from tests.fakes import make_receiver, make_status
from tui.keys import KEYS, Scope, changes, possible


def test_every_key_has_its_own_id() -> None:
    assert len({key.id for key in KEYS}) == len(KEYS)


def test_no_key_of_every_screen_does_two_things() -> None:
    shared = (Scope.VIEW, Scope.LISTS, Scope.MARKS, Scope.SCREENS, Scope.EVERYWHERE)
    keys = Counter(key.keys for key in KEYS if key.scope in shared)
    assert set(keys.values()) == {1}


@pytest.mark.parametrize(
    ("action", "parameters", "expected"),
    [
        ("receiver", ("delete",), True),
        ("receiver", ("echo",), False),
        ("allow", (), True),
        ("switch_receivers", (False,), True),
        ("copy", ("json",), False),
    ],
)
def test_what_changes_something_is_known(
    action: str, parameters: tuple[object, ...], expected: bool
) -> None:
    assert changes(action, parameters) is expected


def test_only_quit_and_repaint_work_in_every_dialog_and_ctrl_z_is_never_bound() -> None:
    assert [key.id for key in KEYS if key.priority] == ["app.repaint", "app.quit"]
    assert all("ctrl+z" not in key.keys for key in KEYS)


@pytest.mark.parametrize(
    ("state", "enabled", "expected"),
    [
        (ReceiverState.LISTENING, True, {"edit", "delete", "stop", "echo"}),
        (ReceiverState.DISABLED, False, {"edit", "delete", "start"}),
        (ReceiverState.FAILED, True, {"edit", "delete", "stop", "retry"}),
        (ReceiverState.DRAINING, False, {"edit", "delete", "start"}),
    ],
)
def test_an_action_is_offered_only_in_states_where_it_makes_sense(
    state: ReceiverState, enabled: bool, expected: set[str]
) -> None:
    status = make_status(make_receiver(1, enabled=enabled), state)
    actions = {"edit", "delete", "stop", "start", "echo", "retry"}
    assert {action for action in actions if possible(action, status)} == expected


def test_without_a_receiver_only_a_new_one_is_possible() -> None:
    assert possible("new", None)
    assert not possible("edit", None)
