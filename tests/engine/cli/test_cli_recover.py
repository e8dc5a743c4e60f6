"""A missing or broken configuration on the command line: named with its remedy, and restored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.model.peer import AETitle
from engine.model.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run, TypeIn


@pytest.fixture
def lost(store: ConfigurationStore, data: Path) -> Path:
    """A configuration of two revisions whose file is missing; returns that file."""
    _, ct1 = store.save_receiver(Receiver(0, AETitle("CT1"), 8105), "anna")
    store.save_receiver(replace(ct1, port=8106), "berta")
    (data / "config.json").unlink()
    return data / "config.json"


@pytest.mark.parametrize(
    "command",
    [
        ("engine",),
        ("receivers", "list"),
        ("receivers", "add", "--ae-title", "MR1", "--port", "8107"),
        ("config", "show"),
        ("config", "undo", "--yes"),
        ("status",),
    ],
    ids=" ".join,
)
def test_every_command_refuses_to_begin_anew_and_names_what_restores_the_file(
    run: Run, lost: Path, command: tuple[str, ...]
) -> None:
    outcome = run(*command)
    assert outcome.code == 2
    assert "restore revision 2 of" in outcome.err
    assert f"dicomdock --data {lost.parent} config recover" in outcome.err
    assert not lost.exists()


def test_the_newest_revision_is_restored_and_said(run: Run, lost: Path) -> None:
    outcome = run("config", "recover")
    assert outcome.code == 0
    assert "(config.history/00000002.json); revision 2 is in force" in outcome.err
    assert run("receivers", "list", "--json").data["receivers"][0]["port"] == 8106
    assert lost.stat().st_mode & 0o777 == 0o600


def test_a_dry_run_says_what_would_be_restored_and_writes_nothing(run: Run, lost: Path) -> None:
    outcome = run("config", "recover", "--dry-run")
    assert "receiver CT1:8106 added" in outcome.out
    assert "would restore revision 2" in outcome.err
    assert run("config", "recover", "--dry-run", "--json").data["revision"] is None
    assert not lost.exists()


def test_what_can_be_restored_is_listed_newest_first(run: Run, lost: Path) -> None:
    listed = run("config", "recover", "--list", "--json").data["recoverable"]
    assert [(one["revision"], one["changed_by"]) for one in listed] == [(2, "berta"), (1, "anna")]
    assert len(run("config", "recover", "--list").out.splitlines()) == 3
    assert not lost.exists()


def test_an_earlier_revision_is_restored_by_its_number(run: Run, lost: Path) -> None:
    told = run("config", "recover", "--revision", "1", "--json").data
    assert (told["restored"]["revision"], told["revision"]) == (1, 3)
    assert run("receivers", "list", "--json").data["receivers"][0]["port"] == 8105
    lost.unlink()
    assert run("config", "recover", "--revision", "9").code == 4


def test_a_valid_file_is_replaced_only_by_force(run: Run, lost: Path) -> None:
    run("config", "recover")
    refused = run("config", "recover", "--revision", "1")
    assert refused.code == 2
    assert "--force" in refused.err
    assert run("config", "recover", "--revision", "1", "--force").code == 0
    assert not lost.with_name("config.json.damaged").exists()


def test_the_defaults_are_restored_only_when_confirmed(run: Run, lost: Path, stdin: TypeIn) -> None:
    stdin("n\n", True)
    assert run("config", "recover", "--defaults").code != 0
    assert not lost.exists()
    assert run("config", "recover", "--defaults", "--yes", "--json").data["revision"] == 3


def test_without_anything_to_restore_from_the_remedy_is_a_backup_or_the_defaults(
    run: Run, data: Path
) -> None:
    (data / "index.sqlite").touch()
    refused = run("receivers", "list")
    assert refused.code == 2
    assert "config recover --defaults" in refused.err
    assert run("config", "recover").code == 4
    assert run("config", "recover", "--defaults", "--yes").code == 0
    assert run("receivers", "list").code == 0
