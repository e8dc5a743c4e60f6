"""`plugins`: identifiers, processors and file namers of other distributions, and their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.options import set_run
from engine.host import terminal

if TYPE_CHECKING:
    import argparse


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add the command that lists plugins."""
    set_run(parser, _plugins)
    parser.set_defaults(needs_data=False)


def _plugins(arguments: argparse.Namespace) -> int:
    from engine.identification.installed import load_identifiers
    from engine.plugins.file_namers import load_file_namers
    from engine.processing.installed import load_processors

    infos = [
        *(plugin.info for plugin in load_identifiers()),
        *(plugin.info for plugin in load_processors()),
        *(plugin.info for plugin in load_file_namers()),
    ]
    if arguments.json:
        terminal.print_json({"plugins": [info.to_record() for info in infos]})
    else:
        rows = [
            (
                info.id,
                info.group.rpartition(".")[2],
                info.origin,
                info.said or info.error or "ready",
            )
            for info in infos
        ]
        terminal.print_table(("ID", "KIND", "DISTRIBUTION", "STATE"), rows)
    return int(any(info.error for info in infos))
