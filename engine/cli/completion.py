"""`completion`: what a shell needs to complete our commands, and the answers it asks for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine import terminal

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands

SHELLS = ("bash", "zsh", "fish")
_ASKED = "_ARGCOMPLETE"


def add_completion(commands: Commands) -> None:
    """Add the command that prints what a shell reads."""
    words = 'print what a shell reads to complete commands, such as: eval "$(... bash)"'
    parser = commands.add_parser("completion", help=words, description=f"P{words[1:]}.")
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_completion)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit; return at once if none does."""
    if _ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def _completion(arguments: argparse.Namespace) -> None:
    from argcomplete.shell_integration import shellcode

    terminal.print_text(shellcode(["dicomdock"], shell=arguments.shell))
