"""Receivers from and for an XNAT: shown first, then imported as one revision or not at all."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.cli.outcome import CT1, spawn

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run

A = {"aeTitle": "PROJ_A", "port": 8104, "identifier": "dicomObjectIdentifier"}
B = {**A, "aeTitle": "B"}
BAD = {**A, "aeTitle": "BAD", "port": 70000}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "receivers.json"


def write(file: Path, content: object) -> str:
    file.write_text(json.dumps(content))
    return str(file)


def outcomes(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(receiver["label"], receiver["outcome"]) for receiver in told["receivers"]]


def test_an_import_is_shown_and_changes_nothing(run: Run, data: Path, file: Path) -> None:
    name = write(file, [A, B])
    outcome = run("import-xnat", name, "--json")
    assert outcome.code == 0
    assert outcome.data["applied"] is False
    assert outcomes(outcome.data) == [("PROJ_A:8104", "new"), ("B:8104", "new")]
    assert outcome.err == (
        f"nothing was changed; save 2 receivers with: import-xnat {name} --apply\n"
    )
    assert not any(data.iterdir())


def test_an_import_is_applied_as_one_revision(
    run: Run, store: ConfigurationStore, file: Path
) -> None:
    run("receivers", "add", *CT1)
    name = write(file, [A, {**A, "aeTitle": "CT1", "port": 8105, "whitelist": ["X"]}, B])
    outcome = run("import-xnat", name, "--apply", "--json")
    assert (outcome.code, outcome.data["applied"], outcome.data["revision"]) == (0, True, 2)
    changed = outcome.data["receivers"][1]
    assert changed["outcome"] == "changed"
    assert [d["sentence"] for d in changed["differences"]] == ["receiver CT1:8105 whitelist: +X"]
    configuration = store.load()
    assert configuration.revision == 2
    assert [r.label for r in configuration.receivers] == ["CT1:8105", "PROJ_A:8104", "B:8104"]
    again = run("import-xnat", name, "--apply")
    assert {line.split()[1] for line in again.out.splitlines()[1:]} == {"equal"}
    assert again.err == "there is nothing to change\n"
    assert store.load().revision == 2


def test_of_an_import_with_a_refused_record_nothing_is_applied(
    run: Run, data: Path, file: Path
) -> None:
    outcome = run("import-xnat", write(file, [A, BAD]), "--apply")
    assert outcome.code == 2
    assert outcome.out.splitlines()[1:] == [
        "PROJ_A:8104  new",
        "BAD:70000    not representable  port '70000': is outside 1–65535; "
        "use a port from 1024 to 49151",
    ]
    assert outcome.err.splitlines() == [
        "Nothing was imported:",
        "  1 of 2 receivers can't be represented",
        "  → correct them in the file, or import the others with --skip-refused",
    ]
    assert not any(data.iterdir())


def test_a_refused_record_is_left_out_on_request(
    run: Run, store: ConfigurationStore, file: Path
) -> None:
    name = write(file, [A, BAD])
    shown = run("import-xnat", name, "--skip-refused")
    assert shown.code == 0
    assert "--apply --skip-refused" in shown.err
    outcome = run("import-xnat", name, "--apply", "--skip-refused", "--json")
    assert (outcome.code, outcome.data["applied"]) == (0, True)
    (problem,) = outcome.data["receivers"][1]["problems"]
    assert problem["field"] == "port"
    assert [receiver.label for receiver in store.load().receivers] == ["PROJ_A:8104"]


@pytest.mark.parametrize(
    ("content", "field", "line"),
    [
        (b"", "file", 1),
        (b"<html>\nlogin", "file", 1),
        (b'[\n{"aeTitle": ]', "file", 2),
        (b"null", "record 1", None),
        (b"[1, {}]", "record 1", None),
        (b'"\\u001b[2J"', "record 1", None),
        (b"[" * 100_000, "file", None),
        (b'{"port": ' + b"9" * 5000 + b"}", "file", None),
        (b"[" + b"{}," * 1000 + b"{}]", "file", None),
    ],
)
def test_a_file_that_holds_no_records_is_told(
    run: Run, file: Path, content: bytes, field: str, line: int | None
) -> None:
    file.write_bytes(content)
    outcome = run("import-xnat", str(file), "--apply", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error["title"] == "The file can't be imported"
    problem = outcome.error["problems"][0]
    assert (problem["field"], problem.get("line")) == (field, line)
    assert (line is None) == ("column" not in problem)
    assert problem["remedy"]
    said = run("import-xnat", str(file)).err
    assert all(c.isprintable() or c == "\n" for c in said)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/nope\x1b[2J", "can't read /nope\\x1b[2J: No such file"),
        ("/", "can't read /: Is a directory"),
        ("/dev/zero", "/dev/zero is larger than 4,194,304 bytes"),
        ("a\x00b", "can't read a\\x00b: embedded null byte"),
    ],
)
def test_a_file_that_can_not_be_read_is_told(run: Run, name: str, words: str) -> None:
    outcome = run("import-xnat", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("The file can't be used:\n")
    assert words in outcome.err


def test_a_file_of_another_encoding_is_told_with_its_line(run: Run, file: Path) -> None:
    file.write_bytes(b"[\n\xff]")
    outcome = run("import-xnat", str(file))
    assert outcome.code == 2
    assert "is not UTF-8 text (line 2)" in outcome.err


def test_receivers_are_exported_and_imported_elsewhere_through_a_pipe(
    run: Run, data: Path, tmp_path: Path
) -> None:
    run("receivers", "add", *CT1, "--whitelist", "A", "--session-routing", "a\r\nb\n")
    exported = run("export-xnat").out
    elsewhere = ("--data", str(tmp_path / "elsewhere"), "import-xnat", "-")
    imported = spawn("engine", *elsewhere, "--apply", input=exported)
    assert (imported.returncode, imported.stderr) == (0, "saved 1 receiver as revision 1\n")
    assert spawn("engine", *elsewhere, input=exported).stdout.split()[-1] == "equal"
    closed = spawn("engine", *elsewhere, preexec_fn=lambda: os.close(0))
    assert closed.returncode == 2
    assert "can't read -: Bad file descriptor" in closed.stderr


def test_an_export_is_a_list_or_the_one_record_that_was_named(run: Run, file: Path) -> None:
    run("receivers", "add", *CT1)
    run("receivers", "add", "--ae-title", "MR1", "--port", "8106")
    assert [r["aeTitle"] for r in run("export-xnat", "--json").data] == ["CT1", "MR1"]
    assert run("export-xnat", "MR1").data["aeTitle"] == "MR1"
    assert [r["aeTitle"] for r in run("export-xnat", "MR1", "CT1").data] == ["CT1", "MR1"]
    assert run("export-xnat", "NOPE").code == 4
    outcome = run("export-xnat", "-o", str(file))
    assert (outcome.out, outcome.err) == ("", f"wrote 2 receivers to {file}\n")
    assert len(json.loads(file.read_text())) == 2


def test_an_export_into_a_place_that_can_not_be_written_is_told(run: Run) -> None:
    outcome = run("export-xnat", "-o", "/nope/file", "--json")
    assert outcome.code == 2
    assert outcome.error["detail"] == "can't write /nope/file: No such file or directory"


def test_what_xnat_would_refuse_is_pointed_out_at_an_export(run: Run) -> None:
    run("receivers", "add", *CT1, "--whitelist", "OK", "--whitelist", "1234")
    outcome = run("export-xnat")
    assert outcome.code == 0
    assert outcome.err == (
        "CT1:8105 whitelist line 2 '1234': is an address to XNAT, not an AE title; "
        "write it as AE@network\n"
    )


def test_a_file_that_a_command_makes_is_closed_to_others(run: Run, tmp_path: Path) -> None:
    written = tmp_path / "receivers.json"
    before = os.umask(0)
    try:
        assert run("export-xnat", "--output", str(written)).code == 0
    finally:
        os.umask(before)
    assert written.stat().st_mode & 0o777 == 0o640
