"""The scripts of the Debian package; `.ci/package` builds and runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.app.systemd_units import ServiceSettings, units

DEBIAN = Path(__file__).parents[2] / "packaging/debian"


@pytest.mark.parametrize("name", ["build", "postinst", "prerm", "postrm"])
def test_each_script_is_one_and_may_be_run(name: str) -> None:
    script = DEBIAN / name
    shell = script.read_text("utf-8").splitlines()[0].split()[-1].split("/")[-1]
    subprocess.run([shell, "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o111


def test_every_file_of_the_service_has_its_place_in_the_package() -> None:
    build = (DEBIAN / "build").read_text("utf-8")
    for unit in units(ServiceSettings(("/opt/dicomdock/bin/dicomdock",))):
        assert f'"{unit.path.parent}": "/usr/' in build
