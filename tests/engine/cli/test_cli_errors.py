"""What a bad input is told: field, value and remedy, in words and as JSON, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import __version__
from engine.cli import main
from engine.config.store import ConfigurationStore
from engine.host.terminal import visible
from tests.engine.cli.outcome import CT1, Run


def test_every_problem_of_a_receiver_is_told_in_words(run: Run, data: Path) -> None:
    outcome = run("receivers", "add", "--ae-title", "A\\B", "--port", "80")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        "The receiver is not valid:",
        "  ae_title 'A\\\\B': contains a backslash, which separates values in DICOM",
        "  → use 1 to 16 printable ASCII characters without a backslash",
        "  port '80': is outside 1024–49151",
        "  → choose another port, or allow low ports in the site settings",
    ]
    assert not any(data.iterdir())


def test_every_problem_of_a_receiver_is_told_as_json(run: Run) -> None:
    outcome = run("receivers", "add", *CT1, "--json", "--whitelist-enabled", "--whitelist", "CT2",
                  "--whitelist", "10.0.0.0/33")  # fmt: skip
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error["title"] == "The receiver is not valid"
    assert outcome.error["detail"]
    assert outcome.error["remedy"]
    (problem,) = outcome.error["problems"]
    assert problem["field"] == "whitelist"
    assert problem["line"] == 2
    assert problem["value"] == "10.0.0.0/33"
    assert "the prefix length must be 0 to 32" in problem["message"]
    assert problem["remedy"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("recievers",), "did you mean receivers? See: python -m engine --help"),
        (("receivers", "lst"), "did you mean list? See: python -m engine receivers --help"),
        (("receivers", "add", "--prot", "1"), "did you mean --port? See: python -m engine rec"),
        (("receivers", "list", "--jsno"), "did you mean --json?"),
        (("receivers", "edit", "XNAT", "--tls-client", "requird"), "did you mean required?"),
        (("help", "sesions"), "did you mean sessions?"),
        (("zzz",), "  → see: python -m engine --help"),
        (("receivers", "list", "--dat", "/srv"), "did you mean --data?"),
    ],
)
def test_a_mistyped_command_line_gets_a_hint(run: Run, words: tuple[str, ...], hint: str) -> None:
    outcome = run(*words)
    assert outcome.code == 2
    assert hint in outcome.err
    assert ("did you mean" in outcome.err) == ("did you mean" in hint)
    assert len(outcome.err.splitlines()) == 3


def test_a_mistyped_command_line_is_json_for_a_program(run: Run) -> None:
    error = run("sessions", "lst", "--json").error
    assert error["detail"] == "there is no verb 'lst'"
    assert error["remedy"].startswith("did you mean list?")


def test_an_unknown_field_of_the_file_gets_the_most_similar_one(run: Run, data: Path) -> None:
    receiver = {"ae_title": "CT1", "port": 8105, "direct_archiv": True}
    (data / "config.json").write_text(json.dumps({"receivers": {"1": receiver}}))
    assert "→ did you mean direct_archive? Else remove it" in run("receivers", "list").err


def test_the_data_directory_may_be_named_before_the_command_and_after_it(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = str(data)
    assert main(["--data", name, "projects", "add", "A"]) == 0
    assert main(["projects", "--data", name, "add", "B"]) == 0
    assert main(["projects", "add", "C", f"--data={name}"]) == 0
    capsys.readouterr()
    assert main(["projects", "list", "--json", "--data", name]) == 0
    listed = json.loads(capsys.readouterr().out)["projects"]
    assert [project["id"] for project in listed] == ["A", "B", "C"]


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("receivers", "delete", "XNAT", "--yes"),
        ("config", "history"),
        ("sessions", "list"),
        ("alerts", "list"),
        ("health",),
        ("check",),
    ],
)
def test_a_data_directory_that_is_not_there_is_an_error_and_is_not_made(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    missing = tmp_path / "typo"
    outcome = run(*words, "--data", str(missing))
    assert (outcome.code, outcome.out) == (4, "")
    assert f"there is no data directory {missing}" in outcome.err
    assert not missing.exists()
    assert run(*words, "--data", __file__).code == 5


@pytest.mark.parametrize(
    "words",
    [
        ("receivers", "add", *CT1),
        ("receivers", "edit", "XNAT", "--port", "8200"),
        ("projects", "add", "A"),
        ("peers", "add", "PACS", "--host", "pacs", "--port", "104"),
        ("site", "set", "--allow-low-ports"),
    ],
)
def test_what_begins_a_configuration_makes_the_data_directory(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    new = tmp_path / "new"
    assert run(*words, "--data", str(new)).code == 0
    assert new.is_dir()


def test_the_help_has_every_command_under_a_heading(run: Run) -> None:
    text = run("help").out
    assert run("--help").out == text
    assert run("help", "receivers", "add").out == run("receivers", "add", "--help").out
    assert "\nconfiguration:\n  receivers  " in text
    assert run("version").out == run("-V").out == run("--version").out
    assert run("version", "--json").data == {"version": __version__}


def test_an_error_without_problems_has_the_same_shape(run: Run) -> None:
    error = run("receivers", "enable", "NOPE", "--json").error
    assert set(error) == {"title", "detail", "remedy", "problems"}
    assert error["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("receivers",), "the following arguments are required: VERB"),
        (("receivers", "add"), "required: --ae-title, --port"),
        (("receivers", "ad"), "there is no verb 'ad'"),
        (("receivers", "add", *CT1, "--prot", "1"), "unrecognized arguments: --prot 1"),
        (("receivers", "add", *CT1, "--enable"), "unrecognized arguments: --enable"),
        (("receivers", "add", *CT1, "--project-routing", "@/nope"), "can't read /nope: No such"),
        (("receivers", "add", *CT1, "--whitelist", "@/"), "can't read /: Is a directory"),
        (("receivers", "edit"), "required: RECEIVER"),
        (("receivers", "add", *CT1, "--limit", "9"), "'9' is not a limit; write NAME=N, such as"),
        (("receivers", "add", *CT1, "--limit", "=9"), "'=9' is not a limit; write NAME=N"),
        (("config", "show", "0"), "'0' is not a whole number from 1"),
        (("config", "restore"), "required: REVISION"),
        (("config", "history", "--limit", "-1"), "'-1' is not a whole number from 1"),
        (("whitelist", "test", "CT1", "--calling", "A"), "required: --ip"),
        (("import-xnat",), "one of the arguments FILE --url is required"),
        (("receivers", "\x1b[2J"), "there is no verb '\\x1b[2J'"),
        (("receivers", "list", "\x1b[2J"), "unrecognized arguments: \\x1b[2J"),
        (("engine", "--durability", "most"), "'most' is none of full, file, none"),
        (("engine", "--drain-seconds", "soon"), "'soon' is no duration; use 0 to 86400 seconds"),
        (("engine", "--drain-seconds", "-1"), "use 0 to 86400 seconds"),
        (("engine", "--drain-seconds", "nan"), "use 0 to 86400 seconds"),
    ],
)
def test_a_wrong_command_line_is_told_so(run: Run, arguments: tuple[str, ...], words: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert "\x1b" not in outcome.err


def test_a_file_that_is_not_text_is_told_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    outcome = run("receivers", "add", *CT1, "--session-routing", f"@{tmp_path / 'x'}")
    assert outcome.code == 2
    assert "is not UTF-8 text" in outcome.err


@pytest.mark.parametrize("content", ["", "{", '{"receivers": {"1": {"ae_title": "A"}}}'])
def test_a_broken_configuration_file_stops_every_command(
    run: Run, data: Path, content: str
) -> None:
    (data / "config.json").write_text(content)
    commands = [("receivers", "list"), ("receivers", "add", *CT1), ("projects", "list"),
                ("site", "get"), ("site", "set", "--allow-low-ports")]  # fmt: skip
    for command in commands:
        outcome = run(*command, "--json")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.error["problems"]
    assert (data / "config.json").read_text() == content


def test_a_data_directory_that_can_not_be_used(run: Run, data: Path) -> None:
    data.rmdir()
    data.write_text("a file")
    assert run("receivers", "add", *CT1).code == 5


def test_control_characters_of_the_file_do_not_reach_the_terminal(run: Run, data: Path) -> None:
    record = {"ae_title": "CT1", "port": 8105, "identifier": "\x1b[2J\x9b\r\u202e"}
    (data / "config.json").write_text(json.dumps({"receivers": {"1": record}}))
    outcome = run("receivers", "list")
    assert "\\x1b[2J\\x9b\\r\\u202e" in outcome.err.replace("\\\\", "\\")
    assert all(c.isprintable() or c == "\n" for c in outcome.out + outcome.err)
    outcome = run("receivers", "list", "--json")
    assert outcome.err.isascii()
    assert all(c.isprintable() or c == "\n" for c in outcome.err)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CT1 Zürich", "CT1 Zürich"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\t\x7f", "a\\nb\\t\\x7f"),
        ("\u202e\ud800", "\\u202e\\ud800"),
    ],
)
def test_visible_text(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_an_endless_file_is_refused(run: Run) -> None:
    outcome = run("receivers", "add", *CT1, "--whitelist", "@/dev/zero")
    assert outcome.code == 2
    assert "/dev/zero is larger than 4,194,304 bytes; name the right file" in outcome.err


def test_a_problem_tells_line_and_column_in_words_and_as_json(run: Run) -> None:
    rules = ("--routing-enabled", "--project-routing", "(0008,1030):(.*)\n(0008,1030):(.*")
    outcome = run("receivers", "add", *CT1, *rules)
    assert outcome.code == 2
    assert "  project_routing line 2 column 13 '(0008,1030):(.*': " in outcome.err
    (problem,) = run("receivers", "add", *CT1, *rules, "--json").error["problems"]
    assert (problem["line"], problem["column"]) == (2, 13)


def test_a_fault_that_nobody_foresaw_is_one_line_and_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("boom \x1b[2J")

    monkeypatch.setattr(ConfigurationStore, "load", fail)
    outcome = run("receivers", "list")
    assert (outcome.code, outcome.out) == (1, "")
    assert "RuntimeError in test_cli_errors.py line" in outcome.err
    assert "boom \\x1b[2J" in outcome.err
    assert "Traceback" not in outcome.err
    assert "boom" in run("receivers", "list", "--json").error["detail"]


def test_a_full_disk_behind_the_output_is_told(data: Path) -> None:
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "engine", "--data", str(data), "projects", "list"]
        outcome = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=buffered
        )
    assert outcome.returncode == 1
    assert "The output can't be written:\n  No space left on device\n" in outcome.stderr
    assert "Traceback" not in outcome.stderr
