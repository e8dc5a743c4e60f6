"""The units as texts, and their installation into a root of our own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.app import systemd_install as install_module
from engine.app.systemd_install import (
    CommandStep,
    NotInstallable,
    NotInstalled,
    StepFailed,
    _run,
    install,
    obstacle,
    steps,
    uninstall,
    unreachable,
)
from engine.app.systemd_units import (
    ListenPlace,
    ServiceSettings,
    installed_for,
    service_unit,
    socket_unit,
    units,
)
from engine.errors import ConfigurationError
from engine.host.owner import Owner
from engine.settings import default_data_dir, service_data_dir

PROGRAM = ("/opt/dicomdock/bin/dicomdock",)


def lines(**changes: object) -> list[str]:
    return service_unit(ServiceSettings(PROGRAM, **changes)).splitlines()  # type: ignore[arg-type]


def test_a_service_of_its_own_sees_its_state_directory_alone() -> None:
    unit = lines(options=("--metrics", "127.0.0.1:9404"))
    command = "/opt/dicomdock/bin/dicomdock --data /var/lib/dicomdock engine --drain-seconds 60"
    assert f"ExecStart={command} --metrics 127.0.0.1:9404" in unit
    expected = {"Type=notify", "WatchdogSec=30", "StateDirectory=dicomdock", "ProtectHome=yes",
                "ProtectSystem=strict", "KillMode=mixed", "TimeoutStopSec=90",
                "NoNewPrivileges=yes", "User=dicomdock"}  # fmt: skip
    assert expected <= set(unit)


def test_an_installed_unit_tells_which_data_directory_it_serves(tmp_path: Path) -> None:
    data = Path("/srv/a dock")
    assert installed_for(data, tmp_path) == ""
    unit = units(ServiceSettings(PROGRAM, data_dir=data))[0]
    file = tmp_path / unit.path.relative_to("/")
    file.parent.mkdir(parents=True)
    file.write_text(unit.text)
    assert installed_for(data, tmp_path) == "dicomdock"
    assert installed_for(Path("/srv/a"), tmp_path) == ""


def test_only_a_low_port_brings_the_capability_to_bind_it() -> None:
    assert "CapabilityBoundingSet=" in lines()
    low = lines(listen=(ListenPlace(104, "127.0.0.1"), ListenPlace(8104)))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in low


def test_a_service_has_limits_of_memory_and_knows_its_users() -> None:
    unit = lines()
    expected = {"MemoryHigh=70%", "MemoryMax=80%", "OOMPolicy=continue", "ProcSubset=pid",
                "IPAddressDeny=multicast"}  # fmt: skip
    assert expected <= set(unit)
    assert not any(line.startswith("PrivateUsers") for line in unit)
    assert "SystemCallFilter=@chown" not in unit


def test_directories_that_the_service_would_not_see_are_bound_into_it() -> None:
    unit = lines(data_dir=Path("/home/anna/dock"), readable=(Path("/root/venv"), Path("/usr")))
    assert "ProtectHome=tmpfs" in unit
    assert "BindPaths=/home/anna/dock" in unit
    assert "BindReadOnlyPaths=/root/venv" in unit
    assert "ReadWritePaths=/home/anna/dock" in unit
    assert not any("/usr" in line for line in unit)


def test_words_mean_in_a_unit_what_they_mean_outside() -> None:
    unit = lines(data_dir=Path("/srv/a b%h'$c"))
    assert any(line.endswith(' engine --drain-seconds 60') and '"/srv/a b%%h\'$$c"' in line
               for line in unit)  # fmt: skip
    assert 'ReadWritePaths="/srv/a b%%h\'$c"' in unit


def test_the_socket_unit_holds_every_place() -> None:
    unit = socket_unit(
        ServiceSettings(PROGRAM, listen=(ListenPlace(104), ListenPlace(8104, "::1")))
    ).splitlines()
    assert [line for line in unit if line.startswith("ListenStream")] == [
        "ListenStream=104",
        "ListenStream=[::1]:8104",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"user": "Robert'); DROP"},
        {"user": ""},
        {"data_dir": Path("/tmp/dock")},
        {"data_dir": Path("/")},
        {"data_dir": Path("/srv")},
        {"data_dir": Path("/home")},
        {"data_dir": Path("/var/lib")},
        {"data_dir": Path("/etc")},
        {"data_dir": Path("/etc/dicomdock")},
        {"data_dir": Path("/usr/bin")},
        {"data_dir": Path("/srv/a:b")},
        {"data_dir": Path("/srv/a\nb")},
        {"data_dir": Path('/srv/a"b')},
        {"data_dir": Path("/srv/a\\b")},
        {"data_dir": Path("/srv/../etc")},
        {"data_dir": Path("dock")},
        {"readable": (Path("/srv/a\u2028b"),)},
        {"options": ("--metrics", "127.0.0.1:9404\nUser=root")},
        {"drain_seconds": float("inf")},
    ],
)
def test_what_would_make_another_unit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ServiceSettings(PROGRAM, **changes)  # type: ignore[arg-type]


def test_an_installation_writes_the_units_and_then_starts_them(tmp_path: Path) -> None:
    said: list[str] = []
    ran: list[tuple[str, ...]] = []
    settings = ServiceSettings(PROGRAM, data_dir=Path("/srv/dock"))
    before = os.umask(0o077)
    try:
        for _ in range(2):  # a second time changes nothing
            install(settings, said.append, tmp_path, ran.append)
            assert ran[-1] == ("systemctl", "start", "dicomdock.socket", "dicomdock.service")
    finally:
        os.umask(before)
    for unit in units(settings):
        file = tmp_path / unit.path.relative_to("/")
        assert file.read_text() == unit.text
        assert file.stat().st_mode & 0o777 == 0o644
    assert [words[0] for words in ran[:4]] == [
        "systemd-sysusers", "install", "systemctl", "systemctl",
    ]  # fmt: skip
    assert said[0] == "write /etc/systemd/system/dicomdock.service"
    assert not list(tmp_path.rglob("*.new"))


def data_commands(root: Path, **changes: Any) -> list[str]:
    """Return the commands that make the data directory."""
    settings = ServiceSettings(PROGRAM, **{"data_dir": Path("/srv/dock")} | changes)
    found = [str(step) for step in steps(settings, root) if isinstance(step, CommandStep)]
    return [command for command in found if "install" in command]


@pytest.mark.parametrize("content", [{}, {"lost+found"}, {"config.json", "engine.lock", "x"}])
def test_a_data_directory_or_an_empty_one_is_given_to_the_service(
    tmp_path: Path, content: set[str]
) -> None:
    (tmp_path / "srv/dock").mkdir(parents=True)
    for name in content:
        (tmp_path / "srv/dock" / name).touch()
    assert data_commands(tmp_path) == ["install -d -o dicomdock -g dicomdock -m 0750 /srv/dock"]


@pytest.mark.parametrize("data_dir", ["/srv/dock", "/var/lib/postgresql"])
@pytest.mark.parametrize("content", ["passwd", "config.json", None])
def test_a_directory_of_something_else_is_never_changed(
    tmp_path: Path, data_dir: str, content: str | None
) -> None:
    there = tmp_path / data_dir.removeprefix("/")
    there.parent.mkdir(parents=True)
    if content is None:
        there.symlink_to(tmp_path)
    else:
        there.mkdir()
        (there / content).touch()
    ran: list[tuple[str, ...]] = []
    with pytest.raises(NotInstallable, match=f"{data_dir} is there already"):
        install(ServiceSettings(PROGRAM, data_dir=Path(data_dir)), print, tmp_path, ran.append)
    assert ran == []
    assert not (tmp_path / "etc").exists()


def test_in_a_users_directory_nothing_is_made_with_roots_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_module, "identity_for", lambda *_: Owner(4_000, 4_000, "anna"))
    with pytest.raises(NotInstallable, match="in a directory of anna, who could replace it"):
        data_commands(tmp_path)
    made = "runuser -u anna -- install -d -m 0750 /home/anna/dock"
    assert data_commands(tmp_path, data_dir=Path("/home/anna/dock"), user="anna") == [made]
    (tmp_path / "home/anna/dock").mkdir(parents=True)
    assert data_commands(tmp_path, data_dir=Path("/home/anna/dock"), user="anna") == []


@pytest.mark.parametrize("name", ["/srv/dock", "/srv/the dock's $1 50%"])
def test_commands_find_the_data_directory_of_the_service(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DICOMDOCK_DATA", raising=False)
    assert service_data_dir(tmp_path) is None
    assert "dicomdock" in default_data_dir(tmp_path).parts
    before = os.umask(0o077)
    install(ServiceSettings(PROGRAM, data_dir=Path(name)), print, tmp_path, lambda _: None)
    os.umask(before)
    file = tmp_path / "etc/dicomdock/environment"
    assert file.parent.stat().st_mode & 0o777 == 0o755
    assert default_data_dir(tmp_path) == Path(name)
    # Services of earlier versions have no such file.
    file.unlink()
    assert default_data_dir(tmp_path) == Path(name)
    monkeypatch.setenv("DICOMDOCK_DATA", "/srv/mine")
    assert default_data_dir(tmp_path) == Path("/srv/mine")


def test_other_units_are_brought_into_force_by_a_restart(tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    install(ServiceSettings(PROGRAM), print, tmp_path, ran.append)
    install(ServiceSettings(PROGRAM, listen=(ListenPlace(8105),)), print, tmp_path, ran.append)
    assert ran[-1] == ("systemctl", "restart", "dicomdock.socket", "dicomdock.service")


def test_a_service_is_stopped_before_its_units_are_removed(tmp_path: Path) -> None:
    said: list[str] = []
    ran: list[tuple[str, ...]] = []
    install(ServiceSettings(PROGRAM), print, tmp_path, lambda _: None)
    uninstall(said.append, tmp_path, ran.append)
    assert said == [
        "run systemctl disable --now dicomdock.socket dicomdock.service",
        "remove /etc/systemd/system/dicomdock.socket",
        "remove /etc/systemd/system/dicomdock.service",
        "remove /etc/sysusers.d/dicomdock.conf",
        "remove /etc/dicomdock/environment",
        "run systemctl daemon-reload",
    ]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(NotInstalled, match=r"there is no /etc/.*dicomdock\.service"):
        uninstall(print, tmp_path, ran.append)


def test_what_is_left_of_a_half_removed_service_is_removed_too(tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    left = tmp_path / "etc/sysusers.d/dicomdock.conf"
    left.parent.mkdir(parents=True)
    left.touch()
    uninstall(print, tmp_path, ran.append)
    assert (left.exists(), ran) == (False, [("systemctl", "daemon-reload")])


def test_a_program_that_the_services_user_can_t_reach_is_not_installed(tmp_path: Path) -> None:
    def why(*program: str, **changes: Any) -> str:
        refused = unreachable(ServiceSettings(program, **changes))
        return refused.detail if refused else ""

    assert "/root is closed to others" in why("/root/venv/bin/dicomdock")
    assert "/root is closed" in why(*PROGRAM, readable=(Path("/root/.pyenv"),))
    assert "/root is closed" in why(*PROGRAM, data_dir=Path("/root/dock"))
    assert why("/root/venv/bin/dicomdock", user="root") == ""
    assert why("/home/anna/venv/bin/dicomdock", readable=(Path("/home/anna/venv"),)) == ""
    assert why(*PROGRAM) == ""
    (tmp_path / "venv").mkdir(mode=0o700)
    (tmp_path / "venv" / "bin").mkdir()
    for directory in (tmp_path, *tmp_path.parents):
        if not directory.stat().st_mode & 0o001:
            closed = directory
            break
    else:
        closed = tmp_path / "venv"
    assert str(closed.name) in why(str(tmp_path / "venv/bin/dicomdock"))


def test_systemd_has_nothing_against_the_units(tmp_path: Path) -> None:
    program = tmp_path / "dicomdock"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    settings = ServiceSettings(
        (str(program),),
        data_dir=Path("/srv/a b"),
        user="root",
        listen=(ListenPlace(104), ListenPlace(8104, "fe80::1%lo")),
    )
    files = []
    for unit in units(settings)[:2]:
        files.append(tmp_path / unit.path.name)
        files[-1].write_text(unit.text)
    checked = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_step_that_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("no directory")
    with pytest.raises(StepFailed, match=r"dicomdock\.service"):
        install(ServiceSettings(PROGRAM), print, tmp_path)
    with pytest.raises(StepFailed, match="systemd-sysusers"):
        install(ServiceSettings(PROGRAM, user="nobody"), print, tmp_path / "other", _fails)


def _fails(words: tuple[str, ...]) -> None:
    raise StepFailed(words[0])


def test_without_systemd_or_root_nothing_is_installed(tmp_path: Path) -> None:
    assert isinstance(obstacle(tmp_path, 0), NotInstallable)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    refused = obstacle(tmp_path, 1000)
    assert refused is not None
    assert "root" in refused.detail
    assert obstacle(tmp_path, 0) is None


def test_commands_are_run_and_say_what_went_wrong() -> None:
    _run(("/bin/true",))
    with pytest.raises(StepFailed, match="no luck"):
        _run(("/bin/sh", "-c", "echo no luck >&2; exit 3"))
    with pytest.raises(StepFailed, match="exit code 3"):
        _run(("/bin/sh", "-c", "exit 3"))
    with pytest.raises(StepFailed, match="nowhere"):
        _run(("/nowhere/x",))


def test_roots_home_counts_as_closed_also_if_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.app.systemd_install._ROOTS_HOME", tmp_path)
    tmp_path.chmod(0o755)
    assert install_module._closed(tmp_path / "venv") == tmp_path
