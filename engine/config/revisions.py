"""Revisions of the configuration file: making, reading, undoing and recovering them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tinydb import TinyDB
from tinydb.middlewares import CachingMiddleware
from tinydb.table import Document

from engine.config.history import (
    PastRevision,
    backup_of_revision,
    history_of,
    newest_number,
    recoverable,
)
from engine.config.reading import Content, require_scripts_in_force, separate, share
from engine.config.storage import AtomicJSONStorage
from engine.errors import (
    ConfigurationError,
    CorruptConfiguration,
    NotFound,
    ReadOnlyConfiguration,
)
from engine.model.anonymization import REVISION, SITE_SCRIPT
from engine.model.configuration import (
    SCHEMA_VERSION,
    Configuration,
    Parsed,
    parse_configuration,
)
from engine.model.configuration_diff import differences
from engine.model.receiver import DEFAULT_AE_TITLE, DEFAULT_PORT, ReceiverRules, parse_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tinydb.table import Table

    from engine.config.history import RecoveryCandidate
    from engine.config.reading import Tables
    from engine.host.clock import Clock
    from engine.model.configuration_diff import FieldDifference
    from engine.model.known_peer import KnownPeer
    from engine.model.processor import Processor
    from engine.model.project import Project
    from engine.model.receiver import Receiver

BY_HAND = "an editor"
"""The author of a revision that was made without this program."""

_logger = logging.getLogger(__name__)

_LAST_ID = {"receivers": "last_receiver_id", "processors": "last_processor_id"}
"""The members of table `meta` that hold the highest id ever given in another table."""


class Draft:
    """The file, a TinyDB database, as one change makes it under its lock.

    Nothing is written before `save`, and then the whole at once.
    """

    def __init__(
        self,
        storage: AtomicJSONStorage,
        newest: PastRevision,
        parse: Callable[[Tables], Configuration],
        tables: Tables | None = None,
    ) -> None:
        """Open the file, or take its `tables`, which may be those of a lost or broken one.

        The numbers of the newest kept revision count too, so that none is given twice.
        """
        self._storage = storage
        self._file = CachingMiddleware(lambda: storage)
        self._file.WRITE_CACHE_SIZE = sys.maxsize  # a change of any length is one write: `save`
        self._database = TinyDB(storage=self._file)
        as_read = storage.read() or {} if tables is None else tables
        self.configuration = parse(as_read)
        self._checked = as_read
        """The tables that are `configuration`."""
        self._file.write(separate(as_read))
        self._newest = newest.number
        metas = [*self.table("meta"), *newest.tables.get("meta", {}).values()]
        self._last_ids = {}
        for name, last in _LAST_ID.items():
            ids = (record.doc_id for record in self.table(name))
            self._last_ids[name] = max([0, *ids, *(_number(meta, last) for meta in metas)])

    @property
    def next_revision(self) -> int:
        """The number of the revision that this change becomes."""
        return max(self.configuration.revision, self._newest) + 1

    @property
    def had_receivers(self) -> bool:
        """Whether a receiver exists or existed once."""
        return self._last_ids["receivers"] > 0

    @property
    def tables(self) -> Tables:
        """The tables with all changes so far."""
        tables: Tables = self._file.read()
        return tables

    @property
    def content(self) -> Content | None:
        """The content of the file, as it was read or saved last."""
        return self._storage.content

    def save(self, configuration: Configuration) -> None:
        """Replace the file's content by the tables, which are this configuration.

        Raises:
            StorageUnusable: if that fails.
        """
        self._file.flush()
        self.configuration = configuration
        self._checked = separate(self.tables)

    def table(self, name: str) -> Table:
        """Return one of TinyDB's tables."""
        return self._database.table(name)

    def put_receiver(self, receiver: Receiver) -> int:
        """Insert or replace a receiver and return its id."""
        if receiver.id:
            self.configuration.receiver(receiver.id)
        return self._put("receivers", receiver.to_record())

    def put_processor(self, processor: Processor) -> int:
        """Insert or replace a processor and return its id."""
        if processor.id:
            self.configuration.processor(processor.id)
        return self._put("processors", processor.to_record())

    def _put(self, name: str, record: dict[str, Any]) -> int:
        # An id is never used twice, so that a dialog that was opened before a deletion can't
        # overwrite what was added after it.
        number: int = record.pop("id")
        if number:
            self._update(name, record, [number])
            return number
        self._last_ids[name] += 1
        # TinyDB itself would give the highest number that is left, plus one.
        return self.table(name).insert(Document(record, self._last_ids[name]))

    def put_project(self, project: Project) -> None:
        """Insert a project, or replace the one with its id."""
        record = project.to_record()
        # Not by a query of TinyDB, which makes an object of each record first.
        known = self.tables.get("projects", {}).items()
        numbers = [int(key) for key, one in known if one["id"] == project.id]
        if numbers:
            self._update("projects", record, numbers)
        else:
            self.table("projects").insert(record)

    def remove(self, name: str, numbers: Iterable[int]) -> None:
        """Remove records of a table by their ids, which exist."""
        self.table(name).remove(doc_ids=list(numbers))

    def remove_peer(self, ae_title: str) -> None:
        """Remove the peer with an AE title."""
        self.table("peers").remove(lambda record: record["ae_title"].strip() == ae_title)

    def put_peer(self, peer: KnownPeer) -> None:
        """Insert a peer, or replace the one with its AE title."""
        known = self.tables.get("peers", {}).items()
        numbers = [int(key) for key, one in known if one["ae_title"].strip() == peer.ae_title]
        if numbers:
            self._update("peers", peer.to_record(), numbers)
        else:
            self.table("peers").insert(peer.to_record())

    def replace_tables(self, tables: Tables) -> None:
        """Use the tables of another revision, except `meta`, which counts revisions."""
        self._file.write({**separate(tables), "meta": self.tables.get("meta", {})})

    def put_single(self, name: str, record: Mapping[str, Any]) -> None:
        """Set the members of a table's only record."""
        numbers = [int(key) for key in self.tables.get(name, {})]
        if numbers:
            self._update(name, record, numbers)
        else:
            self.table(name).insert(record)

    def _update(self, name: str, members: Mapping[str, Any], numbers: Sequence[int]) -> None:
        records = self.tables[name]
        for key in map(str, numbers):
            # TinyDB changes records where they are, and others know this one: see `Content`.
            records[key] = dict(records[key])
        self.table(name).update(members, doc_ids=numbers)

    def stamp(self, actor: str, clock: Clock, before: Configuration) -> None:
        """Give the draft its revision, author and time.

        A script that differs from the one in `before` gets the new revision too, others keep
        theirs. A revision that a record itself gives for its script is ignored.
        """
        record = {
            "schema": SCHEMA_VERSION,
            "revision": self.next_revision,
            "changed_by": actor,
            "changed_at": clock.now().isoformat(timespec="seconds"),
            **{_LAST_ID[name]: number for name, number in self._last_ids.items()},
        }
        self.put_single("meta", record)
        stamped = self._checked if before is self.configuration else {}
        site = (before.site.script.text, before.site.script.revision)
        self._stamp_scripts("site", self._others("site", stamped), lambda _: site)
        changed = self._others("projects", stamped)
        ids = {record["id"] for record in changed.values()}
        projects = {
            project.id: (project.anonymization_script, project.anonymization_script_revision)
            for project in before.projects.projects
            if project.id in ids
        }
        self._stamp_scripts("projects", changed, lambda record: projects.get(record["id"], ("", 0)))

    def _others(self, table: str, tables: Tables) -> dict[int, dict[str, Any]]:
        """Return the records of a table that are other objects than in `tables`, by id."""
        known = tables.get(table, {})
        records = self.tables.get(table, {})
        return {int(key): one for key, one in records.items() if known.get(key) is not one}

    def _stamp_scripts(
        self,
        table: str,
        records: Mapping[int, Mapping[str, Any]],
        former: Callable[[Mapping[str, Any]], tuple[str, int]],
    ) -> None:
        stamps: dict[int, list[int]] = {}
        for number, record in records.items():
            text, revision = former(record)
            is_same = (record.get(SITE_SCRIPT) or "") == text
            stamp = revision if is_same else self.next_revision
            # Other records are left as they are: one change is one record, of however many.
            if record.get(REVISION) != stamp:
                stamps.setdefault(stamp, []).append(number)
        for stamp, numbers in stamps.items():
            self._update(table, {REVISION: stamp}, numbers)


def _number(meta: object, name: str) -> int:
    """Return a number of a record that may be invalid, such as one of a kept revision; else 0."""
    value = meta.get(name) if isinstance(meta, Mapping) else None
    return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision, and its differences from the one before."""

    configuration: Configuration
    made: tuple[FieldDifference, ...]


class RevisionedFile:
    """The configuration file with its history; for any thread and any process."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        in_use: Sequence[Path],
        saved: Callable[[Configuration], None],
        check: Callable[[Configuration], None],
    ) -> None:
        self._path = path
        self._clock = clock
        self._in_use = in_use
        self._saved = saved
        self._check = check
        self.history = history_of(path)
        self._known: tuple[Content, Parsed] | None = None
        """The file as it was last, so that only what changes is parsed and checked."""

    def load(self) -> Configuration:
        """Return what the file says; the defaults if there has never been one.

        Raises:
            ConfigurationError: if the file is lost, can't be read or is not acceptable.
        """
        storage = self._storage()
        configuration = self._parse(storage.read() or {})
        self._remember(storage.content, configuration)
        return configuration

    def is_broken(self) -> bool:
        """Tell whether the file is lost, can't be read or is not acceptable."""
        try:
            self.load()
        except ConfigurationError:
            return True
        return False

    def adopt(self) -> Configuration:
        """Make a revision of changes made by hand; return the configuration of the file."""
        if not self._path.exists():
            return self.load()  # and make no file
        with self._open() as draft:
            return draft.configuration

    def restore(self, number: int, actor: str) -> Configuration:
        """Restore an earlier revision, as a new revision.

        Raises:
            NotFound: if that revision is not kept.
            ConfigurationError: if it is not acceptable any more.
        """
        past = self._past(number)
        with self._change(actor) as draft:
            # Raises before anything is changed: an old revision may not be acceptable any more.
            self._parse(past.tables)
            draft.replace_tables(past.tables)
        return draft.configuration

    def undo(self, actor: str) -> Configuration:
        """Undo the newest change, as a new revision.

        Raises:
            NotFound: if there is no earlier revision.
        """
        # First, so that a change made by hand is what is undone, not the change before it.
        current = self.adopt().revision
        for number in [number for number in self.history.numbers() if number < current]:
            restored = self.restore(number, actor)
            # Else it says the same: only that a document declares the configuration has changed.
            if restored.revision != current:
                return restored
        raise NotFound("there is nothing to undo", "earlier revisions are kept from now on")

    def revisions(self, older_than: int | None = None) -> Iterator[Revision]:
        """Yield the kept revisions, newest first, each with what it changed."""
        later: Parsed | None = None
        for past in self.history.revisions(older_than):
            tables = past.tables if later is None else share(past.tables, later.raw)
            with suppress(ConfigurationError):
                configuration = self._parse(tables, later)
                if later is not None:
                    made = differences(configuration, later.configuration)
                    yield Revision(later.configuration, made)
                later = Parsed(tables, configuration)
        if later is not None:
            made = differences(Configuration(), later.configuration)
            yield Revision(later.configuration, made)

    def revision(self, number: int) -> Configuration:
        """Return the configuration of a revision.

        Raises:
            NotFound: if it is not kept.
            ConfigurationError: if it is not acceptable any more.
        """
        return self._parse(self._past(number).tables)

    def recoverable(self) -> Iterator[RecoveryCandidate]:
        """Yield the revisions and backups that can restore the file, newest first."""
        return recoverable(self._path)

    def recover(self, chosen: RecoveryCandidate | None, actor: str) -> Configuration:
        """Replace a lost or broken file; a broken one is kept under another name.

        The newest revision comes back with its number and author. An earlier one, and the defaults,
        become a new revision.

        Args:
            chosen: one of `recoverable`; None for the defaults.
            actor: who does it.

        Raises:
            StorageUnusable: if it can't be written.
        """
        storage = self._storage()
        with storage.locked():
            known = next(self.recoverable(), None)
            newest = PastRevision(newest_number(self._path), known.tables if known else {})
            tables = chosen.tables if chosen else {}
            draft = Draft(storage, newest, self._parse, tables)
            if chosen is None:
                draft.put_receiver(first_receiver())
            if not self._is_acceptable():
                storage.set_aside()
            if chosen and draft.configuration.revision == newest.number:
                draft.save(draft.configuration)
                self._keep(newest.number, draft.content)
            else:
                self._write(draft, self._stamped(draft, actor, draft.configuration))
        return draft.configuration

    def _had_receivers(self) -> bool:
        storage = self._storage()
        return Draft(storage, self._newest_kept(), self._parse).had_receivers

    @contextmanager
    def _change(self, actor: str, *, declares: bool = False) -> Iterator[Draft]:
        """Yield a draft for one change; it becomes a revision unless it changes nothing.

        Args:
            actor: who changes it.
            declares: whether the change comes from the document that may alone make changes, or
                ends that.

        Raises:
            ReadOnlyConfiguration: if there is such a document, and it is no change by it.
        """
        with self._open() as draft:
            before = draft.configuration
            if before.source and not declares:
                raise ReadOnlyConfiguration(before.source)
            yield draft
            after = self._stamped(draft, actor, before)
            if not after.has_settings_of(before):
                self._check(after)
                self._write(draft, after)

    @contextmanager
    def _open(self) -> Iterator[Draft]:
        """Lock and read the file; a change made by hand becomes a revision first."""
        storage = self._storage()
        with storage.locked():
            tables = storage.read() or {}
            number = next(iter(self.history.numbers()), 0)
            # Equal bytes are what this program wrote and kept: nothing to compare or to keep.
            is_kept = storage.content is not None and self.history.holds(
                number, storage.content.raw
            )
            newest = PastRevision(number, tables) if is_kept else self._newest_kept()
            draft = Draft(storage, newest, self._parse, tables)
            self._remember(storage.content, draft.configuration)
            if not is_kept and draft.tables != newest.tables:
                self._adopt(draft, newest)
            yield draft

    def _adopt(self, draft: Draft, newest: PastRevision) -> None:
        replaced = self._replaced(draft.configuration, newest)
        if replaced is not None:
            self._write(draft, self._stamped(draft, BY_HAND, replaced))
        elif draft.tables:
            self._keep(draft.configuration.revision, draft.content)

    def _stamped(self, draft: Draft, actor: str, before: Configuration) -> Configuration:
        draft.stamp(actor, self._clock, before)
        return self._parse(draft.tables)

    def _write(self, draft: Draft, configuration: Configuration) -> None:
        """Save a draft, whose tables are this configuration, and keep it for undo."""
        draft.save(configuration)
        self._remember(draft.content, configuration)
        self._keep(configuration.revision, draft.content)
        self._saved(configuration)

    def _remember(self, content: Content | None, configuration: Configuration) -> None:
        known = Parsed(content.tables, configuration) if content else None
        self._known = (content, known) if content and known else None

    def _keep(self, number: int, content: Content | None) -> None:
        if content is None:
            return
        try:
            self.history.keep(number, content)
        except OSError as error:
            # The change is in force: to fail now would be wrong, though it can't be undone.
            _logger.warning("revision %d is not kept: %s", number, error)

    def _newest_kept(self) -> PastRevision:
        """Return the newest kept revision; without tables if there is none or it is damaged."""
        number = next(iter(self.history.numbers()), 0)
        try:
            return self.history.revision(number)
        except NotFound:
            return PastRevision(number, {})

    def _replaced(self, now: Configuration, newest: PastRevision) -> Configuration | None:
        """Return the newest kept revision if the file was changed without this program; else None.

        It was edited, or a backup was copied over it. A file with a higher number than any kept
        revision was written by this program, but could not be kept.
        """
        if now.revision > newest.number:
            return None
        try:
            kept = self._parse(newest.tables) if newest.tables else now
        except ConfigurationError:
            kept = now
        return kept if now.revision < newest.number or differences(kept, now) else None

    def _past(self, number: int) -> PastRevision:
        """Return a kept revision; if its file is damaged, a backup replaces that file."""
        try:
            return self.history.revision(number)
        except NotFound:
            backup = backup_of_revision(self._path, number)
            if backup is None:
                raise
            self._keep(number, Content.of(backup))
            return PastRevision(number, backup)

    def _is_acceptable(self) -> bool:
        try:
            self.load()
        except ConfigurationError:
            return False
        return True

    def _storage(self) -> AtomicJSONStorage:
        known = self._known[0] if self._known else None
        return AtomicJSONStorage(self._path, in_use=self._in_use, known=known)

    def _parse(self, tables: Tables, earlier: Parsed | None = None) -> Configuration:
        earlier = earlier or (self._known[1] if self._known else None)
        if earlier is not None and earlier.raw is tables:
            return earlier.configuration
        try:
            configuration = parse_configuration(tables, earlier)
        except CorruptConfiguration as error:  # it is of a newer program
            problems = (replace(p, field=f"{self._path} {p.field}") for p in error.problems)
            raise CorruptConfiguration(*problems) from error
        require_scripts_in_force(configuration)
        return configuration


def first_receiver() -> Receiver:
    """Return the receiver of a new installation."""
    fresh = {"ae_title": DEFAULT_AE_TITLE, "port": DEFAULT_PORT}
    return parse_receiver(fresh, ReceiverRules())
