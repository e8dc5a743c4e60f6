"""`script`: what is wrong with an anonymization script, what it would do, and XNAT's own."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.files import read_text
from engine.cli.options import add_verb, add_verbs
from engine.cli.script_trials import add_try

if TYPE_CHECKING:
    import argparse

    from engine.anonymize import Finding, Script

_FOUND = 1


def add_script(command: argparse.ArgumentParser) -> None:
    """Add the commands that look at scripts."""
    verbs = add_verbs(command)
    check = add_verb(verbs, "check", _check, "check a script and list its traps")
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
    from engine.anonymize import ScriptError, left_by, lint

    try:
        script = read_script(arguments.file)
        findings, left = lint(script), left_by(script)
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
        _print(findings)
        if left:
            names = ", ".join(f"{text.name} {text.path}" for text in left)
            terminal.say(f"neither this script nor the basic profile removes: {names}")
    return _FOUND if findings else 0


def _print(findings: tuple[Finding, ...]) -> None:
    rows = [(f.line, f.trap, f.message, f.remedy) for f in findings]
    terminal.print_table(("LINE", "TRAP", "MESSAGE", "REMEDY"), rows)
    if not findings:
        terminal.say("the script is valid")
