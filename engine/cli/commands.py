"""The table of all commands, in the order of the help.

The module of a command is imported only when the command is given: all of them together take longer
to import than the console takes to draw.
"""

from __future__ import annotations

import os
import pkgutil
from typing import TYPE_CHECKING, NamedTuple

from engine.cli.options import set_run
from engine.cli.parser import Parser
from engine.host import terminal

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands


class CommandEntry(NamedTuple):
    """One command."""

    name: str
    words: str
    """Its line in the help."""
    adds: str
    """Module and function that add options, verbs and the function to run to a parser."""
    as_caller: bool = False
    """Whether it needs no data directory, and so keeps the caller's rights."""
    by_api: bool = False
    """Whether the control API is enough for it, so that members of its group need no more."""

    def fill(self, parser: argparse.ArgumentParser) -> None:
        """Add the options of the command, now that it is given."""
        pkgutil.resolve_name(f"{__package__}.{self.adds}")(parser)


COMMANDS = (
    CommandEntry("engine", "run the engine without a console", "running:add_engine"),
    CommandEntry("receivers", "list and change receivers", "receivers:add_receivers"),
    CommandEntry("whitelist", "test, review and extend whitelists", "whitelist:add_whitelist"),
    CommandEntry("projects", "list and change projects", "projects:add_projects"),
    CommandEntry(
        "processors",
        "list and change processors (custom processing)",
        "processors:add_processors",
    ),
    CommandEntry(
        "study-routes",
        "list and change the routes of announced studies (identifier studyRouting)",
        "study_routes:add_study_routes",
    ),
    CommandEntry("sessions", "show, archive, move and delete sessions", "sessions:add_sessions"),
    CommandEntry(
        "objects", "show single objects of the running engine", "objects:add_objects", by_api=True
    ),
    CommandEntry(
        "trace",
        "find a SOP instance, a study, an accession number or a patient ID",
        "sessions:add_trace",
    ),
    CommandEntry(
        "check",
        "compare the index with the disk, and count the objects by their states",
        "monitoring:add_check",
    ),
    CommandEntry(
        "backup",
        "write a backup of the data directory while the engine runs, or check one",
        "backup:add_backup",
    ),
    CommandEntry(
        "restore", "make a data directory from a backup, without an engine", "backup:add_restore"
    ),
    CommandEntry("site", "show and change the site settings", "site:add_site"),
    CommandEntry(
        "config",
        "show, restore, export and apply the configuration",
        "revisions:add_config",
    ),
    CommandEntry(
        "import-xnat",
        "show the changes that importing an XNAT or its receivers would make, or import them",
        "xnat:add_import_xnat",
    ),
    CommandEntry(
        "export-xnat",
        "print receivers as XNAT's POST takes them: a list, or one record if one is named",
        "xnat:add_export_xnat",
    ),
    CommandEntry(
        "plugins",
        "list identifiers, processors and file namers, and their errors",
        "plugins:add_plugins",
    ),
    CommandEntry(
        "route", "show where files would be filed and why, without filing them", "route:add_route"
    ),
    CommandEntry(
        "rule", "explain the result of a routing rule for a value", "route:add_rule", as_caller=True
    ),
    CommandEntry(
        "anonymize",
        "apply a DicomEdit 6 script to files",
        "anonymize:add_anonymize",
        as_caller=True,
    ),
    CommandEntry("script", "check and try anonymization scripts", "scripts:add_script"),
    CommandEntry(
        "forwarding",
        "show, retry and drop the copies of Forward copy processors",
        "forwarding:add_forwarding",
    ),
    CommandEntry(
        "peers", "list and change peers that the engine may call", "known_peers:add_peers"
    ),
    CommandEntry(
        "commitments",
        "show requests for storage commitment, and tell their results again",
        "commitments:add_commitments",
    ),
    CommandEntry(
        "commands",
        "show and drop the queued runs of Command processors",
        "command_queue:add_queue",
    ),
    CommandEntry(
        "echo", "test the connection to a peer (C-ECHO)", "peers:add_echo", as_caller=True
    ),
    CommandEntry(
        "send",
        "send files to a peer without changing their encoding (C-STORE)",
        "peers:add_send",
        as_caller=True,
    ),
    CommandEntry(
        "selftest",
        "send a marked object to a receiver of the running engine, and remove it again",
        "live:add_selftest",
    ),
    CommandEntry(
        "import",
        "import files, folders, archives and media into a receiver of the running engine",
        "imports:add_import",
    ),
    CommandEntry("status", "show the engine and its receivers", "running:add_status"),
    CommandEntry("events", "show events, oldest first", "events:add_events"),
    CommandEntry(
        "health", "check the health of the running engine", "monitoring:add_health", by_api=True
    ),
    CommandEntry(
        "metrics",
        "print the metrics of the running engine in Prometheus' format",
        "monitoring:add_metrics",
        by_api=True,
    ),
    CommandEntry("alerts", "send alerts by a command or a webhook", "alerts:add_alerts"),
    CommandEntry(
        "associations",
        "show and abort associations of the running engine",
        "live:add_associations",
        by_api=True,
    ),
    CommandEntry(
        "senders", "show the senders of the running engine", "live:add_senders", by_api=True
    ),
    CommandEntry("service", "run as a systemd service", "service:add_service", as_caller=True),
    CommandEntry(
        "support-bundle",
        "write an archive for support: versions, settings, events and metrics, all masked",
        "monitoring:add_support_bundle",
    ),
    CommandEntry(
        "completion",
        'print the completion code for a shell, such as: eval "$(... bash)"',
        "commands:add_completion",
        as_caller=True,
    ),
    CommandEntry("help", "show the help of a command", "commands:add_help", as_caller=True),
    CommandEntry("version", "show the version", "commands:add_version", as_caller=True),
)

HEADINGS = {
    "engine": ("engine", "demo", "status", "health", "metrics", "events", "alerts", "service"),
    "configuration": (
        *("receivers", "whitelist", "projects", "processors", "study-routes", "peers", "site"),
        *("config", "import-xnat", "export-xnat", "plugins"),
    ),
    "received data": (
        *("sessions", "objects", "trace", "associations", "senders", "check", "backup", "restore"),
    ),
    "sending": ("forwarding", "commitments", "commands", "import", "send", "echo"),
    "trying and testing": ("selftest", "route", "rule", "script", "anonymize"),
    "program": ("help", "version", "completion", "support-bundle"),
}
"""The sections of the help; a command that is in none stands after them."""


def add_commands(commands: Commands, *, at_once: bool) -> None:
    """Add all commands; their options are added when they are given, or at once."""
    for command in COMMANDS:
        words = command.words
        described = f"{words[:1].upper()}{words[1:]}."
        parser = commands.add_parser(command.name, help=words, description=described)
        assert isinstance(parser, Parser)
        parser.late = command.fill
        parser.set_defaults(as_caller=command.as_caller, by_api=command.by_api, needs_data=True)
        if at_once:
            parser.fill()


SHELLS = ("bash", "zsh", "fish")
_ASKED = "_ARGCOMPLETE"


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the command that prints the completion code of a shell."""
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=_completion)


def is_asked() -> bool:
    """Tell whether a shell asks for completions; then all commands need their options."""
    return _ASKED in os.environ


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit; return at once if none does."""
    if is_asked():
        # Only for a shell that asks: every command would have to wait for it.
        import argcomplete

        from engine.cli.completions import attach

        attach(parser)
        argcomplete.autocomplete(parser)


def add_help(parser: argparse.ArgumentParser) -> None:
    """Add the command that shows the help of another one."""
    words = "a command and its verb (default: all commands)"
    parser.add_argument("words", metavar="WORD", nargs="*", help=words)
    parser.set_defaults(run=_help)


def _help(arguments: argparse.Namespace) -> None:
    arguments.parser.parse_args([*arguments.words, "--help"])


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add the command that shows the version."""
    set_run(parser, _version)


def _version(arguments: argparse.Namespace) -> None:
    from engine import __version__

    if arguments.json:
        return terminal.print_json({"version": __version__})
    return terminal.print_text(f"dicomdock {__version__}")


def _completion(arguments: argparse.Namespace) -> None:
    from argcomplete.shell_integration import shellcode

    terminal.print_text(shellcode(["dicomdock"], shell=arguments.shell))
