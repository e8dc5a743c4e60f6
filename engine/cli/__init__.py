"""The command line: stdout is data, stderr is everything else; no console and no Textual.

One module per group of commands; `context` knows what they act on, `options` how they are declared.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from engine.cli.commands import HEADINGS, add_commands, complete, is_asked
from engine.cli.context import actor, require_data_directory, settings_of
from engine.cli.parser import Parser, ShowVersion, UsageError
from engine.cli.running import add_engine_options, load_ahead
from engine.errors import EngineError, NotTheOwner
from engine.host import terminal
from engine.host.lock import EngineLock
from engine.host.owner import ON_BEHALF, act_for_caller, become_owner, belongs_to_another

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from engine.cli.options import Commands

__all__ = [
    "actor",
    "add_engine_options",
    "build_parser",
    "load_ahead",
    "main",
    "run",
    "settings_of",
]

_logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the engine and return the exit code."""
    parser, commands = build_parser("python -m engine")
    commands.required = True
    return run(parser, argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse the command line and run the command; print errors, and return the exit code.

    As root, the process first becomes the owner of the data directory, unless the command needs
    none (``as_caller``).
    """
    # Other users must not read what a command writes.
    os.umask(0o027)
    terminal.accept_any_text()
    complete(parser)
    try:
        arguments = parser.parse_args(argv)
        arguments.parser = parser
    except UsageError as error:
        terminal.print_error(error, as_json="--json" in (sys.argv if argv is None else argv))
        return error.exit_code
    as_json = getattr(arguments, "json", False)
    try:
        # Else root would follow links and run programs that the owner has chosen.
        if not getattr(arguments, "as_caller", False):
            become_owner(settings_of(arguments).data_dir)
        code = _handed_over(arguments, sys.argv[1:] if argv is None else argv)
        if code is None:
            code = _run_here(arguments)
        # Here, where it is caught: a closed pipe is noticed only when the output is flushed.
        terminal.flush()
    except NotTheOwner as error:  # import nothing: this user may be unable to read our code
        terminal.print_error(error, as_json=as_json)
        code = error.exit_code
    except EngineError as error:
        told = _explained(error, arguments) or error
        terminal.print_error(told, as_json=as_json)
        code = told.exit_code
    except BrokenPipeError:
        code = terminal.stop_writing()
    except KeyboardInterrupt:
        # As shells report a program that a signal has ended.
        code = 128 + signal.SIGINT
    except Exception as error:
        _logger.debug("a command failed", exc_info=True)
        told = _explained(error, arguments) or terminal.fault(error)
        terminal.print_error(told, as_json=as_json)
        code = told.exit_code
    return int(code or 0)


def _run_here(arguments: argparse.Namespace) -> int | None:
    if not getattr(arguments, "as_caller", False):
        require_data_directory(arguments)
    return arguments.run(arguments)  # type: ignore[no-any-return]


def _handed_over(arguments: argparse.Namespace, argv: Sequence[str]) -> int | None:
    """Let the engine run the command if the data directory is another user's.

    Returns its exit code; None if this process is to run it. The console and some commands need
    the control API only, and `engine` says itself what is wrong.

    Raises:
        NotTheOwner: if there is no engine to run it, or it is for other users.
        AlreadyRunning: if the engine does not answer.
    """
    if getattr(arguments, "as_caller", False):
        return None
    settings = settings_of(arguments)
    if ON_BEHALF in os.environ:
        holder = EngineLock.holder(settings.lock_file)
        act_for_caller(holder.pid if holder else None)
    if arguments.command in {None, "engine"} or getattr(arguments, "by_api", False):
        return None
    if not belongs_to_another(settings.data_dir):
        return None
    from engine.remote.commands import hand_over

    return hand_over(
        settings.commands_file, ["--data", str(settings.data_dir), *_without_data(argv)]
    )


def _without_data(argv: Sequence[str]) -> Iterator[str]:
    """Yield the arguments but `--data`, whose relative path would mean another folder."""
    left = iter(argv)
    for argument in left:
        if argument == "--data":
            next(left, None)
        elif not argument.startswith("--data="):
            yield argument


def _explained(error: Exception, arguments: argparse.Namespace) -> EngineError | None:
    """Return the error of ownership that caused an error; None if none did."""
    from engine.cli.context import denial

    return denial(error, settings_of(arguments))


def build_parser(program: str) -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with the engine's commands, and its group for further ones."""
    usage = "%(prog)s [OPTION ...] COMMAND ..."
    words = "A DICOM receiving dock."
    parser: argparse.ArgumentParser = Parser(
        program, usage=usage, description=words, headings=HEADINGS
    )
    parser.add_argument("-V", "--version", action=ShowVersion)
    # Without a command the console opens, and starts an engine.
    parser.set_defaults(data=None, needs_data=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=program)
    add_commands(commands, at_once=is_asked())
    return parser, commands
