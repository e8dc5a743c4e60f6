"""The command line: data on stdout, words on stderr, exit codes, and what a bad input is told."""

from __future__ import annotations

import io
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity

from engine import __version__
from engine.cli import actor, main
from engine.clock import SystemClock
from engine.config.store import ConfigurationStore
from engine.lock import EngineLock
from engine.model.site import SiteSettings
from engine.terminal import visible
from tui.cli import main as dicomdock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., "Outcome"]

LOGIN = pwd.getpwuid(os.getuid()).pw_name
VERIFICATION = UID("1.2.840.10008.1.1")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CT1 = ("--ae-title", "CT1", "--port", "8105")


class Outcome:
    """What one command said and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def data(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


@pytest.fixture(autouse=True)
def _usual_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    umask = os.umask(0o022)
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    os.umask(umask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Outcome:
        try:
            code = main(["--data", str(data), *arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], None]:
    def type_in(text: str, is_terminal: bool) -> None:
        typed = io.StringIO(text)
        monkeypatch.setattr(typed, "isatty", lambda: is_terminal)
        monkeypatch.setattr(sys, "stdin", typed)

    return type_in


def spawn(module: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def free_port() -> int:
    """Return a port in the range that receivers may use without asking for more."""
    for port in range(20000 + os.getpid() % 20000, 49000):
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


# Receivers


def test_a_list_of_nothing_is_a_heading_and_changes_nothing(run: Run, data: Path) -> None:
    outcome = run("receivers", "list")
    assert outcome.code == 0
    assert outcome.out.startswith("ID  AE TITLE")
    assert outcome.out.count("\n") == 1
    assert not data.exists()


def test_receivers_are_listed_as_json(run: Run) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "list", "--json").data == {
        "revision": 1,
        "receivers": [
            {
                "id": 1,
                "label": "CT1:8105",
                "ae_title": "CT1",
                "port": 8105,
                "enabled": True,
                "identifier": "dicomObjectIdentifier",
                "file_namer": None,
                "custom_processing": False,
                "direct_archive": False,
                "anonymization": True,
                "whitelist_enabled": False,
                "whitelist": [],
                "routing_enabled": False,
                "project_routing": "",
                "subject_routing": "",
                "session_routing": "",
                "direct_archive_append": False,
                "bind_address": "",
                "limits": {},
            }
        ],
    }


def test_receivers_are_listed_for_people(run: Run) -> None:
    run("receivers", "add", *CT1, "--disabled")
    head, row = run("receivers", "list").out.splitlines()
    assert head.split()[:4] == ["ID", "AE", "TITLE", "PORT"]
    assert row.split() == ["1", "CT1", "8105", "no", "no", "no", "yes", "no", "no",
                           "dicomObjectIdentifier"]  # fmt: skip


def test_an_option_for_every_field(run: Run, tmp_path: Path) -> None:
    lines, rules = tmp_path / "lines", tmp_path / "rules"
    lines.write_text("MR1\n\n10.0.0.0/8\n")
    rules.write_text("(0008,1030):(.*)\n(0032,1060):(.*)\n")
    outcome = run(
        "receivers", "add", *CT1, "--json", "--disabled", "--file-namer", "x",
        "--identifier", "dicomObjectIdentifier", "--custom-processing", "--direct-archive",
        "--no-anonymization", "--whitelist-enabled", "--routing-enabled",
        "--whitelist-file", str(lines), "--whitelist", "CT1@10.1.2.3", "--whitelist", "CT2",
        "--project-routing", f"@{rules}", "--subject-routing", "(0010,0020):(.*)",
        "--session-routing", "",
    )  # fmt: skip
    assert outcome.code == 0
    record = outcome.data["receiver"]
    assert outcome.data["revision"] == 1
    assert [record[name] for name in ("enabled", "anonymization")] == [False, False]
    switches = ("custom_processing", "direct_archive", "whitelist_enabled", "routing_enabled")
    assert all(record[name] is True for name in switches)
    assert record["whitelist"] == ["MR1", "10.0.0.0/8", "CT1@10.1.2.3", "CT2"]
    assert record["project_routing"] == rules.read_text()
    assert record["subject_routing"] == "(0010,0020):(.*)"
    assert record["file_namer"] == "x"


def test_an_edit_changes_the_named_fields_only(run: Run) -> None:
    run("receivers", "add", *CT1, "--whitelist", "A", "--no-anonymization", "--file-namer", "x")
    before = run("receivers", "list", "--json").data["receivers"][0]
    edited = run("receivers", "edit", "CT1", "--port", "8200", "--json").data["receiver"]
    assert edited == {**before, "port": 8200, "label": "CT1:8200"}
    emptied = run("receivers", "edit", "1", "--whitelist", "", "--file-namer", "", "--json")
    assert emptied.data["receiver"] == {**edited, "whitelist": [], "file_namer": None}


def test_an_edit_that_changes_nothing_makes_no_revision(run: Run) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "edit", "CT1", "--port", "8105", "--json").data["revision"] == 1


def test_a_whitelist_that_is_not_in_force_is_pointed_out(run: Run) -> None:
    assert "--whitelist-enabled" in run("receivers", "add", *CT1, "--whitelist", "A").err
    assert "--whitelist-enabled" not in run("receivers", "edit", "1", "--whitelist-enabled").err


def test_a_receiver_is_disabled_and_enabled(run: Run) -> None:
    run("receivers", "add", *CT1)
    for verb, enabled in (("disable", False), ("enable", True)):
        outcome = run("receivers", verb, "CT1:8105", "--json")
        assert outcome.data["receiver"]["enabled"] is enabled
    assert run("receivers", "disable", "1").err == "disabled CT1:8105, revision 4\n"


@pytest.mark.parametrize("name", ["1", "CT1", "CT1:8105"])
def test_a_receiver_is_named_by_id_title_or_title_and_port(run: Run, name: str) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "delete", name, "--yes", "--json").data["receiver"]["id"] == 1
    assert run("receivers", "list", "--json").data == {"revision": 2, "receivers": []}


def test_a_name_that_may_mean_two_receivers_is_refused(run: Run) -> None:
    run("receivers", "add", *CT1)
    run("receivers", "add", "--ae-title", "CT1", "--port", "8106")
    run("receivers", "add", "--ae-title", "2", "--port", "8107")
    outcome = run("receivers", "delete", "CT1", "--yes", "--json")
    assert outcome.code == 4
    assert outcome.error["detail"] == "'CT1' may mean CT1:8105, CT1:8106"
    assert run("receivers", "delete", "2", "--yes").code == 4
    assert run("receivers", "delete", "2:8107", "--yes").code == 0


@pytest.mark.parametrize("verb", ["edit", "enable", "disable", "delete"])
def test_a_receiver_that_does_not_exist(run: Run, verb: str) -> None:
    outcome = run("receivers", verb, "NOPE")
    assert outcome.code == 4
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        "Not found:",
        "  there is no receiver 'NOPE'",
        "  → list them with: receivers list",
    ]


# What a bad input is told


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
    assert not data.exists()


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
        (("receivers", "ad"), "invalid choice: 'ad'"),
        (("receivers", "add", *CT1, "--prot", "1"), "unrecognized arguments: --prot 1"),
        (("receivers", "add", *CT1, "--enabled", "--disabled"), "not allowed with argument"),
        (("receivers", "add", *CT1, "--project-routing", "@/nope"), "can't read /nope: No such"),
        (("receivers", "add", *CT1, "--whitelist-file", "/"), "can't read /: Is a directory"),
        (("receivers", "edit"), "required: RECEIVER"),
        (("engine", "--durability", "most"), "invalid"),
        (("engine", "--drain-seconds", "-1"), "use 0 to 86400 seconds"),
        (("engine", "--drain-seconds", "nan"), "use 0 to 86400 seconds"),
    ],
)
def test_a_wrong_command_line_is_told_so(run: Run, arguments: tuple[str, ...], words: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err


def test_a_file_that_is_not_text_is_told_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    outcome = run("receivers", "add", *CT1, "--session-routing", f"@{tmp_path / 'x'}")
    assert outcome.code == 2
    assert "is not UTF-8 text" in outcome.err


@pytest.mark.parametrize("content", ["", "{", '{"receivers": {"1": {"ae_title": "A"}}}'])
def test_a_broken_configuration_file_stops_every_command(
    run: Run, data: Path, content: str
) -> None:
    data.mkdir()
    (data / "config.json").write_text(content)
    commands = [("receivers", "list"), ("receivers", "add", *CT1), ("projects", "list"),
                ("site", "get"), ("site", "set", "--allow-low-ports")]  # fmt: skip
    for command in commands:
        outcome = run(*command, "--json")
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.error["problems"]
    assert (data / "config.json").read_text() == content


def test_a_data_directory_that_can_not_be_used(run: Run, data: Path) -> None:
    data.write_text("a file")
    assert run("receivers", "add", *CT1).code == 5


def test_control_characters_of_the_file_do_not_reach_the_terminal(run: Run, data: Path) -> None:
    data.mkdir()
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


# Deleting


def test_a_deletion_without_a_terminal_needs_a_yes(
    run: Run, stdin: Callable[[str, bool], None]
) -> None:
    run("receivers", "add", *CT1)
    stdin("y\n", False)
    outcome = run("receivers", "delete", "CT1")
    assert outcome.code == 2
    assert "add --yes" in outcome.err
    assert len(run("receivers", "list", "--json").data["receivers"]) == 1


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yep\n", False)],
)
def test_a_deletion_at_a_terminal_asks(
    run: Run, stdin: Callable[[str, bool], None], answer: str, deleted: bool
) -> None:
    run("receivers", "add", *CT1)
    stdin(answer, True)
    outcome = run("receivers", "delete", "CT1")
    assert "Delete receiver CT1:8105? [y/N] " in outcome.err
    assert outcome.code == (0 if deleted else 2)
    assert bool(run("receivers", "list", "--json").data["receivers"]) is not deleted


# Projects and site


def test_projects_are_added_listed_and_deleted(run: Run) -> None:
    added = run("projects", "add", "BRAIN", "--title", "Brain – Zürich", "--alias", "b",
                "--alias", "hirn", "--json")  # fmt: skip
    brain = {"id": "BRAIN", "title": "Brain – Zürich", "aliases": ["b", "hirn"]}
    assert added.data == {"revision": 1, "projects": [brain]}
    assert run("projects", "list", "--json").data == added.data
    assert run("projects", "list").out.splitlines()[1] == "BRAIN  Brain – Zürich  b, hirn"
    assert run("projects", "delete", "BRAIN", "--yes", "--json").data["projects"] == []
    assert run("projects", "delete", "BRAIN").code == 4


@pytest.mark.parametrize("arguments", [("BRAIN",), ("X", "--alias", "BRAIN"), ("A/B",)])
def test_a_project_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    run("projects", "add", "BRAIN")
    outcome = run("projects", "add", *arguments, "--json")
    assert outcome.code == 2
    assert outcome.error["title"] == "The project is not valid"


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
    assert "allow_low_ports    yes" in lines
    assert "bind_address       127.0.0.1" in lines
    assert run("receivers", "add", "--ae-title", "OLD", "--port", "104").code == 0
    assert run("site", "set", "--no-allow-low-ports").code == 2
    assert run("site", "set", "--bind-address", "here", "--json").error["problems"]


# Who, where and with what rights


@pytest.mark.parametrize(
    ("environment", "who"),
    [
        ({}, LOGIN),
        ({"SSH_CONNECTION": "10.0.0.5 50112 10.0.0.1 22"}, f"{LOGIN} from 10.0.0.5"),
        ({"SSH_CONNECTION": ""}, LOGIN),
        ({"SSH_CONNECTION": "\x1b[31m 1 2 3"}, f"{LOGIN} from \\x1b[31m"),
        ({"SUDO_USER": "anna"}, "anna"),
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


def test_what_a_command_makes_is_private(run: Run, data: Path) -> None:
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


# Processes


def test_the_light_commands_load_neither_dicom_nor_terminal_libraries(data: Path) -> None:
    program = (
        "import sys; from engine.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = {'pynetdicom', 'pydicom', 'textual', 'rich', 'watchfiles', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "--data", str(data), "receivers", "list"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "[]\n")


def test_both_programs_run_and_tell_their_version(data: Path) -> None:
    for module in ("engine", "tui"):
        outcome = spawn(module, "--version")
        assert (outcome.returncode, outcome.stdout) == (0, f"dicomdock {__version__}\n")
    outcome = spawn("tui", "--data", str(data), "projects", "add", "BRAIN", "--json")
    assert outcome.returncode == 0
    assert json.loads(outcome.stdout)["revision"] == 1


def test_a_terminal_that_knows_ascii_only_is_no_reason_to_fail(data: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    added = spawn("engine", "--data", str(data), "projects", "add", "Z", "--title", "Zürich",
                  env=environment)  # fmt: skip
    assert (added.returncode, added.stdout.splitlines()[1]) == (0, "Z   Z\\xfcrich")
    refused = spawn("engine", "--data", str(data), "receivers", "list", "x", env=environment)
    assert refused.returncode == 2


@pytest.mark.parametrize("arguments", [("receivers", "list"), ("status", "--json")])
def test_a_reader_that_has_seen_enough_causes_no_traceback(
    data: Path, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    outcome = subprocess.run(
        [sys.executable, "-m", "engine", "--data", str(data), *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=buffered,
        check=False,
    )
    os.close(writing)
    assert (outcome.returncode, outcome.stderr) == (0, b"")


def test_the_console_without_a_terminal_says_what_to_use_instead(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dicomdock(["--data", str(data)]) == 2
    assert "dicomdock engine" in capsys.readouterr().err
    assert not data.exists()


@pytest.mark.parametrize("refresh", ["0", "-1", "nan", "inf", "31", "x"])
def test_a_refresh_rate_that_makes_no_sense_is_refused(refresh: str) -> None:
    with pytest.raises(SystemExit) as caught:
        dicomdock(["--refresh", refresh])
    assert caught.value.code == 2


@contextmanager
def engine_on(data: Path) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "engine",
        "--data",
        str(data),
        "engine",
        "--durability",
        "none",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as engine:
        yield engine
        engine.kill()


def line_of(engine: subprocess.Popen[str]) -> str:
    assert engine.stderr is not None
    return engine.stderr.readline()


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_an_engine_runs_until_it_is_told_to_stop(
    run: Run, data: Path, number: signal.Signals
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    run("receivers", "add", "--ae-title", "OFF", "--port", str(port), "--disabled")
    with engine_on(data) as engine:
        assert line_of(engine).startswith(f"CT1:{port} listening on ")
        assert line_of(engine).startswith(f"OFF:{port} disabled")
        status = run("status", "--json").data
        assert status["running"]["pid"] == engine.pid
        assert status["revision"] == 2
        assert [r["state"] for r in status["receivers"]] == ["listening", "disabled"]
        assert f"running, pid {engine.pid}" in run("status").out
        second = run("engine")
        assert second.code == 3
        assert f"pid {engine.pid}" in second.err
        engine.send_signal(number)
        out, err = engine.communicate(timeout=20)
        assert (engine.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert run("status", "--json").data["running"] is None


@pytest.mark.parametrize(("finish", "code"), [("release", 0), ("second signal", 143)])
def test_a_stopping_engine_waits_for_an_association_unless_it_is_told_twice(
    run: Run, data: Path, finish: str, code: int
) -> None:
    port = free_port()
    run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
    requestor = ApplicationEntity("SCU")
    requestor.add_requested_context(VERIFICATION)
    with engine_on(data) as engine:
        assert "listening" in line_of(engine)
        association = requestor.associate("127.0.0.1", port, ae_title="CT1")
        assert association.is_established
        engine.send_signal(signal.SIGTERM)
        assert line_of(engine).startswith("stopping")
        if finish == "release":
            association.release()
        else:
            engine.send_signal(signal.SIGTERM)
        assert engine.wait(timeout=9) == code
        association.abort()
    assert run("status", "--json").data["running"] is None


def test_a_port_that_is_taken_is_told_and_does_not_stop_the_engine(run: Run, data: Path) -> None:
    port = free_port()
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::", port))
        other.listen()
        run("receivers", "add", "--ae-title", "CT1", "--port", str(port))
        with engine_on(data) as engine:
            line = line_of(engine)
            assert line.startswith(f"CT1:{port} failed: address in use")
            assert engine.poll() is None


def test_the_status_of_an_empty_directory(run: Run, data: Path) -> None:
    status = run("status", "--json").data
    assert status["running"] is None
    assert status["receivers"] == []
    assert "not running" in run("status").out
    assert not data.exists()


def test_an_engine_on_a_held_directory_is_refused_before_it_touches_anything(
    run: Run, data: Path
) -> None:
    lock = EngineLock.acquire(data / "engine.lock", SystemClock())
    outcome = run("engine")
    lock.release()
    assert outcome.code == 3
    assert outcome.err.splitlines()[0] == "An engine already runs on this data directory:"
    assert not (data / "config.json").exists()
