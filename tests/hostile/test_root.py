"""Root works with the rights of the data directory's owner, and follows no link there (V1, V10)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.config.store import ConfigurationStore
from engine.errors import StorageUnusable
from engine.host.clock import SystemClock
from engine.host.owner import CALLER
from engine.index.store import SessionIndex
from engine.model.alerts import AlertSettings, AlertTarget
from engine.storage.incoming import IncomingArea
from tests.hostile.conftest import PYTHON, SECONDS, can_run_code
from tests.running import configure, free_port, make_receiver

if TYPE_CHECKING:
    from tests.hostile.conftest import Service

CLOSED = "is closed to that user"


def add_alert(service: Service) -> Path:
    """Add a program of the attacker's choice, as a holder of the token may do."""
    told = service.data / "who"
    store = ConfigurationStore(service.data / "config.json", clock=SystemClock())
    site = store.load().site
    target = AlertTarget("own", command=("/bin/sh", "-c", f"id -u > {told}"))
    store.set_site(replace(site, alerts=AlertSettings((target,))), "attacker")
    return told


def start(service: Service) -> subprocess.Popen[str]:
    """Start an engine as root."""
    command = (
        PYTHON,
        "-m",
        "engine",
        "--data",
        str(service.data),
        "engine",
        "--durability",
        "none",
    )
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/")


def test_an_engine_that_root_starts_is_the_owners(service: Service) -> None:
    port = free_port()
    configure(service.data, make_receiver("XNAT", port))
    told = add_alert(service)
    service.own()
    engine = start(service)
    assert engine.stderr is not None
    with engine:
        first = engine.stderr.readline()
        try:
            if not can_run_code():
                assert CLOSED in first + engine.stderr.read()
                return
            assert "listening" in first
            status = Path(f"/proc/{engine.pid}/status").read_text()
            (uids,) = (line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
            assert uids == [str(service.uid)] * 4
            tested = service.run("alerts", "test")
            assert (tested.returncode, tested.stderr) == (0, "")
            assert told.read_text() == f"{service.uid}\n"
        finally:
            engine.send_signal(signal.SIGTERM)
            engine.stderr.read()
    assert engine.returncode == 0
    assert service.strangers() == []


def test_without_an_engine_root_runs_no_program_of_the_owner(service: Service) -> None:
    configure(service.data)
    told = add_alert(service)
    service.own()
    assert service.run("alerts", "test").returncode == (4 if can_run_code() else 2)
    assert not told.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("receivers", "add", "--ae-title", "NEW", "--port", "8105"),
        ("check", "--rebuild-index"),
        ("check", "--adopt"),
    ],
)
def test_what_root_makes_belongs_to_the_owner(service: Service, command: tuple[str, ...]) -> None:
    configure(service.data, make_receiver("XNAT", 8104))
    service.own()
    done = service.run(*command, umask=0)
    if can_run_code():
        assert done.returncode == 0, done.stderr
    else:
        assert CLOSED in done.stderr
    assert service.strangers() == []
    assert not [path for path in service.data.rglob("*") if path.stat().st_mode & 0o027]


def test_changes_that_root_makes_name_the_caller(service: Service) -> None:
    if os.geteuid() == 0 and can_run_code():
        environment = {k: v for k, v in os.environ.items() if k != CALLER}
        add = ("receivers", "add", "--ae-title")
        service.run(*add, "NEW", "--port", "8105", env=environment)
        service.run(*add, "NEWER", "--port", "8105", env=environment | {CALLER: "anna"})
        history = service.run("config", "history", "--json")
        authors = [revision["changed_by"] for revision in json.loads(history.stdout)["revisions"]]
        assert authors[:2] == ["root, says: anna", "root"]
    else:
        assert service.run("config", "history").returncode in {0, 2, 4}


@pytest.mark.parametrize("name", ["incoming", "logs", "config.history", "archive"])
def test_a_folder_that_is_a_link_is_neither_emptied_nor_written(
    service: Service, place: Path, name: str
) -> None:
    configure(service.data, make_receiver("XNAT", free_port()))
    victim = place / "victim"
    (victim / "sub").mkdir(parents=True)
    for file in ("a.sh", "sub/b"):
        (victim / file).write_text("root's")
    link = service.data / name
    if link.exists():
        for path in link.iterdir():
            path.unlink()
        link.rmdir()
    link.symlink_to(victim)
    service.own()
    engine = start(service)
    _, err = engine.communicate(timeout=SECONDS)
    assert engine.returncode == (5 if can_run_code() else 2)
    assert (f"{name} is a symbolic link" if can_run_code() else CLOSED) in err
    if name == "config.history":
        service.run("receivers", "add", "--ae-title", "NEW", "--port", "8105")
    if os.geteuid() == 0:
        assert sorted(p.name for p in victim.rglob("*")) == ["a.sh", "b", "sub"]
    assert (victim / "sub" / "b").read_text() == "root's"


@pytest.mark.parametrize("name", ["", "config.json", "logs"])
def test_what_every_user_may_write_is_not_used(service: Service, name: str) -> None:
    configure(service.data, make_receiver("XNAT", free_port()))
    SessionIndex(service.data / "index.sqlite", durable=False).close()
    (service.data / "logs").mkdir(exist_ok=True)
    service.own()
    (service.data / name).chmod(0o777)
    engine = start(service)
    _, err = engine.communicate(timeout=SECONDS)
    assert engine.returncode == (5 if can_run_code() else 2)
    assert ("chmod o-w" if can_run_code() else CLOSED) in err
    found = service.run("check", "--json")
    if can_run_code():
        (fault,) = json.loads(found.stdout)["access"]
        assert (found.returncode, fault["path"]) == (1, str(service.data / name))
        assert "chmod o-w" in fault["remedy"]


@pytest.mark.parametrize("command", [("status",), ("events",), ("engine",)])
def test_another_user_is_told_whose_directory_it_is(
    service: Service, command: tuple[str, ...]
) -> None:
    configure(service.data)
    if os.geteuid() == 0:
        os.chown(service.data, 0, 0)
        told = service.run(*command, root=False, cwd="/")
        if can_run_code():
            assert f"{service.data} belongs to root" in told.stderr
            assert told.returncode in {2, 5}
        assert "fault of dicomdock" not in told.stderr
    else:
        assert service.run("status").returncode == 0


def test_incoming_is_never_emptied_through_a_link(tmp_path: Path) -> None:
    """Also by whoever makes it without looking at the data directory first."""
    (tmp_path / "victim" / "old").mkdir(parents=True)
    (tmp_path / "incoming").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageUnusable):
        IncomingArea(tmp_path / "incoming", "boot")
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["old"]
