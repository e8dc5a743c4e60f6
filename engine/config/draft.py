"""One change of the configuration: its tables in memory until the whole is known to be good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinydb import TinyDB, where
from tinydb.storages import MemoryStorage
from tinydb.table import Document

from engine.model.anonymization import REVISION, SITE_SCRIPT
from engine.model.configuration import SCHEMA_VERSION
from engine.model.project import Project

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tinydb.table import Table

    from engine.config.history import PastRevision
    from engine.config.reading import Tables
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver


class Draft:
    """The tables as one change makes them; discarded unless the whole of it is good."""

    def __init__(
        self, tables: Tables | None, configuration: Configuration, newest: PastRevision
    ) -> None:
        """Take what the file says, and the newest kept revision: no number is given twice."""
        self.configuration = configuration
        self._newest = newest.number
        self._database = TinyDB(storage=MemoryStorage)
        self._database.storage.write(tables or {})
        metas = [*self.table("meta"), *newest.tables.get("meta", {}).values()]
        ids = [receiver.id for receiver in configuration.receivers]
        self._last_id = max([0, *ids, *(_number(meta, "last_receiver_id") for meta in metas)])
        ids = [processor.id for processor in configuration.processors]
        last = (_number(meta, "last_processor_id") for meta in metas)
        self._last_processor_id = max([0, *ids, *last])

    @property
    def next_revision(self) -> int:
        """The number of the revision that this change becomes; none is given twice."""
        return max(self.configuration.revision, self._newest) + 1

    @property
    def had_receivers(self) -> bool:
        """Whether a receiver exists or existed once."""
        return bool(self._last_id > 0)

    @property
    def tables(self) -> Tables:
        """The tables as they have become."""
        return self._database.storage.read() or {}

    def table(self, name: str) -> Table:
        """Return one of TinyDB's tables."""
        return self._database.table(name)

    def put_receiver(self, receiver: Receiver) -> int:
        """Insert or replace a receiver and return its id.

        An id is never used twice, so that a dialog that was opened before a deletion can't
        overwrite a receiver that was added after it.
        """
        record = receiver.to_record()
        del record["id"]
        if receiver.id:
            self.configuration.receiver(receiver.id)
            self.table("receivers").update(record, doc_ids=[receiver.id])
            return receiver.id
        self._last_id += 1
        return self.table("receivers").insert(Document(record, self._last_id))

    def put_processor(self, processor: Processor) -> int:
        """Insert or replace a processor and return its id, which is never used twice either."""
        record = processor.to_record()
        del record["id"]
        if processor.id:
            self.configuration.processor(processor.id)
            self.table("processors").update(record, doc_ids=[processor.id])
            return processor.id
        self._last_processor_id += 1
        return self.table("processors").insert(Document(record, self._last_processor_id))

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
        meta = self.tables.get("meta", {})
        self._database.storage.write({**tables, "meta": meta})

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
            "last_receiver_id": self._last_id,
            "last_processor_id": self._last_processor_id,
        }
        self.put_single("meta", record)


def _number(meta: object, name: str) -> int:
    """Return a count of a record that may not have been checked."""
    value = meta.get(name) if isinstance(meta, Mapping) else None
    return value if isinstance(value, int) else 0
