"""`anonymize`: a script applied to files, on all cores or on a cluster."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.cli.options import read_text, set_run
from engine.cli.scripts import read_script
from engine.cli.tally import Line, Tally, add_jobs, add_report, opened_report, require_report
from engine.errors import EngineError
from engine.host import terminal
from engine.model.anonymization import Retain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.anonymize import Profile
    from engine.jobs.anonymizing import AnonymizeJob
    from engine.jobs.coordinator import Executor
    from engine.jobs.file import FileResult, JobFile
    from engine.jobs.report import Report
    from engine.jobs.walk import Inputs
    from engine.state.uid_maps import SqliteUidMaps

_REJECTED = 3
_WIDEST = 60
_DIFF = "print what was removed, changed and added, and texts that are kept and may tell a person"
_RETAINABLE = tuple(map(str, Retain))
_VARIABLES = ("project", "subject", "session")
_WORTH_PROCESSES = 200
"""Files that one process edits in 0.5 s; to start some takes as long (2026)."""


class NothingToDo(EngineError):
    """The command names no file, or an output that does not fit the input."""

    title = "Nothing was anonymized"
    exit_code = 2


def add_anonymize(parser: argparse.ArgumentParser) -> None:
    """Add the command that applies a script to files."""
    set_run(parser, _anonymize)
    add = parser.add_argument
    add("script", metavar="SCRIPT", help="a DicomEdit 6 script")
    add("inputs", metavar="IN", nargs="+", help="DICOM files and folders, or URLs such as s3://…")
    add("-o", "--output", metavar="OUT", required=True, help="a new file, a folder, or a URL")
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
    add_report(parser)
    add_jobs(parser)
    cluster = "work on the Dask cluster of this scheduler, such as tcp://HOST:8786"
    add("--dask", metavar="ADDRESS", default="", help=cluster)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    first = "apply the basic profile of PS3.15 before the script"
    add("--profile", action="store_true", help=first)
    kept = f"with --profile: keep {', '.join(_RETAINABLE)}; repeatable"
    repeated: dict[str, Any] = {"action": "append", "default": [], "choices": _RETAINABLE}
    add("--retain", metavar="WHAT", help=kept, **repeated)
    add("--shift-days", type=int, metavar="N", help="with --profile: keep dates, moved by N days")


def _anonymize(arguments: argparse.Namespace) -> int:
    from engine.jobs.coordinator import run

    require_report(arguments)
    read_script(arguments.script)  # a wrong one is refused before any file is touched
    inputs = _inputs(arguments)
    shows_each = arguments.diff or inputs.is_single
    with ExitStack() as resources:
        settings = _settings(arguments)
        report = resources.enter_context(_report(arguments, settings, inputs))
        key = report.heading["key"] if report is not None else secrets.token_hex(32)
        tally = Tally(inputs.sizes, report)
        work = _Work(arguments, tally, report, shows_each)
        uids = resources.enter_context(_uid_maps(arguments.uid_map))
        job = _job(arguments, settings, key)
        executor, files = _executor(arguments, job, work.files(inputs))
        try:
            with closing(executor), tally.counting():
                for some in run(files, executor, uids):
                    for result in some:
                        work.add(result)
                    if report is not None:
                        report.sync()
        except (EngineError, KeyboardInterrupt):
            if report is not None:
                tally.hint = f"go on with: --report {arguments.report} --resume"
            raise
        finally:
            tally.end()
            if tally.files:
                work.print()
    if not tally.files:
        raise NothingToDo("there is no file in the folders named", "name files, or other folders")
    return _exit_code(tally)


def _inputs(arguments: argparse.Namespace) -> Inputs:
    from engine.jobs.places import is_url
    from engine.jobs.walk import Inputs

    # Absolute, for other processes and other hosts; a slash at the end tells a folder.
    output, *names = (
        name if is_url(name) else f"{Path(name).absolute()}{'/' * name.endswith('/')}"
        for name in (arguments.output, *arguments.inputs)
    )
    if any(name.rstrip("/") == output.rstrip("/") and Path(name).is_dir() for name in names):
        raise NothingToDo("the output is one of the folders that are read", "choose another -o")
    return Inputs(tuple(names), output)


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what decides about the result, as JSON has it."""
    return {
        "script": read_text(arguments.script),
        "lookup": read_text(arguments.lookup) if arguments.lookup else "",
        "variables": {n: text for n, text in vars(arguments).items() if n in _VARIABLES},
        "script_id": arguments.script_id,
        "mark": arguments.mark,
        "profile": [arguments.profile, sorted(arguments.retain), arguments.shift_days],
    }


def _job(arguments: argparse.Namespace, settings: Mapping[str, Any], key: str) -> AnonymizeJob:
    from engine.anonymize import LookupTable
    from engine.jobs.anonymizing import AnonymizeJob

    return AnonymizeJob(
        script=settings["script"],
        script_name=arguments.script,
        key=key.encode(),
        variables=settings["variables"],
        profile=_profile(arguments),
        lookup=LookupTable.parse(settings["lookup"].splitlines()),
        script_ids=(arguments.script_id,) if arguments.script_id else (),
        mark=arguments.mark,
        diff=arguments.diff,
        show_values=arguments.show_values,
    )


def _profile(arguments: argparse.Namespace) -> Profile | None:
    from engine.anonymize import Profile

    if arguments.profile:
        return Profile(frozenset(map(Retain, arguments.retain)), arguments.shift_days)
    if arguments.retain or arguments.shift_days is not None:
        raise NothingToDo("--retain and --shift-days need --profile", "add --profile")
    return None


def _report(
    arguments: argparse.Namespace, settings: Mapping[str, Any], inputs: Inputs
) -> AbstractContextManager[Report | None]:
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    heading = {"output": inputs.output, "settings": digest}
    # The same key when it goes on: files that are done again become the same files.
    noted = {"key": secrets.token_hex(32)}
    return opened_report(arguments, "anonymize", heading, _key_if_done, noted)


def _key_if_done(record: Mapping[str, object]) -> tuple[object, ...] | None:
    if record.get("outcome") in {"ok", "rejected"}:
        return record.get("source"), record.get("bytes"), record.get("version")
    return None


@contextmanager
def _uid_maps(path: Path | None) -> Iterator[SqliteUidMaps]:
    from engine.state.uid_maps import SqliteUidMaps, open_own_file

    with ExitStack() as resources:
        if path is None:
            # On disk, as there may be a UID for each of millions of files.
            folder = resources.enter_context(TemporaryDirectory(prefix="dicomdock-"))
            path = Path(folder, "uids.sqlite")
        yield resources.enter_context(closing(SqliteUidMaps(path, open_own_file)))


def _executor(
    arguments: argparse.Namespace, job: AnonymizeJob, files: Iterator[JobFile]
) -> tuple[Executor, Iterator[JobFile]]:
    """Return what works on the files, and all files: the first are taken to see how many."""
    from engine.jobs.executors import Here, Processes

    if arguments.dask:
        if arguments.jobs:
            raise NothingToDo("--jobs is for this machine, --dask for another one", "leave one out")
        from engine.jobs.cluster import Cluster

        return Cluster(job, arguments.dask), files
    jobs = arguments.jobs or len(os.sched_getaffinity(0))
    first = list(islice(files, _WORTH_PROCESSES)) if jobs > 1 else []
    files = chain(first, files)
    if jobs == 1 or (arguments.jobs is None and len(first) < _WORTH_PROCESSES):
        return Here(job), files
    return Processes(job, jobs), files


class _Work:
    """What is done with each result; for one thread."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        tally: Tally,
        report: Report | None,
        shows_each: bool,
    ) -> None:
        self._arguments, self._tally, self._report = arguments, tally, report
        self._results: list[FileResult] = []
        self._shows_each = shows_each

    def files(self, inputs: Inputs) -> Iterator[JobFile]:
        """Yield what an earlier run has not done."""
        from engine.jobs.file import JobFile

        for found in inputs.find():
            if not isinstance(found, JobFile):
                self.add(found)
            elif self._report is None or not self._report.has(
                (found.source, found.size_bytes, found.version), found.size_bytes
            ):
                yield found

    def add(self, result: FileResult) -> None:
        """Count, report and perhaps print what became of a file."""
        file = result.file
        is_failure = result.outcome == "failed"
        line = Line(file.source, result.outcome, result.reason, is_failure, file.size_bytes)
        record = {
            "source": file.source,
            "target": file.target,
            "bytes": file.size_bytes,
            "version": file.version,
            "outcome": str(result.outcome),
            "reason": result.reason,
        }
        self._tally.add(line, file.size_bytes, record)
        if self._arguments.json:
            # With a report, which has them all, there may be millions.
            if self._report is None:
                self._results.append(result)
        elif self._shows_each:
            _print(result)

    def print(self) -> None:
        """Print the summary."""
        tally, arguments = self._tally, self._arguments
        if arguments.json:
            record = tally.to_record()
            if self._report is None:
                record["objects"] = [_record(result) for result in self._results]
            terminal.print_json(record)
        elif not self._shows_each:
            tally.print(arguments.report)
        elif tally.hint:
            terminal.say(tally.hint)


def _record(result: FileResult) -> dict[str, object]:
    return {
        "source": result.file.source,
        "target": result.file.target,
        "outcome": str(result.outcome),
        "reason": result.reason,
        "remedy": result.remedy,
        "differences": [asdict(difference) for difference in result.details],
    }


def _print(result: FileResult) -> None:
    source = result.file.source
    if result.outcome == "failed":
        terminal.say(f"{source}: {result.reason}")
        if result.remedy:
            terminal.say(f"  → {result.remedy}")
    elif result.outcome == "rejected":
        terminal.say(f"{source}: rejected by the script")
    else:
        terminal.say(f"{source}: written to {result.file.target}")
    if result.details:
        heads = ("ELEMENT", "KEYWORD", "CHANGE", "BEFORE", "AFTER")
        rows = [
            (d.path, d.keyword, d.change, _cut(d.before), _cut(d.after)) for d in result.details
        ]
        terminal.print_table(heads, rows)


def _cut(text: str | None) -> str:
    """Shorten a text for a table; JSON has the whole text."""
    shown = text or ""
    return shown if len(shown) <= _WIDEST else f"{shown[:_WIDEST]}…"


def _exit_code(tally: Tally) -> int:
    if tally.failed:
        return EngineError.exit_code
    return _REJECTED if tally.outcomes["rejected"] else 0
