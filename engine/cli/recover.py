"""`config recover`: restores a configuration that is missing or can't be read."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.context import actor, store_of
from engine.cli.options import add_verb, add_yes, whole_number
from engine.errors import ConfigurationError, NotFound, Problem
from engine.host import terminal
from engine.model.configuration import Configuration
from engine.model.configuration_diff import by_member, differences, masked

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from engine.cli.options import Commands
    from engine.config.recovery import RecoveryCandidate
    from engine.config.store import ConfigurationStore
    from engine.model.configuration_diff import FieldDifference


def sentences(made: Iterable[FieldDifference], *, secrets: bool = False) -> list[str]:
    """Say every difference in one line; those of the limits one by one."""
    return [difference.sentence() for difference in _members(made, secrets=secrets)]


def records(made: Iterable[FieldDifference], *, secrets: bool = False) -> list[dict[str, object]]:
    """Return the differences for programs."""
    return [{**asdict(d), "sentence": d.sentence()} for d in _members(made, secrets=secrets)]


def print_differences(made: Iterable[FieldDifference], *, secrets: bool = False) -> None:
    """Write the differences for people."""
    rows = [(sentence,) for sentence in sentences(made, secrets=secrets)]
    terminal.print_table(("DIFFERENCE",), rows)


def _members(made: Iterable[FieldDifference], *, secrets: bool) -> Iterator[FieldDifference]:
    return by_member(made) if secrets else masked(made)


class StillValid(ConfigurationError):
    """There is nothing to recover."""

    title = "The configuration is valid"


def add_recover(verbs: Commands) -> None:
    """Add the command."""
    recover = add_verb(verbs, "recover", _recover, "restore a missing or broken configuration file")
    chosen = recover.add_mutually_exclusive_group()
    chosen.add_argument("--list", action="store_true", help="list what can be restored, and end")
    newest = "the revision to restore (default: the newest that is acceptable)"
    chosen.add_argument("--revision", type=whole_number, metavar="N", help=newest)
    defaults = "begin with the defaults; destinations and all other settings are lost"
    chosen.add_argument("--defaults", action="store_true", help=defaults)
    recover.add_argument("--dry-run", action="store_true", help="say what would be restored")
    recover.add_argument("--force", action="store_true", help="replace a valid file too")
    add_yes(recover)


def _recover(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    if arguments.list:
        return _list(arguments, store)
    if not arguments.force:
        _require_broken(store)
    chosen = None if arguments.defaults else _chosen(store, arguments.revision)
    if not arguments.dry_run:
        if chosen is None:
            question = "Begin with the defaults, and lose all settings?"
            terminal.confirm(question, already=arguments.yes)
        after = store.recover(chosen, actor())
        return _report(arguments, chosen, after.revision)
    return _report(arguments, chosen, None)


def _require_broken(store: ConfigurationStore) -> None:
    try:
        revision = store.load().revision
    except ConfigurationError:
        return
    remedy = "use config restore to return to an earlier revision, or add --force"
    problem = Problem("revision", str(revision), "is in force and acceptable", remedy)
    raise StillValid(problem)


def _chosen(store: ConfigurationStore, number: int | None) -> RecoveryCandidate:
    for found in store.recoverable():
        if number in (None, found.configuration.revision):
            return found
    if number is None:
        raise NotFound(
            "no kept revision and no backup is acceptable",
            "restore config.json from a backup of your own, or add --defaults",
        )
    raise NotFound(f"revision {number} can't be restored", "list what can: config recover --list")


def _list(arguments: argparse.Namespace, store: ConfigurationStore) -> None:
    found = list(store.recoverable())
    if arguments.json:
        return terminal.print_json({"recoverable": [_record(one) for one in found]})
    rows = [tuple(_record(one).values()) for one in found]
    return terminal.print_table(("REVISION", "TIME", "AUTHOR", "RECEIVERS", "FILE"), rows)


def _record(found: RecoveryCandidate) -> dict[str, object]:
    made = found.configuration
    return {
        "revision": made.revision,
        "changed_at": made.changed_at,
        "changed_by": made.changed_by,
        "receivers": len(made.receivers),
        "file": str(found.file),
    }


def _report(
    arguments: argparse.Namespace, chosen: RecoveryCandidate | None, revision: int | None
) -> None:
    """Say what was restored as which revision; None for a dry run."""
    if arguments.json:
        restored = _record(chosen) if chosen else None
        return terminal.print_json({"restored": restored, "revision": revision})
    what = chosen.words if chosen else "the defaults"
    if revision is not None:
        return terminal.say(f"restored {what}; revision {revision} is in force")
    settings = chosen.configuration if chosen else Configuration()
    print_differences(differences(Configuration(), settings))
    return terminal.say(f"would restore {what}")
