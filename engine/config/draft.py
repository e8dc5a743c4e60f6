"""One change of the configuration file, a TinyDB database: written once the whole is good."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from tinydb import TinyDB, where
from tinydb.middlewares import CachingMiddleware
from tinydb.table import Document

from engine.config.masking import mask_problems
from engine.errors import InvalidProcessor
from engine.model.anonymization import REVISION, SITE_SCRIPT
from engine.model.configuration import SCHEMA_VERSION
from engine.model.processor import parse_processor
from engine.model.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from contextlib import AbstractContextManager

    from tinydb.table import Table

    from engine.config.history import PastRevision
    from engine.config.reading import Tables
    from engine.config.storage import AtomicJSONStorage
    from engine.errors import ChangedMeanwhile
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor, ProcessorRules
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver


_LAST_ID = {"receivers": "last_receiver_id", "processors": "last_processor_id"}
"""Where the table `meta` notes the highest id that was given to a record of another."""


class Draft:
    """The file as one change makes it under its lock; discarded unless it comes to `save`."""

    def __init__(
        self,
        storage: AtomicJSONStorage,
        newest: PastRevision,
        parse: Callable[[Tables], Configuration],
        tables: Tables | None = None,
    ) -> None:
        """Open the file, or take `tables` instead of what a lost or broken one says.

        The newest kept revision counts too: no number is given twice.
        """
        self._file = CachingMiddleware(lambda: storage)
        self._file.WRITE_CACHE_SIZE = sys.maxsize  # a change of any length is one write: `save`
        self._database = TinyDB(storage=self._file)
        if tables is not None or self._file.read() is None:
            self._file.write(tables or {})
        self.configuration = parse(self.tables)
        self._newest = newest.number
        metas = [*self.table("meta"), *newest.tables.get("meta", {}).values()]
        self._last_ids = {}
        for name, last in _LAST_ID.items():
            ids = (record.doc_id for record in self.table(name))
            self._last_ids[name] = max([0, *ids, *(_number(meta, last) for meta in metas)])

    @property
    def next_revision(self) -> int:
        """The number of the revision that this change becomes; none is given twice."""
        return max(self.configuration.revision, self._newest) + 1

    @property
    def had_receivers(self) -> bool:
        """Whether a receiver exists or existed once."""
        return self._last_ids["receivers"] > 0

    @property
    def tables(self) -> Tables:
        """The tables as they have become."""
        tables: Tables = self._file.read()
        return tables

    def save(self) -> None:
        """Replace the file's content by the tables; `StorageUnusable` if that fails."""
        self._file.flush()

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
            self.table(name).update(record, doc_ids=[number])
            return number
        self._last_ids[name] += 1
        return self.table(name).insert(Document(record, self._last_ids[name]))

    def put_project(self, project: Project) -> None:
        """Insert a project, or replace the one with its id."""
        self.table("projects").upsert(project.to_record(), where("id") == project.id)

    def stamp_scripts(self, before: Configuration) -> None:
        """Give each script the revision that brought it; what a record says of that is ignored."""
        now = self.next_revision
        self._stamp_projects(before.projects, now)

        def stamp(record: MutableMapping[str, Any]) -> None:
            same = (record.get(SITE_SCRIPT) or "") == before.site.script.text
            record[REVISION] = before.site.script.revision if same else now

        self.table("site").update(stamp)

    def _stamp_projects(self, before: ProjectRegistry, now: int) -> None:
        known = {project.id: project for project in before.projects}

        def stamp(record: MutableMapping[str, Any]) -> None:
            former = known.get(record["id"], Project(record["id"]))
            same = (record.get("anonymization_script") or "") == former.anonymization_script
            revision = former.anonymization_script_revision if same else now
            record["anonymization_script_revision"] = revision

        self.table("projects").update(stamp)

    def replace_tables(self, tables: Tables) -> None:
        """Take over all tables of another revision except the one that counts revisions."""
        self._file.write({**tables, "meta": self.tables.get("meta", {})})

    def put_single(self, name: str, record: Mapping[str, Any]) -> None:
        """Set the members of a table's only record."""
        table = self.table(name)
        if not table.update(record):
            table.insert(record)

    def stamp(self, actor: str, clock: Clock) -> None:
        """Note that this is a new revision, who made it, and when."""
        record = {
            "schema": SCHEMA_VERSION,
            "revision": self.next_revision,
            "changed_by": actor,
            "changed_at": clock.now().isoformat(timespec="seconds"),
            **{_LAST_ID[name]: number for name, number in self._last_ids.items()},
        }
        self.put_single("meta", record)


def _number(meta: object, name: str) -> int:
    """Return a count of a record that may not have been checked."""
    value = meta.get(name) if isinstance(meta, Mapping) else None
    return value if isinstance(value, int) else 0


class _Change(Protocol):
    def __call__(self, actor: str) -> AbstractContextManager[Draft]: ...


class _ChangedMeanwhile(Protocol):
    def __call__(
        self, what: str, seen: Configuration, current: Configuration
    ) -> ChangedMeanwhile: ...


class ProcessorTable:
    """Adds, changes and removes processors; every method may be called from any thread."""

    def __init__(
        self, change: _Change, changed_meanwhile: _ChangedMeanwhile, rules: ProcessorRules
    ) -> None:
        self._change = change
        self._changed_meanwhile = changed_meanwhile
        self._rules = rules

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> tuple[Configuration, Processor]:
        """Insert (id 0) or replace a processor; return it with its id.

        Args:
            processor: what is to be stored.
            actor: who changes it.
            replacing: the processor as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidProcessor: if it conflicts with the configuration as it is now, or its class
                does not accept what it is told.
            ChangedMeanwhile: if somebody else changed the processor after its editor saw it.
            NotFound: if the processor to replace does not exist any more.
        """
        with self._change(actor) as draft:
            before = draft.configuration
            if processor.id:
                current = before.processor(processor.id)
                if replacing is not None and current != replacing:
                    seen = replace(before, processors=(replacing,))
                    now = replace(before, processors=(current,))
                    raise self._changed_meanwhile(f"processor {current.label}", seen, now)
            processor_id = draft.put_processor(self._checked(processor, before))
        return draft.configuration, draft.configuration.processor(processor_id)

    def set_enabled(
        self, processor_id: int, enabled: bool, actor: str
    ) -> tuple[Configuration, Processor]:
        """Enable or disable a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            processor = draft.configuration.processor(processor_id)
            draft.put_processor(replace(processor, enabled=enabled))
        return draft.configuration, draft.configuration.processor(processor_id)

    def delete(self, processor_id: int, actor: str) -> Configuration:
        """Remove a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            draft.configuration.processor(processor_id)
            draft.table("processors").remove(doc_ids=[processor_id])
        return draft.configuration

    def _checked(self, processor: Processor, configuration: Configuration) -> Processor:
        rules = replace(
            self._rules, others=configuration.processors, projects=configuration.projects
        )
        checked = parse_processor(processor.to_record(), rules)
        masks = tuple(mask_problems("parameters", checked.parameters))
        if masks:
            raise InvalidProcessor(*masks)
        return checked
