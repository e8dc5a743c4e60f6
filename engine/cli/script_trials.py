"""`script try`: what a script would do to an object of the running engine; nothing is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import actor
from engine.cli.files import read_text
from engine.cli.live import running_engine
from engine.cli.object_names import HELP, object_name, stored
from engine.cli.objects import MASKED, add_show_values
from engine.cli.options import add_verb
from engine.model.anonymization import ScriptScope
from engine.view.scripts import ScriptTrial, TrialOutcome

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands
    from engine.view.scripts import ScriptPreview

_EXIT_CODES = {
    TrialOutcome.EDITED: 0,
    TrialOutcome.REJECTED: 3,
    TrialOutcome.FAILED: 1,
    TrialOutcome.INVALID: 2,
}


def add_try(verbs: Commands) -> None:
    """Add the verb that tries a script."""
    parser = add_verb(verbs, "try", _try, "show what a script would do to an object")
    parser.add_argument("object", metavar="OBJECT", type=object_name, help=HELP)
    file = "a DicomEdit 6 script, - for standard input (default: the saved one)"
    parser.add_argument("file", metavar="FILE", nargs="?", help=file)
    project = "in the place of this project's script (default: of the site's)"
    parser.add_argument("--project", metavar="ID", default="", help=project)
    as_received = "on the header as it arrived, while it is in memory"
    parser.add_argument("--as-received", action="store_true", help=as_received)
    parser.add_argument("--all", action="store_true", help="show equal elements too")
    add_show_values(parser)


def _try(arguments: argparse.Namespace) -> int:
    trial = ScriptTrial(
        ScriptScope.PROJECT if arguments.project else ScriptScope.SITE,
        arguments.project,
        read_text(arguments.file) if arguments.file is not None else None,
    )
    received = arguments.as_received
    options = {"as_received": received, "equal": arguments.all}
    with running_engine(arguments) as engine:
        named = arguments.object if received else stored(engine, arguments.object)
        if arguments.show_values:
            made = engine.scripts.shown_preview(trial, named, actor(), **options)
        else:
            made = engine.scripts.preview(trial, named, **options)
    if arguments.json:
        terminal.print_json(asdict(made))
    else:
        _print(made)
    return _EXIT_CODES[made.outcome]


def _print(made: ScriptPreview) -> None:
    if made.outcome is TrialOutcome.EDITED:
        rows = [(str(r.change), r.path, r.keyword, r.before, r.after) for r in made.rows]
        terminal.print_table(("CHANGE", "ELEMENT", "KEYWORD", "BEFORE", "AFTER"), rows)
        if not rows:
            terminal.say("nothing would change")
        if not made.complete:
            terminal.say("not all of the object was tried")
    else:
        line = f"line {made.line}: " if made.line else ""
        why = "; ".join(filter(None, (f"{line}{made.why}", made.remedy)))
        terminal.say(f"{made.outcome}: {why}")
    if any(row.masked for row in made.rows):
        terminal.say(MASKED)
