"""`alerts`: who is told, and whether it arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.model.secrets import MASK
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.engine.cli.outcome import spawn
from tests.running import configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run

SECRET = "https://u:pw@h.example/secret"


@pytest.fixture
def engine(data: Path) -> Iterator[Engine]:
    configure(data)
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    yield engine
    end()
    engine.stop(drain_seconds=0)


def test_targets_are_added_changed_listed_and_deleted(run: Run) -> None:
    run("alerts", "set", "ops", "--webhook", SECRET)
    run("alerts", "set", "--repeat-seconds", "60")
    run("alerts", "set", "ops", "--kind", "storage", "--kind", "silence")
    listed = run("alerts", "list", "--json").data
    assert listed["repeat_seconds"] == 60
    assert listed["targets"] == [
        {
            "name": "ops",
            "command": [],
            "webhook": f"https://h.example/{MASK}",
            "kinds": ["storage", "silence"],
        }
    ]
    shown = run("alerts", "list")
    assert "webhook https://h.example/…" in shown.out
    assert "secret" not in shown.out + run("site", "get").out
    run("alerts", "set", "ops", "--command", "/bin/true", "--json")
    (target,) = run("alerts", "list", "--json").data["targets"]
    assert (target["command"], target["webhook"]) == (["/bin/true", MASK], "")
    assert run("alerts", "delete", "ops").code == 10
    assert run("alerts", "delete", "ops", "--yes", "--json").data["targets"] == []


def test_without_an_engine_no_test_alert_is_sent(run: Run, tmp_path: Path) -> None:
    run("alerts", "set", "mail", "--command", "/bin/sh", "-c", f"cat > {tmp_path}/alert")
    outcome = run("alerts", "test")
    assert outcome.code == 4
    assert "no engine runs" in outcome.err
    assert not (tmp_path / "alert").exists()


@pytest.mark.usefixtures("engine")
def test_a_test_says_who_was_told(run: Run, tmp_path: Path) -> None:
    assert run("alerts", "test").code == 4
    run("alerts", "set", "mail", "--command", "/bin/sh", "-c", f"cat > {tmp_path}/alert")
    assert run("alerts", "test").code == 0
    assert "this is a test" in (tmp_path / "alert").read_text()
    run("alerts", "set", "broken", "--command", "/bin/false")
    outcome = run("alerts", "test", "broken", "--json")
    assert outcome.code == 1
    assert outcome.data["targets"][0]["why"] == "the command ended with exit code 1"
    assert "mail" in run("alerts", "test").out


def test_what_makes_no_sense_is_refused(run: Run) -> None:
    assert run("alerts", "delete", "nobody").code == 4
    assert run("alerts", "set", "--webhook", SECRET).code == 4
    assert run("alerts", "set", "x", "--webhook", "ftp://h").code == 2
    assert run("alerts", "set", "x", "--kind", "weather").code == 2


def test_an_address_is_read_from_a_file(
    run: Run, store: ConfigurationStore, tmp_path: Path
) -> None:
    (tmp_path / "hook").write_text(f"{SECRET}\n")
    assert run("alerts", "set", "ops", "--webhook", f"@{tmp_path / 'hook'}").code == 0
    assert store.load().site.alerts.targets[0].webhook == SECRET
    assert run("alerts", "set", "ops", "--webhook", f"@{tmp_path}/gone").code == 2


def test_an_address_is_read_from_standard_input(data: Path, store: ConfigurationStore) -> None:
    words = ("--data", str(data), "alerts", "set", "ops", "--webhook", "@-")
    assert spawn("engine", *words, input=f"{SECRET}\n").returncode == 0
    assert store.load().site.alerts.targets[0].webhook == SECRET


def test_a_mask_is_no_address_and_no_argument(run: Run, store: ConfigurationStore) -> None:
    run("alerts", "set", "ops", "--webhook", SECRET)
    refused = run("alerts", "set", "ops", "--webhook", f"https://h.example/{MASK}")
    assert refused.code == 2
    assert "has a mask in place of a secret" in refused.err
    assert run("alerts", "set", "ops", "--command", "/bin/true", MASK).code == 2
    assert store.load().site.alerts.targets[0].webhook == SECRET
