"""The units as texts, and their installation into a root of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.systemd.install import NotInstallable, StepFailed, _run, install, obstacle
from engine.systemd.units import ServiceSettings, service_unit, socket_unit, units

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


def test_only_a_low_port_brings_the_capability_to_bind_it() -> None:
    assert "CapabilityBoundingSet=" in lines()
    assert "PrivateUsers=yes" in lines()
    low = lines(listen=("127.0.0.1:104", "8104"))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in low
    assert "PrivateUsers=yes" not in low


def test_directories_that_the_service_would_not_see_are_bound_into_it() -> None:
    unit = lines(data_dir=Path("/home/anna/dock"), readable=(Path("/root/venv"), Path("/usr")))
    assert "ProtectHome=tmpfs" in unit
    assert "BindPaths=/home/anna/dock" in unit
    assert "BindReadOnlyPaths=/root/venv" in unit
    assert "ReadWritePaths=/home/anna/dock" in unit
    assert not any("/usr" in line for line in unit)


def test_words_mean_in_a_unit_what_they_mean_outside() -> None:
    unit = lines(data_dir=Path('/srv/a b%h"$c'))
    assert any(line.endswith(' engine --drain-seconds 60') and r'"/srv/a b%%h\"$$c"' in line
               for line in unit)  # fmt: skip
    assert r'ReadWritePaths="/srv/a b%%h\"$c"' in unit


def test_the_socket_unit_holds_every_place() -> None:
    unit = socket_unit(ServiceSettings(PROGRAM, listen=("104", "[::1]:8104"))).splitlines()
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
        {"data_dir": Path("/srv/a:b")},
        {"data_dir": Path("/srv/a\nb")},
    ],
)
def test_what_would_make_another_unit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ServiceSettings(PROGRAM, **changes)  # type: ignore[arg-type]


def test_an_installation_writes_the_units_and_then_starts_them(tmp_path: Path) -> None:
    said: list[str] = []
    ran: list[tuple[str, ...]] = []
    settings = ServiceSettings(PROGRAM, data_dir=Path("/srv/dock"))
    for _ in range(2):  # a second time changes nothing
        install(settings, said.append, tmp_path, ran.append)
    for unit in units(settings):
        file = tmp_path / unit.path.relative_to("/")
        assert file.read_text() == unit.text
        assert file.stat().st_mode & 0o777 == 0o644
    assert [words[0] for words in ran[:4]] == [
        "systemd-sysusers", "install", "systemctl", "systemctl",
    ]  # fmt: skip
    assert said[0] == "write /etc/systemd/system/dicomdock.service"
    assert not list(tmp_path.rglob("*.new"))


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
