"""The command line: stdout is data, stderr is everything else; no console and no Textual.

One module per group of commands; `context` knows what they act on, `options` how they are declared.
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from engine import __version__, terminal
from engine.cli.alerts import add_alerts
from engine.cli.anonymize import add_anonymize
from engine.cli.check import add_check
from engine.cli.commands import add_commands
from engine.cli.completion import add_completion, complete
from engine.cli.context import actor, settings_of
from engine.cli.events import add_events
from engine.cli.forwarding import add_forwarding
from engine.cli.live import add_associations
from engine.cli.monitoring import add_monitoring
from engine.cli.objects import add_objects
from engine.cli.options import Parser
from engine.cli.peers import add_peers
from engine.cli.plugins import add_plugins
from engine.cli.processors import add_processors
from engine.cli.projects import add_projects
from engine.cli.receivers import add_receivers
from engine.cli.revisions import add_config
from engine.cli.route import add_route
from engine.cli.rule import add_rule
from engine.cli.running import add_engine, add_engine_options, add_status
from engine.cli.scripts import add_script
from engine.cli.selftest import add_selftest
from engine.cli.senders import add_senders
from engine.cli.service import add_service
from engine.cli.sessions import add_sessions
from engine.cli.site import add_site
from engine.cli.study_routes import add_study_routes
from engine.cli.support import add_support_bundle
from engine.cli.tracing import add_trace
from engine.cli.whitelist import add_whitelist
from engine.cli.xnat import add_xnat
from engine.errors import EngineError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from engine.cli.options import Commands

__all__ = ["actor", "add_engine_options", "build_parser", "main", "run", "settings_of"]

_logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the engine and return the exit code."""
    parser, commands = build_parser("python -m engine")
    commands.required = True
    return run(parser, argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse the command line, run its command, and turn every error into words."""
    os.umask(0o027)
    terminal.accept_any_text()
    complete(parser)
    arguments = parser.parse_args(argv)
    as_json = getattr(arguments, "json", False)
    try:
        code = arguments.run(arguments)
        terminal.flush()
    except EngineError as error:
        terminal.print_error(error, as_json=as_json)
        code = error.exit_code
    except BrokenPipeError:
        code = terminal.stop_writing()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Exception as error:
        _logger.debug("a command failed", exc_info=True)
        terminal.print_error(terminal.fault(error), as_json=as_json)
        code = EngineError.exit_code
    return int(code or 0)


def build_parser(program: str) -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with the engine's commands, and where further ones are added."""
    parser: argparse.ArgumentParser = Parser(program, description="A DICOM receiving dock.")
    parser.add_argument("--version", action="version", version=f"dicomdock {__version__}")
    data = "the data directory (default: $DICOMDOCK_DATA)"
    parser.add_argument("--data", type=Path, metavar="DIR", help=data)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    add_engine(commands)
    add_receivers(commands)
    add_whitelist(commands)
    add_projects(commands)
    add_processors(commands)
    add_study_routes(commands)
    add_sessions(commands)
    add_objects(commands)
    add_trace(commands)
    add_check(commands)
    add_site(commands)
    add_config(commands)
    add_xnat(commands)
    add_plugins(commands)
    add_route(commands)
    add_rule(commands)
    add_anonymize(commands)
    add_script(commands)
    add_forwarding(commands)
    add_commands(commands)
    add_peers(commands)
    add_selftest(commands)
    add_status(commands)
    add_events(commands)
    add_monitoring(commands)
    add_alerts(commands)
    add_associations(commands)
    add_senders(commands)
    add_service(commands)
    add_support_bundle(commands)
    add_completion(commands)
    return parser, commands
