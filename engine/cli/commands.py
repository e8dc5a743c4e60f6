"""The commands there are, in the order of the help.

What a command needs is imported when the command is given and not before: all of them together
take longer to import than the console takes to draw.
"""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, NamedTuple

from engine.cli.options import Parser

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands


class Command(NamedTuple):
    """One command."""

    name: str
    words: str
    """What it does, for the help."""
    adds: str
    """The module here, and its function that adds options, verbs and what is run to a parser."""
    as_caller: bool = False
    """Whether it has nothing to do with a data directory, and so keeps the caller's rights."""

    def fill(self, parser: argparse.ArgumentParser) -> None:
        """Add what the command takes, now that it is given."""
        pkgutil.resolve_name(f"{__package__}.{self.adds}")(parser)


COMMANDS = (
    Command("engine", "run the engine without a console", "running:add_engine"),
    Command("receivers", "list and change receivers", "receivers:add_receivers"),
    Command("whitelist", "try, review and extend whitelists", "whitelist:add_whitelist"),
    Command("projects", "list and change projects", "projects:add_projects"),
    Command(
        "processors",
        "list and change processors (custom processing)",
        "processors:add_processors",
    ),
    Command(
        "study-routes",
        "list and change where announced studies go (identifier studyRouting)",
        "study_routes:add_study_routes",
    ),
    Command("sessions", "show, archive, move and delete sessions", "sessions:add_sessions"),
    Command("objects", "look at single objects of the running engine", "objects:add_objects"),
    Command(
        "trace",
        "tell what became of a SOP instance, a study, an accession number or a patient ID",
        "tracing:add_trace",
    ),
    Command(
        "check",
        "compare the index with the disk and add up what became of every object",
        "check:add_check",
    ),
    Command("site", "show and change the site settings", "site:add_site"),
    Command("config", "show and bring back revisions of the configuration", "revisions:add_config"),
    Command(
        "import-xnat",
        "tell what the receivers of an XNAT would change, or import them",
        "xnat:add_import_xnat",
    ),
    Command(
        "export-xnat",
        "print receivers as XNAT's POST takes them: a list, or one record if one is named",
        "xnat:add_export_xnat",
    ),
    Command(
        "plugins",
        "list identifiers, processors and file namers, and their errors",
        "plugins:add_plugins",
    ),
    Command(
        "route", "show where files would be filed and why, without filing them", "route:add_route"
    ),
    Command(
        "rule", "explain what one routing rule makes of a value", "rule:add_rule", as_caller=True
    ),
    Command(
        "anonymize",
        "apply a DicomEdit 6 script to files",
        "anonymize:add_anonymize",
        as_caller=True,
    ),
    Command("script", "check and try anonymization scripts", "scripts:add_script"),
    Command(
        "forwarding",
        "show and steer the copies that Forward copy processors send on",
        "forwarding:add_forwarding",
    ),
    Command(
        "commands",
        "show and drop what Command processors have to run",
        "command_queue:add_queue",
    ),
    Command("echo", "ask a peer whether it answers (C-ECHO)", "peers:add_echo", as_caller=True),
    Command(
        "send",
        "send files to a peer as they are encoded (C-STORE)",
        "peers:add_send",
        as_caller=True,
    ),
    Command(
        "selftest",
        "send a marked object to a receiver of the running engine, and remove it again",
        "selftest:add_selftest",
    ),
    Command("status", "show what runs and what is configured", "running:add_status"),
    Command("events", "show what happened, oldest first", "events:add_events"),
    Command("health", "say whether all is well with the running engine", "monitoring:add_health"),
    Command(
        "metrics",
        "print what the running engine has counted, as Prometheus reads it",
        "monitoring:add_metrics",
    ),
    Command("alerts", "tell people, by a command or a webhook, what is wrong", "alerts:add_alerts"),
    Command(
        "associations",
        "show and abort associations of the running engine",
        "live:add_associations",
    ),
    Command("senders", "who sends to the running engine", "senders:add_senders"),
    Command("service", "run as a systemd service", "service:add_service", as_caller=True),
    Command(
        "support-bundle",
        "write an archive for support: versions, settings, events and metrics, all masked",
        "support:add_support_bundle",
    ),
    Command(
        "completion",
        'print what a shell reads to complete commands, such as: eval "$(... bash)"',
        "completion:add_completion",
        as_caller=True,
    ),
)


def add_commands(commands: Commands, *, at_once: bool) -> None:
    """Add all commands; what they take is added when they are given, or at once."""
    for command in COMMANDS:
        words = command.words
        described = f"{words[:1].upper()}{words[1:]}."
        parser = commands.add_parser(command.name, help=words, description=described)
        assert isinstance(parser, Parser)
        parser.late = command.fill
        parser.set_defaults(as_caller=command.as_caller)
        if at_once:
            parser.fill()
