"""The states that a power cut may leave, at every point of a record.

At each point there are at least four: nothing that was not flushed is on the disk; all of it is,
which is what a kill leaves; all names without the writes; all writes without the names. Others
keep or lose one name, go on to a point that differs from folder to folder, or are drawn by lot.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from tests.crash.disk import Disk, Tree, Write, complete, fingerprint
from tests.fakes import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.crash.calls import Record
    from tests.crash.disk import File, Naming

BAREST = "nothing unflushed"


class Told(NamedTuple):
    """What had been said to others by a point of a record."""

    stored: frozenset[bytes]
    """Tokens of objects whose senders had success."""
    may_go: frozenset[bytes]
    """Of those that somebody wanted to be replaced or purged."""
    revision: int
    """The last revision of the configuration that was answered; 0 for none."""
    now: datetime
    """What time it was."""
    kept: frozenset[str] = frozenset()
    """What the state database has to have, in the words of `verdict.in_state`."""


class State(NamedTuple):
    """What a power cut has left."""

    point: int
    """How many records had been made."""
    how: str
    tree: Tree
    told: Told


def states(
    disk: Disk,
    records: Sequence[Record],
    seed: int,
    share: float = 1.0,
) -> Iterator[State]:
    """Yield every state once, point by point; the disk follows the records meanwhile.

    Args:
        disk: the disk as it was when the recording began.
        records: what happened then.
        seed: decides what is drawn by lot.
        share: how much is wanted of what there is at each point besides the barest state.
    """
    seen: set[int] = set()
    told = Told(frozenset(), frozenset(), 0, NOW)
    for point, record in enumerate(records, start=1):
        disk.apply(record)
        if record.op == "n":
            told = after(told, record.name)
            continue
        lot = random.Random(f"{seed}/{point}")
        for how, tree in _at(disk, lot, share):
            mark = fingerprint(tree)
            if mark not in seen:
                seen.add(mark)
                yield State(point, how, tree, told)


def after(told: Told, note: str) -> Told:
    """Return what has been said once a note was made."""
    match note.split():
        case ["stored", token]:
            return told._replace(stored=told.stored | {bytes.fromhex(token)})
        case ["may-go", token]:
            return told._replace(may_go=told.may_go | {bytes.fromhex(token)})
        case ["clock", now]:
            return told._replace(now=datetime.fromisoformat(now))
        case ["kept", *words]:
            return told._replace(kept=told.kept | {" ".join(words)})
        case ["revision", number]:
            return told._replace(revision=int(number))
        case _:
            return told


def _at(disk: Disk, lot: random.Random, share: float) -> Iterator[tuple[str, Tree]]:
    yield BAREST, disk.tree((), nothing)
    for how, tree in _OTHERS.items():
        if lot.random() < share:
            yield how, tree(disk, disk.pending, lot)


def _by_lot(disk: Disk, names: Sequence[Naming], lot: random.Random) -> Tree:
    kept = {change for change in names if lot.random() < 0.5}
    return disk.tree(complete(kept, names), some(lot))


def _but_one(disk: Disk, names: Sequence[Naming], lot: random.Random) -> Tree:
    lost = lot.choice(names) if names else None
    kept = {change for change in names if change is not lost}
    return disk.tree(complete(kept, names), everything)


def _only_one(disk: Disk, names: Sequence[Naming], lot: random.Random) -> Tree:
    kept = {lot.choice(names)} if names else set()
    return disk.tree(complete(kept, names), everything)


def _so_far(disk: Disk, names: Sequence[Naming], lot: random.Random) -> Tree:
    """Choose how far the changes of each folder have got; a rename is as far as its source."""
    by_folder: dict[int, list[Naming]] = {}
    for change in names:
        by_folder.setdefault(id(change.names[0][0]), []).append(change)
    kept = {
        change
        for changes in by_folder.values()
        for change in changes[: lot.randint(0, len(changes))]
    }
    return disk.tree(complete(kept, names), everything)


def nothing(_file: File) -> tuple[Write, ...]:
    return ()


def everything(file: File) -> Sequence[Write]:
    return file.pending


def some(lot: random.Random) -> Callable[[File], list[Write]]:
    """Return what chooses writes by lot, and cuts one of them in two."""

    def chosen(file: File) -> list[Write]:
        kept = [write for write in file.pending if lot.random() < 0.5]
        if kept and lot.random() < 0.5:
            torn = kept.pop()
            whole = torn.data or b""
            kept.append(Write(torn.offset, whole[: len(whole) // 2] if whole else torn.data))
        return kept

    return chosen


_OTHERS: Mapping[str, Callable[[Disk, Sequence[Naming], random.Random], Tree]] = {
    "a kill": lambda disk, _names, _lot: disk.live(),
    "names without writes": lambda disk, names, _: disk.tree(names, nothing),
    "writes without names": lambda disk, _names, _lot: disk.tree((), everything),
    "some of all": _by_lot,
    "others of all": _by_lot,
    "one name is lost": _but_one,
    "one name is kept": _only_one,
    "so far in each folder": _so_far,
}
OTHERS = len(_OTHERS)
"""How many states there are at each point besides the barest, at most."""
