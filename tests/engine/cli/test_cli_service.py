"""`service`: the units that are printed, and an installation where there is no systemd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.app.systemd_install import (
    NotInstallable,
    NotInstalled,
    RemovalStep,
    describe_step,
    steps,
)
from engine.cli import service

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.app.systemd_units import ServiceSettings
    from tests.engine.cli.outcome import Run


@pytest.fixture(autouse=True)
def _a_data_directory_that_a_service_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.app.systemd_units._CLEANED", ())
    monkeypatch.setattr(service, "unreachable", lambda _: None)


def socket_lines(run: Run, *options: str) -> list[str]:
    unit = run("service", "print", *options, "--json").data["units"][1]["text"]
    return [line for line in unit.splitlines() if line.startswith("ListenStream")]


def test_the_units_listen_where_receivers_do(run: Run) -> None:
    assert socket_lines(run) == ["ListenStream=8104"]
    run("receivers", "add", "--ae-title", "A", "--port", "8105")
    run("receivers", "add", "--ae-title", "B", "--port", "8105")
    run("receivers", "add", "--ae-title", "C", "--port", "8106", "--bind-address", "::1")
    assert socket_lines(run) == ["ListenStream=8105", "ListenStream=[::1]:8106"]
    assert socket_lines(run, "--port", "104") == ["ListenStream=104"]


def test_options_of_the_engine_go_into_the_unit_and_a_document_says_the_ports(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "dicomdock.toml").write_text('[[receivers]]\nae_title = "A"\nport = 11112\n')
    monkeypatch.chdir(folder)
    declared = ("--config", "dicomdock.toml", "--durability", "file", "--commitment-hours", "24")
    served = ("--control-tcp", "0.0.0.0:8143", "--control-certificate", "c.pem")
    more = (*declared, *served, "--control-key", "k.pem", "--drain-seconds", "90")
    unit = run("service", "print", *more, "--json").data["units"][0]["text"]
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert line.endswith(
        f" engine --drain-seconds 90 --config {folder}/dicomdock.toml --durability file"
        f" --commitment-hours 24 --control-tcp 0.0.0.0:8143 --control-certificate {folder}/c.pem"
        f" --control-key {folder}/k.pem"
    )
    assert socket_lines(run, *declared) == ["ListenStream=11112"]
    for faulty, words in (
        (("--control-tcp", "0.0.0.0:8143"), "would send the token in the clear"),
        (("--config", "nothing.toml"), "nothing.toml"),
        (("--receiving-processes", "99"), "0 to 64"),
    ):
        refused = run("service", "print", *faulty)
        assert (refused.code, words in refused.err) == (2, True), refused.err


def test_units_are_printed_with_their_paths(run: Run) -> None:
    scraped = ("--metrics", "0.0.0.0:9404", "--metrics-allow", "10.0.0.0/8")
    out = run("service", "print", "--user", "dicom", *scraped).out
    assert out.startswith("# /etc/systemd/system/dicomdock.service\n")
    assert "User=dicom\n" in out
    assert "--metrics 0.0.0.0:9404 --metrics-allow 10.0.0.0/8\n" in out
    assert "# /etc/sysusers.d/dicomdock.conf\n" in out


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "0"),
        ("--port", "x"),
        ("--user", "a b"),
        ("--metrics", "0.0.0.0:x"),
        ("--metrics-allow", "10.1.2.3/8"),
    ],
)
def test_what_fits_no_unit_is_refused(run: Run, options: tuple[str, str]) -> None:
    assert run("service", "print", *options).code == 2


def test_where_it_cannot_be_installed_it_says_why_and_what_it_would_do(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "obstacle", lambda: NotInstallable("no systemd", "print"))
    refused = run("service", "install")
    assert (refused.code, refused.out) == (2, "")
    assert "  run systemctl daemon-reload" in refused.err
    assert "no systemd" in refused.err
    planned = run("service", "install", "--dry-run", "--json").data
    assert planned["done"] is False
    assert "run systemctl daemon-reload" in planned["steps"]


def test_an_installation_says_each_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(settings: ServiceSettings, say: Callable[[str], None]) -> None:
        say(describe_step(steps(settings)[0]))

    monkeypatch.setattr(service, "obstacle", lambda: None)
    monkeypatch.setattr(service, "install", install)
    done = run("service", "install")
    assert done.code == 0
    assert "write /etc/systemd/system/dicomdock.service" in done.err
    assert done.out.splitlines()[0] == "DONE"


def test_a_program_out_of_reach_is_said_when_printed_and_not_installed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "obstacle", lambda: None)
    hidden = NotInstallable("/root/venv is out of reach", "install it elsewhere")
    monkeypatch.setattr(service, "unreachable", lambda _: hidden)
    printed = run("service", "print")
    assert (printed.code, "out of reach; install it elsewhere" in printed.err) == (0, True)
    assert run("service", "install").code == 2


def test_a_removal_asks_first_and_says_each_step_and_what_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[bool] = []
    plan = (RemovalStep(Path("/etc/systemd/system/dicomdock.service")),)
    monkeypatch.setattr(service, "removal", lambda: plan)
    monkeypatch.setattr(service, "obstacle", lambda: None)
    monkeypatch.setattr(service, "uninstall", lambda _: done.append(True))
    assert run("service", "uninstall").code != 0
    assert run("service", "uninstall", "--dry-run").out.splitlines()[0] == "TO DO"
    assert done == []
    removed = run("service", "uninstall", "--yes", "--json")
    assert (removed.code, done) == (0, [True])
    assert removed.data == {
        "steps": ["remove /etc/systemd/system/dicomdock.service"],
        "done": True,
    }
    assert "stay as they are" in removed.err


def test_what_is_not_installed_can_not_be_removed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise NotInstalled("there is no unit", "ignore it")

    monkeypatch.setattr(service, "removal", none)
    assert run("service", "uninstall", "--yes").code == 4
