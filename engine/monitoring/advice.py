"""What is unwise about an installation, each with its remedy: a table of pure checks.

Nothing here is a problem now: what refuses objects or fails is among the problems of the health.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from engine.api.status import Advice
from engine.events import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

LATE_BACKUP_DAYS = 8
"""A weekly backup may take a day."""
LEAST_FREE_FILES_PERCENT = 5
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What the checks look at; the defaults are those of an installation that is all right."""

    now: datetime
    data_dir: str = ""
    readable: Sequence[str] = ()
    """Files and folders with secrets or patient data that every user of the machine can read."""
    clock_ahead: timedelta | None = None
    """By how much the clock has jumped forward, while that is not trusted yet."""
    synchronized: bool | None = None
    """Whether a time service sets the clock; None if unknown."""
    file_system: str = ""
    free_bytes: int = 0
    low_bytes: int = 0
    """Below this much free space the engine warns."""
    free_files_percent: int = 100
    """How many more files the file system can have, of all; 100 where that has no limit."""
    durability: str = "full"
    has_sessions: bool = False
    last_backup: datetime | None = None
    """None if there never was one."""
    certificates: Sequence[tuple[str, str]] = ()
    """What is to be said of certificates: of which receiver, and the sentence."""
    open_receivers: Sequence[str] = ()
    """Receivers that take any caller from any address."""
    as_received: Sequence[str] = ()
    """Receivers that want anonymization while no script and no profile is in force."""
    version: str = ""
    installed_version: str = ""
    libraries: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Versions of libraries, as far as `TROUBLES` names them."""


class Trouble(NamedTuple):
    """A known fault of a library, in versions from `since` to before `fixed`."""

    library: str
    since: tuple[int, ...]
    fixed: tuple[int, ...]
    also_fixed: Sequence[tuple[int, ...]]
    """First versions of older branches that have the repair too."""
    what: str
    remedy: str


TROUBLES = (
    Trouble(
        # https://sqlite.org/wal.html#walresetbug
        *("SQLite", (3, 7, 0), (3, 51, 3), ((3, 44, 6), (3, 50, 7))),
        "can, very rarely, damage a database that several processes write",
        "install the updates of the system, which may have the repair under the old number;"
        " make backups",
    ),
)
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs"}
_WITHOUT_LINKS = {"vfat", "exfat", "ntfs", "ntfs3", "fuseblk"}
_IN_MEMORY = {"tmpfs", "ramfs"}
_OF_CONTAINER = {"overlay", "aufs"}


def advise(facts: Facts) -> tuple[Advice, ...]:
    """Return all that is unwise, in the order of the table."""
    return tuple(chain.from_iterable(check(facts) for check in CHECKS))


def _permissions(facts: Facts) -> Iterator[Advice]:
    if facts.readable:
        what = f"every user can read {_some(facts.readable)}"
        paths = " ".join(facts.readable[:_MOST_NAMED])
        yield Advice("permissions", what, f"chmod o-rwx {paths}")


def _clock(facts: Facts) -> Iterator[Advice]:
    if facts.clock_ahead is not None:
        minutes = round(facts.clock_ahead.total_seconds() / 60)
        what = f"the clock has jumped {counted(minutes, 'minute')} ahead; nothing expires until"
        yield Advice("clock", f"{what} it is trusted, in a day", "check it with: date")
    if facts.synchronized is False:
        remedy = "run a time service, such as systemd-timesyncd or chrony"
        yield Advice("clock", "no time service sets the clock", remedy)


def _file_system(facts: Facts) -> Iterator[Advice]:
    kind, why = facts.file_system, ""
    if kind in _NETWORK:
        why = "a network file system, on which the databases can be damaged"
    elif kind in _WITHOUT_LINKS:
        why = "which has no permissions and no hard links"
    elif kind in _IN_MEMORY:
        why = "in memory: all is lost when the machine stops"
    elif kind in _OF_CONTAINER:
        why = "the layer of a container: all is lost with it"
    if why:
        remedy = "keep it on a local disk or a volume, such as ext4, XFS, ZFS or Btrfs"
        yield Advice("disk", f"{facts.data_dir} is on {kind}, {why}", remedy)


def _space(facts: Facts) -> Iterator[Advice]:
    if facts.free_bytes < facts.low_bytes:
        free, low = (n // 1_000_000 for n in (facts.free_bytes, facts.low_bytes))
        remedy = "free some, or archive elsewhere: docs/how-to/watch-the-storage.md"
        yield Advice("disk", f"{free:,} MB are free, less than {low:,} MB", remedy)
    if facts.free_files_percent < LEAST_FREE_FILES_PERCENT:
        what = f"the file system can have only {facts.free_files_percent} % more files"
        yield Advice("disk", what, "remove files, or make a file system with more inodes")


def _durability(facts: Facts) -> Iterator[Advice]:
    if facts.durability != "full":
        what = f"durability is {facts.durability}: a power cut can lose objects that were answered"
        yield Advice("disk", what, "start the engine without --durability")


def _backup(facts: Facts) -> Iterator[Advice]:
    remedy = "dicomdock backup -o FILE, every night: docs/how-to/back-up-and-restore.md"
    if facts.last_backup is not None:
        days = (facts.now - facts.last_backup).days
        if days > LATE_BACKUP_DAYS:
            yield Advice("backup", f"no backup for {days} days", remedy)
    elif facts.has_sessions:
        yield Advice("backup", "there never was a backup", remedy)


def _certificates(facts: Facts) -> Iterator[Advice]:
    for receiver, note in facts.certificates:
        what, _, remedy = note.partition("; ")
        yield Advice("certificate", f"{receiver}: {what}", remedy or "docs/how-to/use-tls.md")


def _callers(facts: Facts) -> Iterator[Advice]:
    if facts.open_receivers:
        what = f"{_some(facts.open_receivers)}: any caller is accepted, at every address"
        first = facts.open_receivers[0]
        remedy = f"dicomdock receivers edit {first} --whitelist CALLER --whitelist-enabled"
        yield Advice("callers", what, f"{remedy}: docs/how-to/limit-callers.md")


def _anonymization(facts: Facts) -> Iterator[Advice]:
    if facts.as_received:
        what = f"{_some(facts.as_received)}: anonymization is on, but no script is in force"
        remedy = "give the site a script, docs/how-to/anonymize.md, or switch it off with"
        yield Advice(
            "anonymization",
            what,
            f"{remedy} receivers edit {facts.as_received[0]} --no-anonymization",
        )


def _versions(facts: Facts) -> Iterator[Advice]:
    if facts.installed_version not in {"", facts.version}:
        what = f"dicomdock {facts.installed_version} is installed, {facts.version} still runs"
        yield Advice("version", what, "restart the engine")
    for trouble in TROUBLES:
        version = facts.libraries.get(trouble.library)
        if version is not None and _has(trouble, version):
            name = f"{trouble.library} {'.'.join(map(str, version))}"
            yield Advice("version", f"{name} {trouble.what}", trouble.remedy)


def _has(trouble: Trouble, version: tuple[int, ...]) -> bool:
    if not trouble.since <= version < trouble.fixed:
        return False
    # 3.44.7 is of the branch of 3.44.6, and has what that has.
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in trouble.also_fixed)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


CHECKS: tuple[Callable[[Facts], Iterator[Advice]], ...] = (
    _permissions,
    _clock,
    _file_system,
    _space,
    _durability,
    _backup,
    _certificates,
    _callers,
    _anonymization,
    _versions,
)
