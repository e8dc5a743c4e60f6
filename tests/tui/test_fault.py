"""An exception that ends the console: where it came from is said, and no value of a patient."""

from __future__ import annotations

import inspect
import stat
from typing import TYPE_CHECKING

import pytest
from textual.app import App

from tests.fakes import busy
from tests.terminals import Terminal
from tui.app import ConsoleApp
from tui.fault import REPORT_NAME, described, report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENT = "Miller^Anna"
CONSOLE = """
import sys
from tests.fakes import busy
from tui.app import ConsoleApp
from tui.cli import _run

class Faulty(ConsoleApp):
    def on_mount(self):
        self.set_timer(0.5, self.break_down)

    def break_down(self):
        patient = "Miller" + "^" + "Anna"
        raise {error}

class Options:
    no_mouse = True

sys.exit(_run(Faulty(busy(), refresh_hz=0), Options()))
"""


class Rendered(Exception):
    """An exception that Rich prints with its own text, as Textual's own do."""

    def __rich__(self) -> str:
        return str(self)


def broken(patient: str) -> BaseException:
    """Return an exception with a cause; texts and a local variable have a patient's name."""

    def look_up(known: dict[str, str]) -> None:
        try:
            known[patient]
        except KeyError as error:
            raise ValueError(f"no such patient: {patient}") from error

    with pytest.raises(ValueError, match="no such") as caught:
        look_up({})
    return caught.value


def started(error: str, folder: Path) -> Terminal:
    """Start a console that an exception will end; Textual wants its class to be in a file."""
    file = folder / "console.py"
    file.write_text(CONSOLE.format(error=error))
    return Terminal([str(file)], folder)


async def ended(break_down: Callable[[ConsoleApp], None], wanted: type[BaseException]) -> str:
    """Run a console until it ends by an exception, and return all that Textual would print."""
    app = ConsoleApp(busy(), refresh_hz=0, blink=False)
    with pytest.raises(wanted):
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            app.call_later(break_down, app)
            await pilot.pause()
            await pilot.pause()
    assert app.fault is not None
    assert app.return_code == 1
    return repr(app._exit_renderables) + described(app.fault)


async def test_what_ends_the_console_shows_no_local_value_and_no_text() -> None:
    def break_down(_: ConsoleApp) -> None:
        patient = PATIENT
        raise ValueError(f"{patient} is no number")

    said = await ended(break_down, ValueError)
    assert said.startswith("[]")
    assert PATIENT not in said
    assert "in break_down" in said
    assert said.endswith("builtins.ValueError\n")


async def test_an_exception_that_renders_itself_is_not_printed_by_textual() -> None:
    def break_down(_: ConsoleApp) -> None:
        raise Rendered(PATIENT)

    said = await ended(break_down, Rendered)
    assert said.startswith("[]")
    assert PATIENT not in said


async def test_the_fault_of_a_worker_is_found_where_it_was_raised() -> None:
    async def work() -> None:
        patient = PATIENT
        raise ValueError(patient)

    def break_down(app: ConsoleApp) -> None:
        app.run_worker(work())

    said = await ended(break_down, Exception)
    assert PATIENT not in said
    assert "in work" in said


def test_textual_still_has_the_hooks_that_are_replaced() -> None:
    source = inspect.getsource(App._handle_exception)
    assert "self._exception = error" in source
    assert "self._fatal_error()" in source
    assert "self.panic(error)" in source
    assert "show_locals=True" in inspect.getsource(App._fatal_error)
    assert "CloseMessages" in inspect.getsource(App._close_messages_no_wait)


def test_the_report_names_cause_and_effect_and_only_its_user_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(broken(PATIENT), tmp_path / "new") == 1
    file = tmp_path / "new" / REPORT_NAME
    kept, said = file.read_text(), capsys.readouterr().err
    assert PATIENT not in kept + said
    assert kept.index("builtins.KeyError") < kept.index("builtins.ValueError")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(file) in said
    assert "ValueError in test_fault.py line" in said


def test_without_a_place_for_the_report_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    report(broken(PATIENT), tmp_path / "file")
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert PATIENT not in said


@pytest.mark.parametrize(
    "error", ["KeyError(patient)", "type('R', (Exception,), {'__rich__': str})(patient)"]
)
def test_a_terminal_gets_a_short_message_and_no_name(error: str, tmp_path: Path) -> None:
    with started(error, tmp_path) as terminal:
        assert terminal.wait() == 1
        shown = terminal.output
    assert b"The console has ended by a fault of dicomdock" in shown
    assert b"Miller^Anna" not in shown
    assert b"Miller^Anna" not in (tmp_path / "dicomdock" / REPORT_NAME).read_bytes()


def test_a_terminal_that_nobody_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with started("KeyError(patient)", tmp_path) as terminal:
        assert terminal.process.wait(20) == 1
    assert (tmp_path / "dicomdock" / REPORT_NAME).exists()
