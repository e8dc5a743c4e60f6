"""`health`, `metrics`, `check` and `support-bundle`."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import say_few_descriptors, settings_of, store_of
from engine.cli.live import running_engine
from engine.cli.options import FileRefused, set_run
from engine.cli.progress import progress_of
from engine.cli.tally import add_jobs
from engine.errors import AlreadyRunning, ConfigurationError, EngineError, StorageUnusable
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.host.data_directory import access_faults, deep_faults
from engine.host.lock import EngineLock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from engine.host.data_directory import AccessFault
    from engine.model.configuration import Configuration
    from engine.sessions.adoption import Adopted
    from engine.sessions.audit import Audit
    from engine.settings import EngineSettings


_NOT_WELL = 1


def add_health(parser: argparse.ArgumentParser) -> None:
    """Add the command that shows the health of the engine."""
    set_run(parser, _health)


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add the command that prints the metrics."""
    set_run(parser, _metrics)


def _health(arguments: argparse.Namespace) -> int:
    with running_engine(arguments) as engine:
        health = engine.monitoring.health()
    if arguments.json:
        terminal.print_json({"ok": health.ok, **asdict(health)})
    else:
        told = [("alive", health.alive), ("listening", f"{health.listening} of {health.enabled}")]
        told += [("problem", problem) for problem in health.problems]
        told += [("note", note) for note in health.notes]
        terminal.print_table(("HEALTH", "ok" if health.ok else "not well"), told)
        # Sentences, not a table: a remedy that is cut is none.
        for advice in health.advice:
            terminal.print_text(f"\n{advice.about}: {advice.what}\n  → {advice.remedy}")
    return 0 if health.ok else _NOT_WELL


def _metrics(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        if arguments.json:
            return terminal.print_json(asdict(engine.monitoring.counters()))
        return terminal.print_text(engine.monitoring.metrics().decode())


def add_support_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the command that writes an archive for support."""
    set_run(parser, _support_bundle)
    where = "where to (default: dicomdock-support-TIME.tar.gz here)"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=where)
    added = "add the counts of a check of index and disk, which takes long on a large archive"
    parser.add_argument("--check", action=BooleanOptionalAction, default=False, help=added)


def _support_bundle(arguments: argparse.Namespace) -> None:
    from engine.app.support_bundle import collect, write_bundle

    settings, now = settings_of(arguments), SystemClock().now()
    audit = _audit(arguments) if arguments.check else None
    files = collect(settings, _configuration(arguments), audit)
    path = arguments.output or Path(f"dicomdock-support-{now:%Y%m%d-%H%M%S}.tar.gz")
    try:
        write_bundle(path, files, now)
    except StorageUnusable as error:  # not the data directory: the file that is to be written
        raise FileRefused(error.detail, error.remedy) from error
    if arguments.json:
        return terminal.print_json({"file": str(path.absolute()), "contains": list(files)})
    terminal.print_text(str(path))
    return terminal.say("texts, addresses and UIDs in it are hashed; look through it all the same")


def _configuration(arguments: argparse.Namespace) -> Configuration | None:
    try:
        return store_of(arguments).load()
    except ConfigurationError as error:
        terminal.say(f"the settings are left out: {error.title}")
        return None


def _audit(arguments: argparse.Namespace) -> Audit | None:

    try:
        return run_audit(settings_of(arguments))
    except (EngineError, OSError) as error:
        terminal.say(f"the check is left out: {error}")
        return None


_FOUND_SOMETHING = 1
_NOT_BROUGHT_BACK = (
    "the new index does not have what no file says: objects that were not stored, the receiver of"
    " each object, senders, actions that can be undone, and removed scans in the trash. Sessions of"
    " the prearchive are received again."
)
_MOST_SHOWN = 20


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the command that compares index and disk, and removes leftovers of a killed engine."""
    set_run(parser, _check)
    what = parser.add_mutually_exclusive_group()
    adopt = "add objects that are only on disk to the index; no object is removed"
    what.add_argument("--adopt", action="store_true", help=adopt)
    rebuild = "make a new index from the files; the old one is kept under another name"
    what.add_argument("--rebuild-index", action="store_true", help=rebuild)
    add_jobs(parser)


def _check(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    # First, so that the parts are not among the differences.
    swept = _sweep(settings)
    if arguments.rebuild_index:
        found, adopted = _rebuild(settings, arguments.jobs)
    elif arguments.adopt:
        found, adopted = _adopt(settings, arguments.jobs)
    else:
        found, adopted = run_audit(settings, arguments.jobs), None
    faults = tuple(dict.fromkeys(chain(access_faults(settings), deep_faults(settings))))
    if arguments.json:
        record = asdict(found) | {"agrees": found.agrees}
        record["adopted"] = asdict(adopted) if adopted else None
        record["access"] = [asdict(fault) for fault in faults]
        record["swept"] = swept
        terminal.print_json(record)
    else:
        _print(found, adopted)
        _print_access(faults)
        if swept:
            parts = terminal.counted(swept, "part")
            terminal.say(f"removed {parts} of objects that a killed engine was receiving")
        with suppress(ConfigurationError):
            say_few_descriptors(store_of(arguments).load())
    return 0 if found.agrees and not faults else _FOUND_SOMETHING


def _sweep(settings: EngineSettings) -> int:
    """Remove parts of objects that a killed engine left, if none runs; return how many."""
    from engine.storage.incoming import sweep

    left = settings.incoming_dir
    if left.is_symlink() or not left.is_dir() or not any(left.iterdir()):
        return 0
    # With the lock, so that no engine starts to receive meanwhile.
    try:
        lock = EngineLock.acquire(settings.lock_file, SystemClock())
    except AlreadyRunning:
        return 0
    try:
        return sweep(left)
    finally:
        lock.release()


def run_audit(settings: EngineSettings, jobs: int | None = None) -> Audit:
    """Compare index and disk; changes nothing, also beside a running engine."""
    from engine.index.reader import IndexFile
    from engine.sessions.audit import audit
    from engine.sessions.ledger import SessionRepository
    from engine.sessions.rebuild import require_index
    from engine.sessions.service import areas_of

    require_index(settings)
    live = EngineLock.holder(settings.lock_file) is not None
    with IndexFile(settings.index_file) as index, progress_of("sessions compared") as progress:
        ledger = SessionRepository(index, SystemClock())
        areas = areas_of(settings)
        return audit(index, ledger, areas, live=live, progress=progress, jobs=jobs)


def _adopt(settings: EngineSettings, jobs: int | None) -> tuple[Audit, Adopted | None]:
    """Adopt objects that are only on disk; return the rest of the findings, and the changes."""
    from engine.sessions.rebuild import require_index
    from engine.sessions.service import sessions_without_engine

    # It would give all sessions rows, but not their numbers.
    require_index(settings)
    with sessions_without_engine(settings, SystemClock()) as session_service:
        with progress_of("sessions compared") as progress:
            found = session_service.audit(progress, jobs)
        with progress_of("sessions read") as progress:
            adopted = session_service.adopt(found, progress, jobs)
        with progress_of("sessions compared again") as progress:
            return session_service.audit(progress, jobs), adopted


def _rebuild(settings: EngineSettings, jobs: int | None) -> tuple[Audit, Adopted | None]:
    """Make a new index from the files."""
    from engine.processing.command.queue import highest_session
    from engine.sessions.rebuild import rebuild_index

    with progress_of("sessions read") as progress:
        highest = partial(highest_session, settings.state_file)
        rebuilt = rebuild_index(settings, SystemClock(), highest, progress, jobs)
    if rebuilt.kept_as:
        terminal.say(f"the old index is {rebuilt.kept_as} now")
    terminal.say(_NOT_BROUGHT_BACK)
    return run_audit(settings, jobs), rebuilt.adopted


def _print(found: Audit, adopted: Adopted | None) -> None:
    states = list(dict.fromkeys(state for r in found.receivers for state in sorted(r.states)))
    heads = ("RECEIVER", "RECEIVED", *(state.upper() for state in states), "ADDS UP")
    terminal.print_table(
        heads,
        [
            (r.receiver, r.received, *(r.states.get(s, 0) for s in states), r.add_up)
            for r in found.receivers
        ],
    )
    terminal.print_table(("WHERE", "FOUND", "WHAT"), _lines(found))
    passed_over = f", {found.passed_over} just being worked on" if found.passed_over else ""
    terminal.say(f"{terminal.counted(found.looked_at, 'session')} looked at{passed_over}")
    if adopted is not None:
        terminal.say(
            f"{terminal.counted(adopted.objects, 'object')} adopted, {adopted.renamed} found under"
            f" another name, {terminal.counted(adopted.second_names, 'second name')} removed"
        )


def _print_access(faults: Sequence[AccessFault]) -> None:
    """Print the first faults of access: there may be one for each file."""
    if faults:
        rows = [(fault.path, fault.what, fault.remedy) for fault in faults[:_MOST_SHOWN]]
        terminal.print_table(("FILE", "ACCESS", "REMEDY"), rows)
    if len(faults) > _MOST_SHOWN:
        terminal.say(f"and {terminal.counted(len(faults) - _MOST_SHOWN, 'file')} more: see --json")


def _lines(found: Audit) -> Iterator[tuple[str, str, str]]:
    for session in found.sessions:
        where, differences = f"session {session.session}", session.differences
        for moved in differences.moved:
            yield where, "under another name", f"{moved.before} is {moved.after}"
        for kind, files in (
            ("second name", differences.second_names),
            ("not in the index", differences.unknown),
            ("missing on disk", differences.missing),
            ("can't be read", differences.unreadable),
        ):
            yield from ((where, kind, file) for file in files)
        if session.counted != session.stored:
            what = f"{session.counted} by the session, {session.stored} by its objects"
            yield where, "count differs", what
    for unknown in found.unknown_folders:
        yield str(unknown.area), "session not in the index", unknown.folder
