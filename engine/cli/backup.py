"""`backup` and `restore`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import actor, attached, record, settings_of
from engine.cli.options import set_run
from engine.cli.progress import ProgressLine, progress_of
from engine.errors import AlreadyRunning, EngineError
from engine.host import terminal
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from engine.backup.reading import Backup
    from engine.backup.writing import Written
    from engine.settings import EngineSettings

_STDOUT = "-"


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Add the command that writes a backup, or checks one."""
    set_run(parser, _backup)
    what = parser.add_mutually_exclusive_group(required=True)
    where = "the new file; - for standard output, which is not read back"
    what.add_argument("-o", "--output", metavar="FILE", help=where)
    what.add_argument("--verify", type=Path, metavar="FILE", help="read a backup, and check it")
    objects = "also the objects: prearchive, archive, trash and quarantine"
    parser.add_argument("--objects", action="store_true", help=objects)


def add_restore(parser: argparse.ArgumentParser) -> None:
    """Add the command that makes a data directory from a backup."""
    set_run(parser, _restore)
    parser.set_defaults(needs_data=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="the backup")
    state = "not the objects: the folders of objects that are there stay"
    parser.add_argument("--state-only", action="store_true", help=state)
    aside = "put aside the files that are in the way, into a folder of the data directory"
    parser.add_argument("--replace", action="store_true", help=aside)
    dry = "check the backup, and show what would be restored"
    parser.add_argument("--dry-run", action="store_true", help=dry)


def _backup(arguments: argparse.Namespace) -> None:
    if arguments.verify is not None:
        return _verify(arguments)
    settings = settings_of(arguments)
    written = _write(settings, arguments)
    if arguments.output == _STDOUT:
        terminal.say(_in_words(written))
    elif arguments.json:
        terminal.print_json(asdict(written) | {"file": str(Path(arguments.output).absolute())})
    else:
        terminal.print_text(arguments.output)
        terminal.say(_in_words(written))
    if written.links:
        things = terminal.counted(written.links, "link or special file")
        terminal.say(f"left out: {things}")
    return None


def _write(settings: EngineSettings, arguments: argparse.Namespace) -> Written:
    from engine import __version__
    from engine.backup.form import BackupNotMade
    from engine.backup.record import note_backup
    from engine.backup.writing import Sources, write_file, write_stream

    clock, line = SystemClock(), ProgressLine()

    def progress(files: int) -> None:
        line.show(lambda: f"{files:,} files written")

    sources = Sources(settings, clock, __version__, arguments.objects, progress)
    _note_copy(settings)
    at = clock.now()
    try:
        if arguments.output == _STDOUT:
            if sys.stdout.isatty():
                raise BackupNotMade("it is no text for a terminal", "name a file with -o")
            try:
                written = write_stream(sources, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            except OSError as error:
                terminal.stop_writing()
                raise BackupNotMade(
                    f"standard output can't be written: {error.strerror}", "make it again"
                ) from error
        else:
            read = lambda done: line.show(lambda: f"{done:,} bytes read back")  # noqa: E731
            written = write_file(sources, Path(arguments.output).absolute(), read)
    finally:
        line.end()
    with suppress(OSError):
        note_backup(settings, at, objects=arguments.objects)
    return written


def _note_copy(settings: EngineSettings) -> None:
    """Record who copies the configuration with its secrets."""
    from engine.events import SecretsShown

    try:
        with attached(settings) as engine:
            if engine is not None:
                engine.monitoring.note_secrets_shown("backup", actor())
                return
    except EngineError as error:
        # An engine that does not answer is a reason for a backup.
        terminal.say(f"the audit log does not have this backup: {error.detail}")
        return
    if settings.config_file.exists():
        record(settings, SecretsShown(by=actor(), what="backup"))


def _in_words(written: Written) -> str:
    files = terminal.counted(written.files, "file")
    return f"{files}, {written.bytes:,} bytes; complete up to {written.consistent_at}"


def _verify(arguments: argparse.Namespace) -> None:
    with _opened(arguments.verify) as file:
        backup = _read(file)
    if arguments.json:
        terminal.print_json(_summary(backup))
    else:
        _print_summary(backup)


def _summary(backup: Backup) -> dict[str, object]:
    return {
        "at": backup.head.at,
        "dicomdock": backup.head.version,
        "objects": backup.head.objects,
        "consistent_at": backup.tail.consistent_at,
        "files": len(backup.kept),
        "bytes": backup.bytes,
    }


def _print_summary(backup: Backup) -> None:
    names = {"at": "begun at", "consistent_at": "complete up to", "objects": "with objects"}
    rows = [(names.get(name, name), value) for name, value in _summary(backup).items()]
    terminal.print_table(("BACKUP", "sound"), rows)


def _opened(path: Path) -> BinaryIO:
    from engine.backup.form import BackupRefused

    try:
        file = path.open("rb")
    except OSError as error:
        raise BackupRefused(
            f"{path} can't be read: {error.strerror}", "name a file that this user may read"
        ) from error
    if not file.seekable():
        file.close()
        raise BackupRefused(f"{path} is a pipe", "write the backup to a file first")
    return file


def _read(file: BinaryIO) -> Backup:
    from engine.backup.reading import read_backup

    size = os.fstat(file.fileno()).st_size
    with progress_of("bytes read") as progress:
        return read_backup(file, lambda done: progress(done, size))


def _restore(arguments: argparse.Namespace) -> None:
    from engine.backup.restoring import RestorePlan, check_restore, restore

    settings = settings_of(arguments)
    plan = RestorePlan(state_only=arguments.state_only, replace=arguments.replace)
    _require_no_engine(settings)
    with _opened(arguments.file) as file:
        backup = _read(file)
        if arguments.dry_run:
            done = check_restore(settings, backup, plan)
        else:
            with progress_of("files restored") as progress:
                done = restore(settings, file, backup, plan, SystemClock(), progress)
    if arguments.json:
        terminal.print_json(_summary(backup) | asdict(done) | {"dry_run": arguments.dry_run})
        return
    _print_summary(backup)
    would = "would be restored" if arguments.dry_run else "restored"
    terminal.say(f"{terminal.counted(done.files, 'file')} {would} to {settings.data_dir}")
    if done.kept_as:
        kept = "would be kept" if arguments.dry_run else "are kept"
        terminal.say(f"the files that were there {kept} in {done.kept_as}")
    if not arguments.dry_run:
        terminal.say("compare the index with the files now: dicomdock check")


def _require_no_engine(settings: EngineSettings) -> None:
    from engine.host.lock import EngineLock

    holder = EngineLock.holder(settings.lock_file)
    if holder is not None:
        raise AlreadyRunning(f"{settings.data_dir} is in use by {holder}", "stop that engine first")
