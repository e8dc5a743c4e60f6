"""A disk as records of calls make it: what is on it for sure, and what a power cut may still undo.

The rules are those of POSIX, and no file system is as cruel: a write is on the disk once its file
was flushed, a name once its folder was. Until then each of them may get there or not, in any
combination, and a write in pieces. A rename is one change of both its folders, undone as a whole.
After a flush that failed, what it was to flush may be lost even if a later one succeeds.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.crash.calls import Record

SHARED_MEMORY = "-shm"
"""SQLite's memory of its log: written through `mmap`, and made anew by whoever opens first."""


@dataclass(eq=False)
class Write:
    """A write, or a cut to a size, that a power cut may undo."""

    offset: int
    data: bytes | None
    """None for a cut."""
    lost: bool = False
    """A flush of it failed: no later one can be trusted."""


class File:
    """A file, whatever its names."""

    def __init__(self, inode: int, content: bytes = b"") -> None:
        self.inode = inode
        """Its number on the real disk."""
        self._flushed = content
        """What is on the disk for sure."""
        self.pending: list[Write] = []
        self._image = bytearray(content)
        """What a program sees."""
        self._live: bytes | None = content

    def write(self, write: Write) -> None:
        self.pending.append(write)
        _write(self._image, write)
        self._live = None

    def flush(self) -> None:
        if any(write.lost for write in self.pending):
            self._flushed = self.as_of([write for write in self.pending if not write.lost])
        else:
            self._flushed = self.as_of(self.pending)
        self.pending = [write for write in self.pending if write.lost]

    def fail_to_flush(self) -> None:
        for write in self.pending:
            write.lost = True

    def as_of(self, writes: Sequence[Write]) -> bytes:
        """Return the content with some of the pending writes."""
        if not writes:
            return self._flushed
        if writes is self.pending:
            self._live = bytes(self._image) if self._live is None else self._live
            return self._live
        image = bytearray(self._flushed)
        for write in writes:
            _write(image, write)
        return bytes(image)


@dataclass(eq=False)
class Folder:
    """A folder."""

    names: dict[str, tuple[int, Node | None]] = field(default_factory=dict)
    """What is on the disk for sure: each name's last change, by its number."""
    live: dict[str, Node] = field(default_factory=dict)
    """What a program sees."""


Node = File | Folder


@dataclass(eq=False, frozen=True)
class Naming:
    """One change of names that a power cut may undo: all of it, or nothing."""

    number: int
    names: tuple[tuple[Folder, str, Node | None], ...]
    moved: Node | None = None
    """What a rename moves, which must never have both names."""


class Leaf(NamedTuple):
    """A file under one of its names."""

    inode: int
    content: bytes


Tree = dict[str, "Leaf | None"]
"""What there is on a disk: files by path, None for a folder."""


class Disk:
    """A disk that follows records."""

    def __init__(self, root: Path) -> None:
        """Begin with a folder as it is, all of it on the disk for sure."""
        self.root = Folder()
        self._inodes: dict[int, Node] = {root.stat().st_ino: self.root}
        self._numbers = count(1)
        self.pending: list[Naming] = []
        """In the order in which the changes were made."""
        self._scan(root, self.root)

    def _scan(self, path: Path, folder: Folder) -> None:
        for entry in os.scandir(path):
            status = entry.stat(follow_symlinks=False)
            node: Node
            if stat.S_ISDIR(status.st_mode):
                node = Folder()
                self._scan(path / entry.name, node)
            elif stat.S_ISREG(status.st_mode):
                node = self._inodes.get(status.st_ino) or File(
                    status.st_ino, (path / entry.name).read_bytes()
                )
            else:
                continue
            self._inodes[status.st_ino] = node
            folder.live[entry.name] = node
            folder.names[entry.name] = (0, node)

    def apply(self, record: Record) -> None:
        """Follow one record; what is about other folders than ours is passed over."""
        match record.op:
            case "c" | "d":
                self._make(record)
            case "l":
                folder, node = self._folder(record.folder), self._inodes.get(record.inode)
                if folder is not None and node is not None:
                    self._name(None, (folder, record.name, node))
            case "r":
                self._rename(record)
            case "u":
                folder = self._folder(record.folder)
                if folder is not None and record.name in folder.live:
                    self._name(None, (folder, record.name, None))
            case "w" | "t":
                file = self._inodes.get(record.inode)
                if isinstance(file, File):
                    data = record.data if record.op == "w" else None
                    file.write(Write(record.offset, data))
            case "s":
                self._flush(self._inodes.get(record.inode))
            case "e":
                file = self._inodes.get(record.inode)
                if isinstance(file, File):
                    file.fail_to_flush()
            case "n":
                pass
            case other:
                raise AssertionError(f"no rule for {other}")

    def _make(self, record: Record) -> None:
        folder = self._folder(record.folder)
        if folder is None and record.name:
            return
        node = File(record.inode) if record.op == "c" else Folder()
        self._inodes[record.inode] = node
        if folder is not None and record.name:
            self._name(None, (folder, record.name, node))

    def _rename(self, record: Record) -> None:
        source, target = self._folder(record.folder), self._folder(record.other_folder)
        node = self._inodes.get(record.inode)
        if source is None or target is None or node is None:
            assert source is target is None, f"{record.name} goes in or out of the folder"
            return
        self._name(node, (source, record.name, None), (target, record.other_name, node))

    def _folder(self, inode: int) -> Folder | None:
        node = self._inodes.get(inode)
        return node if isinstance(node, Folder) else None

    def _name(self, moved: Node | None, *names: tuple[Folder, str, Node | None]) -> None:
        self.pending.append(Naming(next(self._numbers), names, moved))
        for folder, name, node in names:
            if node is None:
                folder.live.pop(name, None)
            else:
                folder.live[name] = node

    def _flush(self, node: Node | None) -> None:
        if isinstance(node, File):
            node.flush()
        elif isinstance(node, Folder):
            flushed = {c for c in self.pending if any(folder is node for folder, *_ in c.names)}
            flushed = complete(flushed, self.pending)
            for change in self.pending:
                if change in flushed:
                    _settle(change)
            self.pending = [change for change in self.pending if change not in flushed]

    def live(self) -> Tree:
        """Return what a program sees, and what a kill leaves."""
        return self.tree(self.pending, lambda file: file.pending)

    def tree(self, names: Iterable[Naming], writes: Callable[[File], Sequence[Write]]) -> Tree:
        """Return what is there if only some of the pending changes got to the disk."""
        changed: dict[tuple[int, str], Node | None] = {}
        numbers: dict[tuple[int, str], int] = {}
        for change in sorted(names, key=lambda change: change.number):
            for folder, name, node in change.names:
                if change.number > folder.names.get(name, (0, None))[0]:
                    changed[id(folder), name] = node
                    numbers[id(folder), name] = change.number
        by_folder: dict[int, dict[str, Node | None]] = {}
        for (folder_id, name), node in changed.items():
            by_folder.setdefault(folder_id, {})[name] = node
        tree: Tree = {}
        _walk(self.root, "", by_folder, writes, tree)
        return tree


def complete(chosen: set[Naming], pending: Iterable[Naming]) -> set[Naming]:
    """Add the earlier renames of whatever is renamed: nothing is ever in two places by a rename."""
    moved: dict[int, list[Naming]] = {}
    whole = set(chosen)
    for change in pending:
        if change.moved is not None:
            earlier = moved.setdefault(id(change.moved), [])
            if change in whole:
                whole.update(earlier)
            earlier.append(change)
    return whole


def _settle(change: Naming) -> None:
    for folder, name, node in change.names:
        if change.number > folder.names.get(name, (0, None))[0]:
            folder.names[name] = (change.number, node)


def _walk(
    folder: Folder,
    path: str,
    changed: Mapping[int, Mapping[str, Node | None]],
    writes: Callable[[File], Sequence[Write]],
    tree: Tree,
) -> None:
    names = {name: node for name, (_, node) in folder.names.items()}
    names |= changed.get(id(folder), {})
    for name, node in sorted(names.items()):
        if node is None or name.endswith(SHARED_MEMORY):
            continue
        inner = f"{path}/{name}" if path else name
        if isinstance(node, Folder):
            tree[inner] = None
            _walk(node, inner, changed, writes, tree)
        else:
            tree[inner] = Leaf(node.inode, node.as_of(writes(node)))


def _write(image: bytearray, write: Write) -> None:
    end = write.offset + len(write.data or b"")
    if len(image) < end:
        image.extend(bytes(end - len(image)))
    if write.data is None:
        del image[write.offset :]
    else:
        image[write.offset : end] = write.data


def fingerprint(tree: Tree) -> int:
    """Return what two equal trees have in common, whatever the numbers of their files."""
    first: dict[int, str] = {}
    return hash(
        tuple(
            (path, leaf and (first.setdefault(leaf.inode, path), leaf.content))
            for path, leaf in tree.items()
        )
    )


def tree_of(root: Path) -> Tree:
    """Return what there is in a real folder."""
    return Disk(root).live()


def lay_out(tree: Tree, root: Path) -> dict[int, int]:
    """Make a folder of a tree, and return the number of each file there by its former one."""
    root.mkdir(mode=0o750)
    made: dict[int, Path] = {}
    inodes: dict[int, int] = {}
    for path, leaf in tree.items():
        target = root / path
        if leaf is None:
            target.mkdir(0o750)
        elif leaf.inode in made:
            target.hardlink_to(made[leaf.inode])
        else:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            os.write(fd, leaf.content)
            inodes[leaf.inode] = os.fstat(fd).st_ino
            os.close(fd)
            made[leaf.inode] = target
    return inodes
