"""The page on disasters: each is made, and the commands of its section bring everything back."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.cli import main
from engine.config.store import ConfigurationStore
from engine.model.project import AutoArchive
from tests.docs.run_blocks import BLOCK, commands, failure
from tests.engine.index.depot import open_depot
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs/how-to/recover-from-a-disaster.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
TREES = ("prearchive", "archive", "trash")
RESTIC = f"""#!/bin/bash
# What a repository would give back: the folders of objects, and the backup of the state.
case $1 in
    restore) mkdir -p "$DICOMDOCK_DATA" && cp -r kept/{{{",".join(TREES)}}} "$DICOMDOCK_DATA" ;;
    dump) cat backups/dock.tar ;;
esac
"""


def give(data: Path, *arguments: str) -> None:
    assert main(["--data", str(data), *arguments]) == 0


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, a route, two sessions, the backup of all that, and an object that came later."""
    top = tmp_path_factory.mktemp("disaster")
    data = top / "dock"
    for folder in (data, top / "backups", top / "bin"):
        folder.mkdir()
    ConfigurationStore(data / "config.json", clock=FixedClock()).create_default("test")
    (data / "trace.key").write_bytes(b"k" * 32)
    give(data, "projects", "add", "NEURO-02")
    give(data, "study-routes", "add", "1.2.3", "--project", "NEURO-02", "--subject", "S7")
    depot = open_depot(data, FixedClock(), {"NEURO-02": AutoArchive.ARCHIVE})
    for project in ("NEURO-01", "NEURO-01", "NEURO-02"):
        depot.receive(project, f"E{project[-1]}")
    depot.fall_silent()
    give(data, "backup", "-o", str(top / "backups/dock.tar"), "--objects")
    depot.receive("NEURO-01", "E1", name="late.dcm")
    depot.index.close()
    for tree in TREES:
        shutil.copytree(data / tree, top / "kept" / tree)
    (top / "bin/restic").write_text(RESTIC)
    (top / "bin/restic").chmod(0o755)
    return top


@pytest.fixture
def data(before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    top = shutil.copytree(before, tmp_path / "here")
    monkeypatch.chdir(top)
    monkeypatch.setenv("DICOMDOCK_DATA", str(top / "dock"))
    monkeypatch.setenv("PATH", f"{top}/bin:{os.environ['PATH']}")
    return top / "dock"


def answers(data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what people know of an installation."""
    found: dict[str, Any] = {
        "objects": {path.name for tree in TREES for path in (data / tree).rglob("*.dcm")}
    }
    for asked in ("projects list", "study-routes list"):
        capsys.readouterr()
        give(data, *asked.split())
        found[asked] = capsys.readouterr().out
    capsys.readouterr()
    give(data, "sessions", "list", "--json")
    # Sessions of the prearchive may be received again, so that their state and time are new.
    found["sessions"] = [
        tuple(one[name] for name in ("id", "project", "subject", "label", "modality", "objects"))
        for one in json.loads(capsys.readouterr().out)["sessions"]
    ]
    return found


def lose(*patterns: str) -> Callable[[Path], None]:
    def disaster(data: Path) -> None:
        for pattern in patterns:
            for path in [*data.glob(pattern)]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return disaster


def tear(name: str, size: int) -> Callable[[Path], None]:
    return lambda data: os.truncate(data / name, size)


DISASTERS = [
    ("The index", lose("index.sqlite*"), False),
    ("The index", tear("index.sqlite", 5_000), False),
    ("The state", lose("state.sqlite*", "trace.key"), False),
    ("The state", tear("state.sqlite", 3_000), False),
    ("The configuration file", lose("config.json"), False),
    ("The configuration file", tear("config.json", 60), False),
    ("The whole configuration", lose("config*"), False),
    ("Some objects", lose("archive/NEURO-02/arc001/E2/**/*.dcm"), False),
    ("Some objects", tear("archive/NEURO-02/arc001/E2/SCANS/4/DICOM/3.dcm", 400), False),
    ("The disk", lose("*"), True),
    ("The disk, with objects in restic", lose("*"), False),
]


@pytest.mark.parametrize(
    ("section", "disaster", "loses_late_object"),
    DISASTERS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_after_each_disaster_the_commands_of_its_section_bring_everything_back(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    disaster: Callable[[Path], None],
    loses_late_object: bool,
) -> None:
    known = answers(data, capsys)
    assert known["objects"] == {"1.dcm", "2.dcm", "3.dcm", "late.dcm"}
    disaster(data)
    given = [c for _, block in BLOCK.findall(SECTIONS[section]) for c in commands(block)]
    assert [said for command in given if (said := failure(command))] == []
    found = answers(data, capsys)
    if loses_late_object:
        assert found["objects"] == known["objects"] - {"late.dcm"}
        del found["objects"], found["sessions"]
    assert found == {name: known[name] for name in found}
    give(data, "check")


def test_every_section_with_commands_that_need_no_other_program_is_practised() -> None:
    with_commands = {name for name, text in SECTIONS.items() if "drill of this page" in text}
    assert with_commands == {section for section, _, _ in DISASTERS}
