"""The site's anonymization script over the command line: set, checked, switched, shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.anonymize import DEFAULT_SITE_SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

SCRIPT = 'version "6.1"\n- (0010,0030)\n'


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "site.das"
    file.write_text(SCRIPT)
    return str(file)


def test_a_script_is_set_switched_shown_and_emptied(run: Run, script: str) -> None:
    set_ = run("site", "set", "--script", script, "--json")
    site = set_.data["site"]
    assert (site["anonymization_script"], site["anonymization_script_enabled"]) == (SCRIPT, False)
    assert "kept but off; --script-enabled lets it run" in set_.err
    assert run("site", "get", "--script").out == SCRIPT
    table = [line.split(maxsplit=1) for line in run("site", "get").out.splitlines()]
    assert ["anonymization_script", "2 lines"] in table
    assert run("site", "set", "--script-enabled", "--json").data["site"][
        "anonymization_script_enabled"
    ]
    emptied = run("site", "set", "--no-script-enabled", "--script", "", "--json").data["site"]
    assert emptied["anonymization_script"] == ""


def test_a_script_has_the_revision_that_brought_it(run: Run, script: str) -> None:
    def revision(*options: str) -> object:
        return run("site", "set", *options, "--json").data["site"]["anonymization_script_revision"]

    first = run("site", "set", "--allow-low-ports", "--json").data["revision"]
    assert revision("--script", script) == first + 1
    assert revision("--script-enabled") == first + 1
    assert revision("--script", "default") == first + 3


def test_the_default_script_is_offered_with_a_warning(run: Run) -> None:
    outcome = run("site", "set", "--script", "default", "--script-enabled", "--json")
    assert outcome.data["site"]["anonymization_script"] == DEFAULT_SITE_SCRIPT
    assert "only relabels" in outcome.err
    assert "does not de-identify" in outcome.err
    assert "only relabels" not in run("site", "set", "--no-allow-low-ports").err


@pytest.mark.parametrize("enabled", ["--script-enabled", "--no-script-enabled"])
def test_a_wrong_script_is_refused_with_line_and_column(
    run: Run, tmp_path: Path, enabled: str
) -> None:
    file = tmp_path / "wrong.das"
    file.write_text('version "6.1"\n- (0010,\n')
    outcome = run("site", "set", "--script", str(file), enabled)
    assert outcome.code == 2
    assert "site.anonymization_script line 2 column" in outcome.err
    assert run("site", "get", "--script").out == ""


def test_a_script_of_the_older_language_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.das"
    file.write_text("- (0010,0030)\n")
    outcome = run("site", "set", "--script", str(file))
    assert outcome.code == 2
    assert "DicomEdit 4" in outcome.err


def test_no_script_can_not_be_switched_on(run: Run) -> None:
    outcome = run("site", "set", "--script-enabled")
    assert outcome.code == 2
    assert "is on, but there is no script" in outcome.err


def test_a_script_broken_by_hand_makes_the_configuration_invalid(
    run: Run, script: str, data: Path
) -> None:
    run("site", "set", "--script", script, "--script-enabled")
    file = data / "config.json"
    tables = json.loads(file.read_text())
    tables["site"]["1"]["anonymization_script"] = 'version "6.1"\n- (0010,\n'
    file.write_text(json.dumps(tables))
    outcome = run("receivers", "list")
    assert outcome.code == 2
    assert "site.anonymization_script line 2 column" in outcome.err
    for value in (7, "x\x07", "y" * 100_001):
        tables["site"]["1"]["anonymization_script"] = value
        file.write_text(json.dumps(tables))
        assert run("receivers", "list").code == 2
