"""`config`: revisions of the configuration, their differences, undo and recovery."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from engine.cli.configuration_document import add_documents
from engine.cli.context import actor, add_show_secrets, shown, shows_secrets, store_of
from engine.cli.differences import print_differences, records, sentences
from engine.cli.options import add_verb, add_verbs, add_yes, flattened, whole_number
from engine.cli.receivers import receiver_record
from engine.errors import ChangedMeanwhile, ConfigurationError, NotFound, Problem, StorageUnusable
from engine.host import terminal
from engine.model.configuration import Configuration, parse_configuration
from engine.model.configuration_diff import differences

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from engine.cli.options import Commands
    from engine.config.history import RecoveryCandidate
    from engine.config.revisions import Revision
    from engine.config.store import ConfigurationStore
    from engine.model.configuration_diff import FieldDifference


_NAMED = 10
"""The most numbers of revisions in one sentence."""


class StillValid(ConfigurationError):
    """The configuration file is valid: nothing to recover."""

    title = "The configuration is valid"


def add_recover(verbs: Commands) -> None:
    """Add the verb `recover`."""
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
    """Print what was restored, as which revision; None for a dry run."""
    if arguments.json:
        restored = _record(chosen) if chosen else None
        return terminal.print_json({"restored": restored, "revision": revision})
    what = chosen.words if chosen else "the defaults"
    if revision is not None:
        return terminal.say(f"restored {what}; revision {revision} is in force")
    settings = chosen.configuration if chosen else Configuration()
    print_differences(differences(Configuration(), settings))
    return terminal.say(f"would restore {what}")


_SHOWN = 20


def add_config(command: argparse.ArgumentParser) -> None:
    """Add the commands that show, compare and restore revisions."""
    verbs = add_verbs(command)
    history = add_verb(verbs, "history", _history, "list the revisions, newest first")
    many = f"how many at most (default: {_SHOWN})"
    add_show_secrets(history)
    history.add_argument("--limit", type=whole_number, metavar="N", default=_SHOWN, help=many)
    show = add_verb(verbs, "show", _show, "show a revision, or the present configuration")
    _add_revision(show, "revision", "a revision's number (default: the present configuration)", "?")
    add_show_secrets(show)
    diff = add_verb(verbs, "diff", _diff, "show the newest change, or the differences from A to B")
    _add_revision(diff, "a", "the revision to start from", "?")
    _add_revision(
        diff, "b", "the revision to compare with (default: the present configuration)", "?"
    )
    add_show_secrets(diff)
    add_yes(add_verb(verbs, "undo", _undo, "undo the newest change, as a new revision"))
    restore = add_verb(verbs, "restore", _restore, "restore a revision, as a new one")
    _add_revision(restore, "revision", "its number", None)
    add_yes(restore)
    add_recover(verbs)
    add_documents(verbs)


def _add_revision(
    parser: argparse.ArgumentParser, name: str, words: str, nargs: str | None
) -> None:
    parser.add_argument(name, type=whole_number, metavar=name.upper(), nargs=nargs, help=words)


def _history(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    with suppress(ConfigurationError):  # a broken file has a history too
        _in_force(store)
    # One more than are shown, to tell whether there are earlier ones.
    found = list(islice(store.revisions(), arguments.limit + 1))
    listed = found[: arguments.limit]
    secrets = shows_secrets(arguments, "config history")
    if arguments.json:
        records = [_revision_record(revision, secrets=secrets) for revision in listed]
        terminal.print_json({"revisions": records})
    else:
        heads = ("REVISION", "TIME", "AUTHOR", "CHANGES", "DIFFERENCES")
        rows = [row for revision in listed for row in _rows(revision, secrets=secrets)]
        terminal.print_table(heads, rows)
    oldest = listed[-1].configuration.revision if len(found) > len(listed) else 0
    left_out = _left_out(store, found, oldest)
    if left_out:
        named = ", ".join(map(str, left_out[:_NAMED])) + (" …" if len(left_out) > _NAMED else "")
        many = terminal.counted(len(left_out), "revision")
        terminal.say(f"{many} can't be read: {named}; see why with: config show N")
    if len(found) > len(listed):
        terminal.say(f"there are earlier ones; see them with --limit {10 * arguments.limit}")


def _left_out(store: ConfigurationStore, found: Sequence[Revision], oldest: int) -> list[int]:
    """Return the kept revisions down to the oldest that could not be read, newest first."""
    readable = {revision.configuration.revision for revision in found}
    return [n for n in store.history.numbers() if n > oldest and n not in readable]


def _revision_record(revision: Revision, *, secrets: bool) -> dict[str, object]:
    made = records(revision.made, secrets=secrets)
    return {**_meta(revision.configuration), "differences": made}


def _meta(configuration: Configuration) -> dict[str, object]:
    return {
        "revision": configuration.revision,
        "changed_at": configuration.changed_at,
        "changed_by": configuration.changed_by,
    }


def _in_force(store: ConfigurationStore) -> Configuration:
    """Return the configuration of the file; a change by hand becomes a revision first.

    If the user may not write the file, a note says that the change is no revision yet.
    """
    try:
        return store.adopt()
    except StorageUnusable:
        terminal.say("if the file was edited, the next change makes a revision of the edit")
        return store.load()


def _rows(revision: Revision, *, secrets: bool) -> Iterator[tuple[object, ...]]:
    """Yield one row per difference; the first one has author and time."""
    said = sentences(revision.made, secrets=secrets) or ["rewritten, with no difference in words"]
    made = revision.configuration
    count = len(records(revision.made))
    yield made.revision, made.changed_at, made.changed_by, count, said[0]
    yield from (("", "", "", "", sentence) for sentence in said[1:])


def _show(arguments: argparse.Namespace) -> None:
    store, number = store_of(arguments), arguments.revision
    configuration = _in_force(store) if number is None else _kept(store, number)
    secrets = shows_secrets(arguments, "config show")
    receivers = [receiver_record(receiver, secrets=secrets) for receiver in configuration.receivers]
    projects = [project.to_record() for project in configuration.projects.projects]
    processors = [shown(one.to_record(), secrets=secrets) for one in configuration.processors]
    peers = [peer.to_record() for peer in configuration.peers]
    site = shown(configuration.site.to_record(), secrets=secrets)
    if arguments.json:
        parts: dict[str, object] = {"site": site, "projects": projects}
        parts |= {"receivers": receivers, "processors": processors, "peers": peers}
        return terminal.print_json({**_meta(configuration), **parts})
    subjects = [("configuration", _meta(configuration)), ("site", site)]
    subjects += [(f"project {record['id']}", record) for record in projects]
    subjects += [(f"receiver {record['label']}", record) for record in receivers]
    subjects += [(f"processor {record['label']}", record) for record in processors]
    subjects += [(f"peer {record['ae_title']}", record) for record in peers]
    rows = [(name, *member) for name, record in subjects for member in flattened(record)]
    return terminal.print_table(("SUBJECT", "FIELD", "VALUE"), rows)


def _diff(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    if arguments.a is None:
        before, after = _newest_change(store)
    else:
        before = _kept(store, arguments.a)
        after = _in_force(store) if arguments.b is None else _kept(store, arguments.b)
    made = differences(before, after)
    secrets = shows_secrets(arguments, "config diff")
    if arguments.json:
        span = {"from": before.revision, "to": after.revision}
        return terminal.print_json({**span, "differences": records(made, secrets=secrets)})
    print_differences(made, secrets=secrets)
    count = terminal.counted(len(sentences(made)), "difference")
    return terminal.say(f"from revision {before.revision} to {after.revision}: {count}")


def _newest_change(store: ConfigurationStore) -> tuple[Configuration, Configuration]:
    """Return the configuration before and after the newest change, also of one made by hand."""
    now = _in_force(store)
    kept = [revision.configuration for revision in islice(store.revisions(), 2)]
    if not kept:
        raise NotFound("no revision is kept", "revisions are kept from the next change on")
    if differences(kept[0], now):
        return kept[0], now
    return kept[1] if len(kept) > 1 else Configuration(), kept[0]


def _undo(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    before = store.adopt()  # so that the undo concerns the edit, not the change before it
    whose = before.changed_by or "somebody"
    terminal.confirm(f"Undo revision {before.revision}, made by {whose}?", already=arguments.yes)
    after = store.undo(actor())
    undone = differences(after, before)
    if arguments.json:
        record = {"revision": after.revision, "undone": records(undone)}
        return terminal.print_json(record)
    print_differences(undone)
    said = f"took back revision {before.revision}, made by {whose}"
    return terminal.say(f"{said}; this is revision {after.revision}")


def _restore(arguments: argparse.Namespace) -> None:
    store, number = store_of(arguments), arguments.revision
    before = _in_force(store)
    made = differences(before, _kept(store, number))
    if not arguments.json:
        print_differences(made)
    if made:
        count = terminal.counted(len(sentences(made)), "difference")
        question = f"Restore revision {number}, with {count}?"
        terminal.confirm(question, already=arguments.yes)
        _check_unchanged(before, store.load())
    after = store.restore(number, actor())
    if arguments.json:
        record = {"revision": after.revision, "differences": records(made)}
        return terminal.print_json(record)
    if after.revision == before.revision:
        return terminal.say(f"revision {number} is what is in force; nothing was changed")
    return terminal.say(f"restored revision {number} as revision {after.revision}")


def _check_unchanged(seen: Configuration, now: Configuration) -> None:
    """Fail if somebody changed the file while the question was open."""
    made: tuple[FieldDifference, ...] = differences(seen, now)
    if made:
        what = "the configuration"
        raise ChangedMeanwhile(what, now.changed_by, now.changed_at, sentences(made))


def _kept(store: ConfigurationStore, number: int) -> Configuration:
    """Return the configuration of a revision.

    Raises:
        NotFound: if it is not kept.
        ConfigurationError: if it is not acceptable any more.
    """
    return parse_configuration(store.history.revision(number).tables)
