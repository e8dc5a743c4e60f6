"""Site settings, and who changes them with what rights."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from engine.cli import actor, main
from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.limits import BOUNDS, Limits
from engine.model.site import SiteSettings
from tests.engine.cli.outcome import CT1, Run

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = pwd.getpwuid(os.getuid()).pw_name


def test_settings_of_sessions_are_set_by_name(run: Run) -> None:
    set_both = ("--sessions", "idle_seconds=60", "--sessions", "trash_days=7")
    sessions = run("site", "set", *set_both, "--json").data["site"]["sessions"]
    assert (sessions["idle_seconds"], sessions["trash_days"]) == (60, 7)
    unset = run("site", "set", "--sessions", "idle_seconds=", "--json").data["site"]["sessions"]
    assert (unset["idle_seconds"], unset["trash_days"]) == (300, 7)


def test_what_pet_and_mr_become_is_set_for_the_site_and_for_a_project(run: Run) -> None:
    site = run("site", "set", "--sessions", "pet_mr=separate", "--json").data["site"]
    assert site["sessions"]["pet_mr"] == "separate"
    added = run("projects", "add", "BRAIN", "--pet-mr", "pet", "--json").data["project"]
    assert added["pet_mr"] == "pet"
    edited = run("projects", "edit", "BRAIN", "--pet-mr", "site", "--json").data["project"]
    assert edited["pet_mr"] == "site"


def test_a_filter_is_read_from_a_file_and_listed_by_its_length(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "filter.txt"
    file.write_text("whitelist\nT1\n")
    record = run("site", "set", "--sessions", f"series_filter=@{file}", "--json").data["site"]
    assert record["sessions"]["series_filter"] == "whitelist\nT1\n"
    assert "sessions.series_filter 2 lines" in " ".join(run("site", "get").out.split())


@pytest.mark.parametrize("setting", ["idle_seconds=0", "trash_days=x", "idle=1", "pet_mr=both"])
def test_a_setting_of_sessions_is_refused_with_its_name(run: Run, setting: str) -> None:
    outcome = run("site", "set", "--sessions", setting, "--json")
    assert outcome.code == 2
    (problem,) = outcome.error["problems"]
    assert problem["field"] == f"sessions.{setting.partition('=')[0]}"


def test_site_settings_are_shown_and_set(run: Run) -> None:
    defaults = SiteSettings().to_record()
    assert run("site", "get", "--json").data == {"revision": 0, "site": defaults}
    run("site", "set", "--allow-low-ports")
    outcome = run("site", "set", "--bind-address", "127.0.0.1", "--json")
    assert outcome.data["site"] == {
        **defaults,
        "allow_low_ports": True,
        "bind_address": "127.0.0.1",
    }
    lines = run("site", "get").out.splitlines()
    assert ["allow_low_ports", "yes"] in [line.split() for line in lines]
    assert ["bind_address", "127.0.0.1"] in [line.split() for line in lines]
    assert run("receivers", "add", "--ae-title", "OLD", "--port", "104").code == 0
    assert run("site", "set", "--no-allow-low-ports").code == 2
    assert run("site", "set", "--bind-address", "here", "--json").error["problems"]


def test_the_switch_over_all_receivers(run: Run) -> None:
    off = run("site", "set", "--no-receivers-allowed", "--json").data["site"]
    assert off["receivers_allowed"] is False
    on = run("site", "set", "--receivers-allowed", "--json").data["site"]
    assert on["receivers_allowed"] is True


@pytest.mark.parametrize("name", list(BOUNDS))
def test_every_limit_of_the_site_is_set_shown_and_reset(run: Run, name: str) -> None:
    default = getattr(Limits(), name)
    number = BOUNDS[name].start
    run("site", "set", "--limit", "idle_seconds=61", "--limit", "drain_seconds=1")
    changed = run("site", "set", "--limit", f"{name}={number}", "--json").data["site"]["limits"]
    others = {"idle_seconds": 61, "drain_seconds": 1}
    assert changed == {**Limits().to_record(), **others, name: number}
    assert [f"limits.{name}", str(number)] in [
        line.split() for line in run("site", "get").out.splitlines()
    ]
    reset = run("site", "set", "--limit", f"{name}=", "--json").data["site"]["limits"]
    assert reset[name] == default


@pytest.mark.parametrize(
    ("limit", "value", "message", "remedy"),
    [
        ("idle_seconds=4", "4", "is outside 5–86400", "use 5 to 86400"),
        ("idle_seconds=-5", "-5", "is outside 5–86400", "use 5 to 86400"),
        ("pdu_bytes=many", "many", "is not a whole number", "use 4096 to 1048576"),
        ("pdu_bytes=" + "9" * 5000, "9" * 40, "is not a whole number", "use 4096 to 1048576"),
        ("pace=1", "1", "is no limit that can be set here", "use associations, "),
        ("pace=", "None", "is no limit that can be set here", "use associations, "),
    ],
)
def test_a_limit_that_can_not_be_is_told_with_its_range(
    run: Run, limit: str, value: str, message: str, remedy: str
) -> None:
    outcome = run("site", "set", "--json", "--limit", limit)
    assert (outcome.code, outcome.out) == (2, "")
    (problem,) = outcome.error["problems"]
    assert problem["field"] == f"limits.{limit.partition('=')[0]}"
    assert (problem["value"], problem["message"]) == (value, message)
    assert problem["remedy"].startswith(remedy)


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        ({}, LOGIN),
        ({"SSH_CONNECTION": "10.0.0.5 50112 10.0.0.1 22"}, f"{LOGIN}, says: from 10.0.0.5"),
        ({"SSH_CONNECTION": ""}, LOGIN),
        ({"SSH_CONNECTION": "\x1b[31m 1 2 3"}, f"{LOGIN}, says: from \\x1b[31m"),
        ({"SUDO_USER": "anna"}, f"{LOGIN}, says: anna"),
        ({"SUDO_USER": LOGIN}, LOGIN),
    ],
)
def test_a_change_tells_who_made_it(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], who: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert actor() == who
    run("receivers", "add", *CT1)
    configuration = ConfigurationStore(data / "config.json", clock=SystemClock()).load()
    assert configuration.changed_by == who


def test_the_console_tells_that_it_is_one_and_of_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor("console") == f"{LOGIN}, says: console"
    monkeypatch.setenv("SUDO_USER", "anna")
    assert actor("console") == f"{LOGIN}, says: console of anna"


def test_what_a_command_makes_is_private(run: Run, data: Path) -> None:
    data.rmdir()
    run("receivers", "add", *CT1)
    assert data.stat().st_mode & 0o777 == 0o750
    files = [path for path in data.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_the_data_directory_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOMDOCK_DATA", str(data))
    assert main(["receivers", "add", *CT1]) == 0
    assert (data / "config.json").exists()
    assert "added CT1:8105, revision 1" in capsys.readouterr().err
