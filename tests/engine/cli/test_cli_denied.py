"""A command that may not use the data directory says whose it is, and what to do."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from engine.cli import context
from engine.cli.context import denial
from engine.errors import NotFound, NotTheOwner, StorageUnusable
from engine.host.owner import user
from engine.settings import EngineSettings
from tests.engine.cli.outcome import CT1

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

DENIED = PermissionError(13, "Permission denied")


@pytest.fixture
def settings(data: Path) -> EngineSettings:
    return EngineSettings(data)


def caused(cause: Exception) -> StorageUnusable:
    error = StorageUnusable("the index can't be opened")
    error.__cause__ = cause
    return error


def unreadable_index() -> sqlite3.Error:
    with pytest.raises(sqlite3.OperationalError) as raised:
        sqlite3.connect("file:/nowhere/index?mode=rw", uri=True)
    return raised.value


@pytest.mark.parametrize("cause", [DENIED, unreadable_index()], ids=["file", "index"])
def test_a_directory_of_another_user_is_named_with_the_remedy(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch, cause: Exception
) -> None:
    monkeypatch.setattr(context, "owner_of", lambda _: user(os.getuid() + 1))
    told = denial(caused(cause), settings)
    assert isinstance(told, NotTheOwner)
    assert f"belongs to {user(os.getuid() + 1)}, and the user {user(os.getuid())}" in told.detail
    assert "sudo" in told.remedy


def test_a_file_of_another_user_in_ones_own_directory_is_named(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.index_file.symlink_to("/etc/shadow")
    told = denial(caused(DENIED), settings)
    assert isinstance(told, StorageUnusable)
    assert told.detail == f"{settings.index_file} is a symbolic link"


@pytest.mark.parametrize(
    "error",
    [NotFound("there is no session 7"), PermissionError(13, "Permission denied", "/root/x.das")],
)
def test_other_errors_stay_as_they_are(settings: EngineSettings, error: Exception) -> None:
    assert denial(error, settings) is None
    assert denial(DENIED, settings) is None  # nothing there is another user's


def test_a_command_says_it(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(data / "config.json"))

    monkeypatch.setattr("engine.config.store.ConfigurationStore.load", deny)
    monkeypatch.setattr(context, "owner_of", lambda _: user(os.getuid() + 1))
    outcome = run("receivers", "list")
    assert outcome.code == 2
    assert "belongs to" in outcome.err
    assert "fault of dicomdock" not in outcome.err


def test_a_command_that_can_not_take_the_owners_rights_does_nothing(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise NotTheOwner("it belongs to anna", "use her rights")

    monkeypatch.setattr("engine.cli.become_owner", refuse)
    outcome = run("receivers", "add", *CT1, "--json")
    assert (outcome.code, outcome.error["detail"]) == (2, "it belongs to anna")
    assert not any(data.iterdir())
    assert run("rule", "--help").code == 0
    assert run("completion", "bash").code == 0


def test_commands_on_the_directory_of_another_user_are_the_engines_to_run(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []

    def hand_over(_file: Path, arguments: list[str]) -> int:
        given.append(arguments)
        return 9

    monkeypatch.setattr("engine.cli.belongs_to_another", lambda _: True)
    monkeypatch.setattr("engine.remote.commands.hand_over", hand_over)
    assert run("receivers", "list", "--json").code == 9
    assert given == [["--data", str(data), "receivers", "list", "--json"]]
    # The control API is enough for it.
    assert "no engine runs" in run("health").err
    assert len(given) == 1
