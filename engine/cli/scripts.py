"""`script` and `anonymize`: dry runs of scripts, and scripts applied to files."""

from __future__ import annotations

import argparse
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.scripts import ScriptTrial, TrialOutcome
from engine.cli.context import actor
from engine.cli.live import running_engine
from engine.cli.object_names import HELP, MASKED, add_show_values, object_name, stored
from engine.cli.options import add_verb, add_verbs, read_text, set_run
from engine.errors import EngineError
from engine.host import terminal
from engine.model.anonymization import ScriptScope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.anonymize import ElementDifference, LintFinding, Profile, Script, ScriptContext
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


_REJECTED = 3
_WIDEST = 60
_DIFF = "print what was removed, changed and added, and texts that are kept and may tell a person"
_RETAINABLE = ("uids", "device", "institution", "patient-characteristics", "dates")
_VARIABLES = ("project", "subject", "session")


class NothingToDo(EngineError):
    """The command names no file, or an output that does not fit the input."""

    title = "Nothing was anonymized"
    exit_code = 2


def add_anonymize(parser: argparse.ArgumentParser) -> None:
    """Add the command that applies a script to files."""
    set_run(parser, _anonymize)
    add = parser.add_argument
    add("script", metavar="SCRIPT", help="a DicomEdit 6 script")
    add("inputs", metavar="IN", nargs="+", type=Path, help="DICOM files and folders")
    add("-o", "--output", metavar="OUT", type=Path, required=True, help="a new file, or a folder")
    for name in _VARIABLES:
        add(
            f"--{name}",
            metavar="TEXT",
            default=argparse.SUPPRESS,
            help=f"the script's variable {name}",
        )
    add("--lookup", metavar="FILE", help="a table of lines keytype/key = value")
    add("--uid-map", metavar="FILE", type=Path, help="remember mapped UIDs here (SQLite)")
    add("--script-id", metavar="N", type=int, default=0, help="record this number in (0012,0064)")
    add("--mark", metavar="METHOD", default="", help="write (0012,0062) YES and (0012,0063) METHOD")
    add("--diff", action="store_true", help=_DIFF)
    words = "with --diff: show the values, which may tell who a patient is"
    add("--show-values", action="store_true", help=words)
    _add_profile(parser)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    first = "apply the basic profile of PS3.15 before the script"
    add("--profile", action="store_true", help=first)
    kept = f"with --profile: keep {', '.join(_RETAINABLE)}; repeatable"
    repeated: dict[str, Any] = {"action": "append", "default": [], "choices": _RETAINABLE}
    add("--retain", metavar="WHAT", help=kept, **repeated)
    add("--shift-days", type=int, metavar="N", help="with --profile: keep dates, moved by N days")


@dataclass(frozen=True, slots=True)
class _Result:
    """The outcome of one file."""

    source: Path
    target: Path
    outcome: str
    """ok, rejected or failed."""
    reason: str = ""
    remedy: str = ""
    differences: tuple[ElementDifference, ...] = ()

    def to_record(self) -> dict[str, object]:
        """Return the outcome as JSON."""
        record = asdict(self) | {"source": str(self.source), "target": str(self.target)}
        return record | {"differences": [asdict(d) for d in self.differences]}


def _anonymize(arguments: argparse.Namespace) -> int:
    script = read_script(arguments.script)
    profile = _profile(arguments)
    pairs = list(_pairs(arguments.inputs, arguments.output))
    if not pairs:
        raise NothingToDo("there is no file in the folders named", "name files, or other folders")
    results = []
    with _surroundings(arguments) as script_context:
        for source, target in pairs:
            result = _edit(script, source, target, script_context, profile, arguments)
            results.append(result)
            if not arguments.json:
                _print(result)
    if arguments.json:
        terminal.print_json({"objects": [result.to_record() for result in results]})
    return _exit_code(results)


@contextmanager
def _surroundings(arguments: argparse.Namespace) -> Iterator[ScriptContext]:
    from engine.anonymize import LookupTable, ScriptContext
    from engine.state.uid_maps import SqliteUidMaps, open_own_file

    lines = read_text(arguments.lookup).splitlines() if arguments.lookup else ()
    around = ScriptContext(lookup=LookupTable.parse(lines))
    if arguments.uid_map is None:
        yield around
        return
    with closing(SqliteUidMaps(arguments.uid_map, open_own_file)) as maps:
        yield replace(around, uid_maps=maps)


def _profile(arguments: argparse.Namespace) -> Profile | None:
    from engine.anonymize import Profile, Retain

    if arguments.profile:
        return Profile(frozenset(map(Retain, arguments.retain)), arguments.shift_days)
    if arguments.retain or arguments.shift_days is not None:
        raise NothingToDo("--retain and --shift-days need --profile", "add --profile")
    return None


def _pairs(inputs: list[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Yield every file with its output; folders keep their structure."""
    single = len(inputs) == 1 and not inputs[0].is_dir() and not output.is_dir()
    if single:
        yield inputs[0], output
        return
    for name in inputs:
        if not name.is_dir():
            yield name, output / name.name
            continue
        for found in sorted(name.rglob("*")):
            # The output may be a folder below an input: its files are no input.
            inside = found.is_relative_to(output) and output != name
            if found.is_file() and not inside:
                yield found, output / found.relative_to(name)


def _edit(
    script: Script,
    source: Path,
    target: Path,
    script_context: ScriptContext,
    profile: Profile | None,
    arguments: argparse.Namespace,
) -> _Result:
    """Edit one file; a failure is its outcome, so that the others go on."""
    from engine.anonymize import ScriptOutcome, edit_file

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        outcome = edit_file(
            source,
            target,
            [script] if profile is None else [profile, script],
            {name: text for name, text in vars(arguments).items() if name in _VARIABLES},
            script_context=script_context,
            script_ids=[arguments.script_id] if arguments.script_id else (),
            mark=arguments.mark,
            # In memory, which a command may take; reception refuses deflated objects.
            deflated=True,
        )
        found = _differences(source, target, arguments) if outcome is ScriptOutcome.OK else ()
    except FileExistsError:
        remedy = "remove it, or choose another -o"
        return _Result(source, target, "failed", f"{target} exists already", remedy)
    except EngineError as error:
        return _Result(source, target, "failed", error.detail, error.remedy)
    except OSError as error:
        return _Result(source, target, "failed", error.strerror or str(error))
    return _Result(source, target, str(outcome), differences=found)


def _differences(
    source: Path, target: Path, arguments: argparse.Namespace
) -> tuple[ElementDifference, ...]:
    if not arguments.diff:
        return ()
    from engine.anonymize import differences, read_object

    with source.open("rb") as before, target.open("rb") as after:
        objects = (read_object(file, deflated=True) for file in (before, after))
        return differences(*objects, masked=not arguments.show_values, telling=True)


def _print(result: _Result) -> None:
    if result.outcome == "failed":
        terminal.say(f"{result.source}: {result.reason}")
        if result.remedy:
            terminal.say(f"  → {result.remedy}")
    elif result.outcome == "rejected":
        terminal.say(f"{result.source}: rejected by the script")
    else:
        terminal.say(f"{result.source}: written to {result.target}")
    if result.differences:
        heads = ("ELEMENT", "KEYWORD", "CHANGE", "BEFORE", "AFTER")
        rows = [
            (d.path, d.keyword, d.change, _cut(d.before), _cut(d.after)) for d in result.differences
        ]
        terminal.print_table(heads, rows)


def _cut(text: str | None) -> str:
    """Shorten a text for a table; JSON has the whole text."""
    shown = text or ""
    return shown if len(shown) <= _WIDEST else f"{shown[:_WIDEST]}…"


def _exit_code(results: list[_Result]) -> int:
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        return EngineError.exit_code
    return _REJECTED if "rejected" in outcomes else 0
