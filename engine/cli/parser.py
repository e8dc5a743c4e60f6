"""The parser of every command: late options, ``--data`` anywhere, and errors with a remedy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import EngineError
from engine.host import terminal
from engine.model.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class UsageError(EngineError):
    """The command line has an unknown word or option, lacks one, or has an invalid value."""

    title = "The command can't be understood"
    exit_code = 2


class Parser(argparse.ArgumentParser):
    """A parser that gets its options when it is used, and raises errors with a remedy.

    Every parser has ``--data``, so that it may stand before the command or after it.
    """

    late: Callable[[argparse.ArgumentParser], None] | None = None
    """Adds the options of the command; called once, before parsing."""

    def __init__(
        self, *arguments: Any, headings: Mapping[str, Sequence[str]] | None = None, **more: Any
    ) -> None:
        """Make a parser with ``--data``.

        Args:
            arguments: as for any parser.
            headings: the commands of each section of the help; None for one section.
            more: as for any parser.
        """
        # An abbreviation would become ambiguous, or another option, with the next version.
        super().__init__(*arguments, **{"allow_abbrev": False, **more})
        self._headings = headings
        self._given: tuple[str, ...] = ()
        words = "the data directory (default: $DICOMDOCK_DATA, or that of the installed service)"
        # Without a default, so that a command keeps what was given before it.
        self.add_argument("--data", type=Path, metavar="DIR", default=argparse.SUPPRESS, help=words)

    def fill(self) -> None:
        """Add the options, unless that is done."""
        late, self.late = self.late, None
        if late is not None:
            late(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Add the options, then parse as any parser does.

        Raises:
            UsageError: if the command line is wrong.
        """
        self.fill()
        self._given = tuple(sys.argv[1:] if args is None else args)
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            # Here and not in the caller, which has the options of the program only.
            raise self._error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Check a choice; the error has the most similar one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            known = [str(choice) for choice in action.choices or ()]
            hint = did_you_mean(str(value), known)
            if isinstance(action, argparse._SubParsersAction):
                noun = str(action.metavar).lower()
                raise self._error(f"there is no {noun} {str(value)[:40]!r}", hint) from error
            raise self._error(str(error), hint) from error

    def format_help(self) -> str:
        """Return the help, with commands under their headings and examples at its end."""
        # Only for a help: commands need no examples to run.
        from engine.cli.examples import examples_of

        examples = examples_of(self.prog)
        lines = ("", "examples:", *(f"  {example}" for example in examples))
        text = self._grouped_help() if self._headings else super().format_help()
        return text + ("\n".join(lines) + "\n" if examples else "")

    def _grouped_help(self) -> str:
        (commands,) = (a for a in self._actions if isinstance(a, argparse._SubParsersAction))
        # What argparse lists below the commands: it knows no sections.
        listed = {action.dest: action for action in commands._get_subactions()}
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        for heading, names in (self._headings or {}).items():
            formatter.start_section(heading)
            formatter.add_arguments([listed.pop(name) for name in names if name in listed])
            formatter.end_section()
        formatter.start_section("further commands")
        formatter.add_arguments(list(listed.values()))
        formatter.end_section()
        formatter.start_section("options")
        formatter.add_arguments([action for action in self._actions if action is not commands])
        formatter.end_section()
        return formatter.format_help()

    def error(self, message: str) -> NoReturn:
        """Raise the error.

        Raises:
            UsageError: always.
        """
        raise self._error(message)

    def _error(self, message: str, hint: str = "") -> UsageError:
        hint = hint or self._hint_at_option()
        see = f"{self.prog} --help"
        return UsageError(message, f"{hint} See: {see}" if hint else f"see: {see}")

    def _hint_at_option(self) -> str:
        """Return the most similar option for the first one that is unknown."""
        options = (word.partition("=")[0] for word in self._given if word.startswith("--"))
        unknown = next((o for o in options if o not in self._option_string_actions), "")
        return did_you_mean(unknown, self._option_string_actions)


class ShowVersion(argparse.Action):
    """Prints the version and exits; the version is imported on request only."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        words = "show the version and exit"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=words)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the version."""
        from engine import __version__

        terminal.print_text(f"dicomdock {__version__}")
        parser.exit()
