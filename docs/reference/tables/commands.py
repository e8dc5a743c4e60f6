"""Commands, options and examples, for the page and for the manual page."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.cli.examples import examples_of
from tables.markdown import code, table
from tui.cli import console_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANUAL_HEAD = """\
.TH DICOMDOCK 1
.SH NAME
dicomdock \\- a DICOM receiving dock with a terminal admin console
.SH SYNOPSIS
.B dicomdock
[options] [COMMAND ...]
.SH DESCRIPTION
Without a command it opens the console. Standard output is data, everything else goes to standard
error. \\-\\-json makes the output JSON. \\-\\-data may stand anywhere, other options of the
program stand before the command.
"""
_MANUAL_END = """\
.SH FILES
.TP
$DICOMDOCK_DATA
the data directory, unless \\-\\-data names another one; else the user's data directory
.SH EXIT STATUS
0 fine; 1 the answer is "no"; 2 wrong usage or configuration; 3 another engine has the directory;
4 not found, or no engine runs; 5 the directory can't be used; 6 the configuration was changed
meanwhile; 7 a session's state does not allow it; 8 a peer or the engine does not answer; 9 a peer
rejects; 10 not confirmed.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One command that does something, or a group of commands with its description only."""

    words: str
    parser: argparse.ArgumentParser
    is_group: bool

    @property
    def actions(self) -> list[argparse.Action]:
        """Return what can be given: positional arguments first."""
        known = [a for a in self.parser._actions if a.help != argparse.SUPPRESS]
        given = [a for a in known if not isinstance(a, argparse._SubParsersAction | _HELP)]
        if self.words:  # every command has it: it is explained once
            given = [a for a in given if a.dest != "data"]
        return sorted(given, key=lambda action: bool(action.option_strings))

    @property
    def examples(self) -> list[str]:
        """Return the examples of its help."""
        return list(examples_of(self.parser.prog))

    @property
    def usage(self) -> str:
        """Return the shortest form: what must be given."""
        actions = self.actions
        required = [a for a in actions if not a.option_strings or a.required]
        parts = [" ".join((*a.option_strings[-1:], *_values(a))) for a in required]
        more = ["[options]"] if len(required) < len(actions) else []
        return " ".join(("dicomdock", *filter(None, (self.words, *parts, *more))))


_HELP = argparse._HelpAction


def commands() -> list[Command]:
    """Return all commands, in the order of the help; the program itself is the first."""
    return list(_below(console_parser(), ""))


def _below(parser: argparse.ArgumentParser, words: str) -> Iterator[Command]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    yield Command(words, parser, bool(groups))
    for name, below in (item for group in groups for item in group.choices.items()):
        below.fill()
        yield from _below(below, f"{words} {name}".strip())


def option_texts(words: str) -> dict[str, str]:
    """Return the help of a command's options, by the names of what they set."""
    (command,) = [each for each in commands() if each.words == words]
    # Of a pair of options for one field, the first switches it on.
    return {action.dest: _explained(action) for action in reversed(command.actions)}


def command_pages() -> str:
    """Return a section for each command."""
    return "\n\n".join(_section(command) for command in commands())


def _section(command: Command) -> str:
    depth = 2 + command.words.count(" ")
    parts = [f"{'#' * depth} {command.words or 'The program'}", command.parser.description or ""]
    if not command.is_group or not command.words:
        parts.append(f"```text\n{command.usage}\n```")
    rows = [(_written(a), _explained(a)) for a in command.actions]
    if rows:
        parts.append(table(("argument", "meaning"), rows))
    if command.examples:
        parts.append("```text\n" + "\n".join(command.examples) + "\n```")
    return "\n\n".join(filter(None, parts))


def _written(action: argparse.Action) -> str:
    values = " ".join(_values(action))
    if not action.option_strings:
        return code(values)
    return ", ".join(code(f"{option} {values}".strip()) for option in action.option_strings)


def _values(action: argparse.Action) -> tuple[str, ...]:
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return ()
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    name = str(action.metavar or choices or action.dest.upper())
    many = {"*": f"[{name} ...]", "+": f"{name} ...", "?": f"[{name}]"}
    return (many.get(str(action.nargs), name),)


def _explained(action: argparse.Action) -> str:
    words = (action.help or "") % {"prog": "dicomdock", "default": action.default}
    return words.replace("<", "&lt;").replace("*", "\\*")


def manual() -> str:
    """Return the manual page ``dicomdock.1``."""
    parts = [_MANUAL_HEAD]
    for command in commands():
        words = command.words
        title = f'.SS "{_roff(command.usage)}"' if words else ".SH OPTIONS"
        if words and not command.is_group:
            parts += [title, _roff(command.parser.description or "")]
        elif not words:
            parts.append(title)
        parts += [
            f".TP\n\\fB{_roff(_written(a).replace('`', ''))}\\fR\n{_roff(a.help or '')}"
            for a in command.actions
        ]
        if command.examples:
            parts.append(".P\n.nf\n" + "\n".join(map(_roff, command.examples)) + "\n.fi")
        if not words:
            parts.append(".SH COMMANDS")
    return "\n".join(part.rstrip("\n") for part in (*parts, _MANUAL_END)) + "\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
