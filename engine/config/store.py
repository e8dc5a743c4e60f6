"""The configuration store: reads the configuration file and makes one change to it at a time."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.config.draft import Draft, ProcessorTable
from engine.config.history import (
    PastRevision,
    backup_of_revision,
    history_of,
    newest_number,
    recoverable,
)
from engine.config.masking import mask_problems
from engine.config.reading import require_project_script, require_script, require_scripts_in_force
from engine.config.storage import AtomicJSONStorage
from engine.errors import (
    ChangedMeanwhile,
    ConfigurationError,
    CorruptConfiguration,
    InvalidProject,
    InvalidReceiver,
    NotFound,
    Problem,
)
from engine.model.alerts import require_no_masks
from engine.model.configuration import (
    Configuration,
    parse_configuration,
    project_conflicts,
)
from engine.model.configuration_diff import differences, masked
from engine.model.plugins import DEFAULT_IDENTIFIERS
from engine.model.processor import ProcessorRules
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import DEFAULT_AE_TITLE, DEFAULT_PORT, ReceiverRules, parse_receiver
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.config.history import RecoveryCandidate
    from engine.config.reading import Tables
    from engine.host.clock import Clock
    from engine.model.configuration_diff import FieldDifference
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.receiver import Receiver

BY_HAND = "an editor"
"""Who made a change that came into the file without this program."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Revision:
    """A configuration as it once was, and what it changed in the one before."""

    configuration: Configuration
    made: tuple[FieldDifference, ...]


class ConfigurationStore:
    """The configuration file; every method may be called from any thread and any process.

    Each change is one locked read-modify-write of the whole file. It raises `ConfigurationError`
    and changes nothing if the file, as it is now or as it would become, is not valid.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        identifiers: Sequence[IdentifierInfo] = DEFAULT_IDENTIFIERS,
        processors: ProcessorRules = ProcessorRules(),
        file_namers: Sequence[FileNamerInfo] | None = None,
        in_use: Sequence[Path] = (),
        saved: Callable[[Configuration], None] = lambda _: None,
    ) -> None:
        """Take the file, and what receivers and processors may use that are saved through it.

        `saved` is called with each new revision, once it is on the disk.

        While one of the files `in_use` exists, a missing configuration is an error: they exist
        only where an engine has run. The same is true of backups and kept revisions.
        """
        self._path = path
        self._clock = clock
        self._identifiers = identifiers
        self._file_namers = file_namers
        self._in_use = in_use
        self._saved = saved
        self.history = history_of(path)
        self.processors = ProcessorTable(self._change, self._changed_meanwhile, processors)

    def load(self) -> Configuration:
        """Return what the file says; the defaults if there has never been one.

        Raises:
            ConfigurationError: if the file is lost, can't be read or is not acceptable.
        """
        return self._parse(self._storage().read() or {})

    def create_default(self, actor: str) -> Configuration:
        """Add the first receiver, unless there has ever been one; return what is in force."""
        with self._change(actor) as draft:
            if not draft.had_receivers:
                draft.put_receiver(_first_receiver())
        return draft.configuration

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> tuple[Configuration, Receiver]:
        """Insert (id 0) or replace a receiver; return it with its id.

        Args:
            receiver: what is to be stored.
            actor: who changes it.
            replacing: the receiver as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidReceiver: if it conflicts with the configuration as it is now, or if the files
                of its new TLS settings are missing or don't fit together.
            ChangedMeanwhile: if somebody else changed the receiver after its editor saw it.
            NotFound: if the receiver to replace does not exist any more.
        """
        with self._change(actor) as draft:
            if receiver.id:
                current = draft.configuration.receiver(receiver.id)
                if replacing is not None and current != replacing:
                    seen = replace(draft.configuration, receivers=(replacing,))
                    now = replace(draft.configuration, receivers=(current,))
                    raise self._changed_meanwhile(current.label, seen, now)
            receiver_id = draft.put_receiver(self._checked(receiver, draft.configuration))
        return draft.configuration, draft.configuration.receiver(receiver_id)

    def save_receivers(self, receivers: Sequence[Receiver], actor: str) -> Configuration:
        """Insert and replace several receivers in one revision.

        Raises:
            InvalidReceiver: if one conflicts with the configuration or with another.
        """
        with self._change(actor) as draft:
            for receiver in receivers:
                draft.put_receiver(self._checked(receiver, draft.configuration))
        return draft.configuration

    def set_enabled(
        self, receiver_id: int, enabled: bool, actor: str
    ) -> tuple[Configuration, Receiver]:
        """Enable or disable a receiver.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            receiver = draft.configuration.receiver(receiver_id)
            draft.put_receiver(replace(receiver, enabled=enabled))
        return draft.configuration, draft.configuration.receiver(receiver_id)

    def delete_receiver(self, receiver_id: int, actor: str) -> Configuration:
        """Remove a receiver.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            draft.configuration.receiver(receiver_id)
            draft.table("receivers").remove(doc_ids=[receiver_id])
        return draft.configuration

    def save_project(
        self, project: Project, actor: str, *, replacing: Project | None = None
    ) -> tuple[Configuration, Project]:
        """Add a project, or replace one that its editor saw; return it as it is stored.

        Raises:
            InvalidProject: if its id or an alias names another project, or its script is none.
            ChangedMeanwhile: if somebody else changed the project after its editor saw it.
            NotFound: if the project to replace does not exist any more.
        """
        with self._change(actor) as draft:
            known = draft.configuration.projects
            if replacing is not None and known.project(replacing.id) != replacing:
                seen = replace(draft.configuration, projects=ProjectRegistry((replacing,)))
                current = ProjectRegistry((known.project(replacing.id),))
                now = replace(draft.configuration, projects=current)
                raise self._changed_meanwhile(f"project {replacing.id}", seen, now)
            draft.put_project(_checked_project(project, known, replacing))
        return draft.configuration, draft.configuration.projects.project(project.id)

    def delete_project(self, project_id: str, actor: str) -> Configuration:
        """Remove a project; what was received for it stays where it is.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            table = draft.table("projects")
            if not table.remove(lambda record: record["id"] == project_id):
                raise NotFound(f"there is no project {project_id}", "it may have been deleted")
        return draft.configuration

    def set_site(
        self, site: SiteSettings, actor: str, *, replacing: SiteSettings | None = None
    ) -> Configuration:
        """Replace the site settings; `replacing` is what their editor saw.

        Raises:
            ConfigurationError: if a value is not acceptable, or a receiver not under the new ones;
                if it is the script, with line and column.
            ChangedMeanwhile: if somebody else changed them after their editor saw them.
        """
        with self._change(actor) as draft:
            current = draft.configuration.site
            if replacing is not None and current != replacing:
                seen = replace(draft.configuration, site=replacing)
                raise self._changed_meanwhile("the site", seen, draft.configuration)
            checked = SiteSettings.parse(site.to_record())
            require_script(checked.script)
            require_no_masks(checked.alerts.targets)
            draft.put_single("site", checked.to_record())
        return draft.configuration

    def adopt(self) -> Configuration:
        """Make a revision of what was changed in the file by hand; return what is in force."""
        if not self._path.exists():
            return self.load()  # and make no file
        with self._change(BY_HAND) as draft:
            pass
        return draft.configuration

    def restore(self, number: int, actor: str) -> Configuration:
        """Bring back what an earlier revision said, as a new revision.

        Raises:
            NotFound: if that revision is not kept.
            ConfigurationError: if it is not acceptable any more.
        """
        past = self._past(number)
        with self._change(actor) as draft:
            self._parse(past.tables)
            draft.replace_tables(past.tables)
        return draft.configuration

    def undo(self, actor: str) -> Configuration:
        """Take back the newest change, as a new revision.

        Raises:
            NotFound: if there is no earlier revision.
        """
        current = self.adopt().revision
        earlier = [number for number in self.history.numbers() if number < current]
        if not earlier:
            raise NotFound("there is nothing to undo", "earlier revisions are kept from now on")
        return self.restore(earlier[0], actor)

    def revisions(self, older_than: int | None = None) -> Iterator[Revision]:
        """Yield the kept revisions, newest first, each with what it changed."""
        later: Configuration | None = None
        for past in self.history.revisions(older_than):
            with suppress(ConfigurationError):
                configuration = self._parse(past.tables)
                if later is not None:
                    yield Revision(later, differences(configuration, later))
                later = configuration
        if later is not None:
            yield Revision(later, differences(Configuration(), later))

    def revision(self, number: int) -> Configuration:
        """Return what a revision said.

        Raises:
            NotFound: if it is not kept.
            ConfigurationError: if it is not acceptable any more.
        """
        return self._parse(self._past(number).tables)

    def recoverable(self) -> Iterator[RecoveryCandidate]:
        """Yield what a lost or broken file can be restored from, newest revision first."""
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
                draft.put_receiver(_first_receiver())
            if not self._is_acceptable():
                storage.set_aside()
            if chosen and draft.configuration.revision == newest.number:
                draft.save()
                self._keep(newest.number, tables)
            else:
                self._write(draft, actor, draft.configuration)
        return draft.configuration

    def _is_acceptable(self) -> bool:
        try:
            self.load()
        except ConfigurationError:
            return False
        return True

    def _storage(self) -> AtomicJSONStorage:
        return AtomicJSONStorage(self._path, in_use=self._in_use)

    @contextmanager
    def _change(self, actor: str) -> Iterator[Draft]:
        storage = self._storage()
        with storage.locked():
            newest = self._newest_kept()
            draft = Draft(storage, newest, self._parse)
            replaced = self._replaced(draft.configuration, newest)
            if replaced is not None:
                self._write(draft, BY_HAND, replaced)
            elif draft.tables:
                self._keep(draft.configuration.revision, draft.tables)
            yield draft
            if self._parse(draft.tables) != draft.configuration:
                self._write(draft, actor, draft.configuration)

    def _write(self, draft: Draft, actor: str, before: Configuration) -> None:
        draft.stamp(actor, self._clock)
        draft.stamp_scripts(before)
        draft.configuration = self._parse(draft.tables)
        draft.save()
        self._keep(draft.configuration.revision, draft.tables)
        self._saved(draft.configuration)

    def _keep(self, number: int, tables: Tables) -> None:
        try:
            self.history.keep(number, tables)
        except OSError as error:
            # The change is in force; that it can't be undone is the lesser evil.
            _logger.warning("revision %d is not kept: %s", number, error)

    def _newest_kept(self) -> PastRevision:
        """Return the newest kept revision; without tables if its file is damaged, or none is."""
        number = next(iter(self.history.numbers()), 0)
        try:
            return self.history.revision(number)
        except NotFound:
            return PastRevision(number, {})

    def _replaced(self, now: Configuration, newest: PastRevision) -> Configuration | None:
        """Return the newest kept revision if something else took its place without this program.

        That is an edit of the file, or a backup that was copied over it. A file with a higher
        number than any kept revision is one of ours that could not be kept.
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
            self._keep(number, backup)
            return PastRevision(number, backup)

    def _checked(self, receiver: Receiver, configuration: Configuration) -> Receiver:
        rules = ReceiverRules(
            configuration.site,
            self._identifiers,
            configuration.receivers,
            configuration.projects,
            self._file_namers,
        )
        checked = parse_receiver(receiver.to_record(), rules)
        masks = tuple(mask_problems("identifier_settings", checked.identifier_settings))
        if masks:
            raise InvalidReceiver(*masks)
        before = [known.tls for known in configuration.receivers if known.id == checked.id]
        if checked.tls is not None and checked.tls not in before:
            from engine.certificates.tls_context import (
                load,  # which takes a while, and is rarely needed
            )

            load(checked.tls)
        return checked

    def _changed_meanwhile(
        self, what: str, seen: Configuration, current: Configuration
    ) -> ChangedMeanwhile:
        """Say what changed since an editor looked, and who did it."""
        made = differences(seen, current)
        subjects = {difference.subject for difference in (*made, *differences(current, seen))}
        authors = (
            revision.configuration
            for revision in self.revisions()
            if any(difference.subject in subjects for difference in revision.made)
        )
        author = next(authors, current)
        return ChangedMeanwhile(
            what, author.changed_by, author.changed_at, [d.sentence() for d in masked(made)]
        )

    def _parse(self, tables: Tables) -> Configuration:
        try:
            configuration = parse_configuration(tables)
        except CorruptConfiguration as error:  # it is of a newer program
            problems = (replace(p, field=f"{self._path} {p.field}") for p in error.problems)
            raise CorruptConfiguration(*problems) from error
        require_scripts_in_force(configuration)
        return configuration


def _first_receiver() -> Receiver:
    fresh = {"ae_title": DEFAULT_AE_TITLE, "port": DEFAULT_PORT}
    return parse_receiver(fresh, ReceiverRules())


def _checked_project(
    project: Project, known: ProjectRegistry, replacing: Project | None
) -> Project:
    """Return the project if it may stand beside the others."""
    checked = Project.parse(project.to_record())
    require_project_script(checked)
    if replacing is not None and checked.id != replacing.id:
        message = f"is not {replacing.id}, and folders are named after that"
        raise InvalidProject(Problem("id", checked.id, message, "add a new project instead"))
    others = [p for p in known.projects if replacing is None or p.id != replacing.id]
    problems = [problem for _, problem in project_conflicts((*others, checked))]
    if problems:
        raise InvalidProject(*problems)
    return checked
