"""What `import` and `send` have in common: from named paths to a counted outcome of each file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.options import FileRefused
from engine.cli.tally import Line, Tally, add_report, number_up_to, opened_report, require_report
from engine.errors import PeerError
from engine.importing.found import BAD, Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from engine.importing.outcomes import Result
    from engine.importing.sender import Sender
    from engine.importing.sources import Sources
    from engine.jobs.report import Report

NOT_ACCEPTED = 9
"""The exit code if files were not stored that should have been."""
_MOST_JOBS = 64
_KEPT_FAILURES = 10_000
"""Of the first failures, which --json names: 10 MB."""


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add what is to be sent."""
    what = "a DICOM file, a folder, a ZIP or tar archive, or the DICOMDIR of a medium"
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=what)


def add_sending(parser: argparse.ArgumentParser, jobs: int, why: str = "") -> None:
    """Add the options for how it is sent; `why` says why so many associations are the default."""
    add_report(parser)
    add = parser.add_argument
    words = f"associations at once (default: {jobs}{why}; most: {_MOST_JOBS})"
    add("--jobs", type=number_up_to(_MOST_JOBS), default=jobs, metavar="N", help=words)
    add("--follow-links", action="store_true", help="follow symbolic links in folders")


def sources_of(arguments: argparse.Namespace, reader: str = "the user of this command") -> Sources:
    """Return what is to be sent, which `reader` must be able to read.

    Raises:
        FileRefused: if a name leads nowhere, or the options don't fit.
    """
    from engine.importing.sources import Sources

    require_report(arguments)
    for path in arguments.paths:
        _require(path, reader)
    return Sources(tuple(path.absolute() for path in arguments.paths), arguments.follow_links)


def _require(path: Path, reader: str) -> None:
    """Refuse a name that leads nowhere, before anything is sent."""
    try:
        path.stat()
    except OSError as error:
        remedy = f"name a file or a folder that {reader} may read"
        raise FileRefused(f"{path}: {error.strerror}", remedy) from error


def report_of(
    arguments: argparse.Namespace, job: str, heading: Mapping[str, str]
) -> AbstractContextManager[Report | None]:
    """Return the report that the command was given; see `opened_report`."""
    from engine.importing.outcomes import key_if_done

    return opened_report(arguments, job, heading, key_if_done)


def tally_of(sources: Sources, report: Report | None) -> Tally:
    """Return what counts the outcomes; files that are no DICOM are no files for it."""
    ignored = Outcome.NOT_DICOM
    return Tally(sources.sizes, report, ignored=ignored, kept_failures=_KEPT_FAILURES)


def send_found(
    arguments: argparse.Namespace,
    sender: Sender,
    sources: Sources,
    tally: Tally,
    report: Report | None,
    note: Callable[[Result], object] = lambda _: None,
) -> None:
    """Send what is found and not done yet, and count and report what becomes of it.

    Raises:
        PeerError: if nothing more can be sent.
        KeyboardInterrupt: likewise.
    """
    from engine.importing.outcomes import not_done

    def show() -> None:
        tally.awaiting = sender.awaiting
        tally.show()

    found = sources.find()
    try:
        with tally.counting():
            left = found if report is None else not_done(found, report)
            for result in sender.run(left, show):
                tally.add(_line(result), result.sent_bytes, result.to_record())
                note(result)
    except (PeerError, KeyboardInterrupt):
        if report is not None:
            tally.hint = f"go on with: --report {arguments.report} --resume"
        raise
    finally:
        tally.end()


def _line(result: Result) -> Line:
    is_bad = result.outcome in BAD
    outcome = str(result.outcome)
    return Line(str(result.name), outcome, result.reason, is_bad, result.read_bytes)


def exit_code(tally: Tally) -> int:
    """Return the exit code of a run that came to its end.

    Raises:
        FileRefused: if there was nothing to send.
    """
    if not tally.files:
        raise FileRefused("there is no DICOM file", "name files, or folders that hold some")
    return NOT_ACCEPTED if tally.failed else 0
