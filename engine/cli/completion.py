"""`completion`: what a shell needs to complete our commands, and the answers it asks for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.host import terminal

if TYPE_CHECKING:
    import argparse


SHELLS = ("bash", "zsh", "fish")
_ASKED = "_ARGCOMPLETE"


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the command that prints what a shell reads."""
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_completion)


def is_asked() -> bool:
    """Tell whether a shell asks for completions, which may be of any command."""
    return _ASKED in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit; return at once if none does."""
    if is_asked():
        import argcomplete

        argcomplete.autocomplete(parser)


def _completion(arguments: argparse.Namespace) -> None:
    from argcomplete.shell_integration import shellcode

    terminal.print_text(shellcode(["dicomdock"], shell=arguments.shell))
