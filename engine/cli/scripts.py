"""`script`: checks of scripts, and dry runs of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.api.scripts import ScriptTrial, TrialOutcome
from engine.cli.context import actor
from engine.cli.live import running_engine
from engine.cli.object_names import HELP, MASKED, add_show_values, object_name, stored
from engine.cli.options import add_verb, add_verbs, read_text
from engine.host import terminal
from engine.model.anonymization import ScriptScope

if TYPE_CHECKING:
    import argparse

    from engine.anonymize import LintFinding, Script
    from engine.api.scripts import ScriptPreview
    from engine.cli.options import Commands


_EXIT_CODES = {
    TrialOutcome.EDITED: 0,
    TrialOutcome.REJECTED: 3,
    TrialOutcome.FAILED: 1,
    TrialOutcome.INVALID: 2,
}


def add_try(verbs: Commands) -> None:
    """Add the verb that tries a script."""
    parser = add_verb(verbs, "try", _try, "show the effect of a script on an object")
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
        _print_preview(made)
    return _EXIT_CODES[made.outcome]


def _print_preview(made: ScriptPreview) -> None:
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


_FOUND = 1


def add_script(command: argparse.ArgumentParser) -> None:
    """Add the commands about scripts."""
    verbs = add_verbs(command)
    check = add_verb(verbs, "check", _check, "check a script, and list probable mistakes")
    check.add_argument("file", metavar="FILE", help="a DicomEdit 6 script; - for standard input")
    add_try(verbs)
    add_verb(verbs, "default", _default, "print XNAT's script for a site, which only relabels")


def read_script(name: str) -> Script:
    """Parse the script in a file; raises as `Script.parse` and `read_text` do."""
    from engine.anonymize import Script  # Lark and pydicom, which take a while

    return Script.parse(read_text(name), name)


def _default(arguments: argparse.Namespace) -> None:
    from engine.anonymize import DEFAULT_SITE_SCRIPT

    if arguments.json:
        return terminal.print_json({"text": DEFAULT_SITE_SCRIPT})
    return terminal.print_text(DEFAULT_SITE_SCRIPT)


def _check(arguments: argparse.Namespace) -> int:
    from engine.anonymize import ScriptError, lint, texts_kept_by

    try:
        script = read_script(arguments.file)
        findings, left = lint(script), texts_kept_by(script)
    except ScriptError as error:
        if not arguments.json:
            raise
        problems = [terminal.problem_record(problem) for problem in error.problems]
        terminal.print_json({"valid": False, "errors": problems, "findings": [], "left": []})
        return error.exit_code
    if arguments.json:
        records = [asdict(finding) for finding in findings]
        texts = [{"path": text.path, "name": text.name} for text in left]
        terminal.print_json({"valid": True, "errors": [], "findings": records, "left": texts})
    else:
        _print_findings(findings)
        if left:
            names = ", ".join(f"{text.name} {text.path}" for text in left)
            terminal.say(f"neither this script nor the basic profile removes: {names}")
    return _FOUND if findings else 0


def _print_findings(findings: tuple[LintFinding, ...]) -> None:
    rows = [(f.line, f.trap, f.message, f.remedy) for f in findings]
    terminal.print_table(("LINE", "TRAP", "MESSAGE", "REMEDY"), rows)
    if not findings:
        terminal.say("the script is valid")
