"""The configuration store: all changes of the configuration, each checked and a new revision."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.config.declaration import declared
from engine.config.document import read_document
from engine.config.masking import mask_problems
from engine.config.reading import require_project_script, require_script
from engine.config.revisions import RevisionedFile, first_receiver
from engine.errors import (
    ChangedMeanwhile,
    ConfigurationError,
    InvalidDeclaration,
    InvalidPeer,
    InvalidProcessor,
    InvalidProject,
    InvalidReceiver,
    NotFound,
    Problem,
)
from engine.model.alerts import require_no_masks
from engine.model.configuration import Configuration, project_conflicts
from engine.model.configuration_diff import differences, masked
from engine.model.known_peer import parse_known_peer, peer_named
from engine.model.plugins import DEFAULT_IDENTIFIERS
from engine.model.processor import ProcessorRules, parse_processor
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import ReceiverRules, parse_receiver
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.config.revisions import Draft
    from engine.host.clock import Clock
    from engine.model.known_peer import KnownPeer
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.processor import Processor
    from engine.model.receiver import Receiver

T = TypeVar("T")


class ConfigurationStore(RevisionedFile):
    """Changes the configuration; every method may be called from any thread and any process.

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
        check: Callable[[Configuration], None] = lambda _: None,
    ) -> None:
        """Take the file, and the plug-ins that receivers and processors may use.

        `saved` is called with each new revision, once it is on the disk; `check` with what a change
        would make, and raises `ConfigurationError` to reject it.

        While one of the files `in_use` exists, a missing configuration is an error: they exist
        only where an engine has run. The same is true of backups and kept revisions.
        """
        super().__init__(path, clock, in_use, saved, check)
        self._identifiers = identifiers
        self._file_namers = file_namers
        self._processors = processors

    def declare(self, path: Path, actor: str, named: set[Path] | None = None) -> Configuration:
        """Make the configuration what a document says, which alone may change it from now on.

        Args:
            path: the document. What it does not say has defaults, in each part that it has.
            actor: who declares it.
            named: gets the paths of the files that the document refers to, also after an error.

        Raises:
            InvalidDeclaration: if the document is not acceptable.
            ConfigurationError: if the file as it is now is not acceptable, or `check` says so.
        """
        before = self.adopt()
        try:
            document = read_document(path, named)
            after = declared(document, before, prune=True)
            after = replace(self.checked_plan(after, before), source=str(path))
        except ConfigurationError as error:
            raise InvalidDeclaration(str(path), *error.problems) from error
        return self.save_plan(after, before, actor, declares=True)

    def end_declaration(self, actor: str) -> Configuration:
        """Let everybody change the configuration again, if a document declares it."""
        before = self.load()
        if not before.source:
            return before
        return self.save_plan(replace(before, source=""), before, actor, declares=True)

    def create_default(self, actor: str) -> Configuration:
        """Add the first receiver, unless there has ever been one; return what is in force."""
        with self._change(actor) as draft:
            if not draft.had_receivers:
                draft.put_receiver(first_receiver())
        return draft.configuration

    def expected(self) -> Configuration:
        """Return what the next start of an engine finds; makes no file.

        It is what the file says, with the first receiver if there has never been one.
        """
        now = self.load()
        if now.receivers or self._had_receivers():
            return now
        return replace(now, receivers=(replace(first_receiver(), id=1),))

    def save_receiver(
        self, receiver: Receiver, actor: str, *, replacing: Receiver | None = None
    ) -> tuple[Configuration, Receiver]:
        """Insert (id 0) or replace a receiver; return it with its id.

        Args:
            receiver: the new values.
            actor: who changes it.
            replacing: the receiver as its editor saw it; None skips that comparison.

        Raises:
            InvalidReceiver: if it conflicts with the configuration as it is now, or if the files
                of its new TLS settings are missing or don't fit together.
            ChangedMeanwhile: if somebody else changed the receiver after its editor saw it.
            NotFound: if the receiver to replace does not exist any more.
        """
        with self._change(actor) as draft:
            if receiver.id:
                current = draft.configuration.receiver(receiver.id)
                self._require_unchanged(
                    *(draft, current.label, replacing, current),
                    lambda receiver: Configuration(receivers=(receiver,)),
                )
            receiver_id = draft.put_receiver(self._checked_receiver(receiver, draft.configuration))
        return draft.configuration, draft.configuration.receiver(receiver_id)

    def save_plan(
        self, planned: Configuration, seen: Configuration, actor: str, *, declares: bool = False
    ) -> Configuration:
        """Make the configuration a planned one, in one revision.

        Args:
            planned: the configuration as it is to become. The ids of new records are 0, or not
                those of others that are or were there.
            seen: the configuration that the plan was made for.
            actor: who changes it.
            declares: whether a document declares the configuration, which is the plan's source.

        Raises:
            ConfigurationError: if values are invalid.
            ReadOnlyConfiguration: if another document declares the configuration.
            ChangedMeanwhile: if the configuration is another one by now.
        """
        with self._change(actor, declares=declares) as draft:
            self._require_unchanged(
                *(draft, "the configuration", seen, draft.configuration), lambda it: it
            )
            self._put_plan(draft, self.checked_plan(planned, seen), seen)
        return draft.configuration

    def checked_plan(
        self, planned: Configuration, seen: Configuration, *, elsewhere: bool = False
    ) -> Configuration:
        """Return a plan whose changes were checked as the save of each would check it.

        Args:
            planned: the configuration as it is to become.
            seen: the configuration that the plan was made for.
            elsewhere: whether it is for another machine: certificates are not opened.

        Raises:
            ConfigurationError: with every problem at once, each naming table, record and field.
        """
        problems: list[Problem] = []
        site = planned.site
        if site != seen.site:
            site = _checked("", lambda: _checked_site(planned.site), problems) or site
        known = {project.id: project for project in seen.projects.projects}
        for project in planned.projects.projects:
            if known.get(project.id) != project:
                where = f"projects[{project.id}]."
                _checked(where, partial(require_project_script, project), problems)
        receivers = [
            _checked(
                f"receivers[{it.label}].",
                partial(self._checked_receiver, it, planned, elsewhere=elsewhere),
                problems,
            )
            if it not in seen.receivers
            else it
            for it in planned.receivers
        ]
        processors = [
            _checked(
                f"processors[{it.label}].", partial(self._checked_processor, it, planned), problems
            )
            if it not in seen.processors
            else it
            for it in planned.processors
        ]
        if problems:
            raise ConfigurationError(*problems)
        return replace(
            planned,
            site=site,
            receivers=tuple(filter(None, receivers)),
            processors=tuple(filter(None, processors)),
        )

    def _put_plan(self, draft: Draft, planned: Configuration, seen: Configuration) -> None:
        """Write the differences into a draft."""
        if planned.source != seen.source:
            draft.put_single("meta", {"source": planned.source})
        if planned.site != seen.site:
            draft.put_single("site", planned.site.to_record())
        self._put_projects(draft, planned.projects, seen.projects)
        ids = {receiver.id for receiver in seen.receivers}
        draft.remove("receivers", ids - {receiver.id for receiver in planned.receivers})
        for receiver in planned.receivers:
            if receiver not in seen.receivers:
                known_id = receiver.id if receiver.id in ids else 0
                draft.put_receiver(replace(receiver, id=known_id))
        ids = {processor.id for processor in seen.processors}
        draft.remove("processors", ids - {processor.id for processor in planned.processors})
        for processor in planned.processors:
            if processor not in seen.processors:
                known_id = processor.id if processor.id in ids else 0
                draft.put_processor(replace(processor, id=known_id))
        titles = {peer.ae_title for peer in planned.peers}
        for peer in seen.peers:
            if peer.ae_title not in titles:
                draft.remove_peer(peer.ae_title)
        for peer in planned.peers:
            if peer not in seen.peers:
                draft.put_peer(peer)

    def _put_projects(self, draft: Draft, planned: ProjectRegistry, seen: ProjectRegistry) -> None:
        known = {project.id: project for project in seen.projects}
        gone = known.keys() - {project.id for project in planned.projects}
        if gone:
            draft.table("projects").remove(lambda record: record["id"] in gone)
        changed = [p for p in planned.projects if known.get(p.id) != p]
        for project in changed:
            if project.id in known:
                draft.put_project(project)
        # At once: TinyDB copies its table for each single one.
        added = (project.to_record() for project in changed if project.id not in known)
        draft.table("projects").insert_multiple(added)

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
            # Raises `NotFound`: TinyDB removes an unknown number without an error.
            draft.configuration.receiver(receiver_id)
            draft.remove("receivers", [receiver_id])
        return draft.configuration

    def save_project(
        self, project: Project, actor: str, *, replacing: Project | None = None
    ) -> tuple[Configuration, Project]:
        """Add a project, or replace one that its editor saw; return it as it is stored.

        Raises:
            InvalidProject: if its id or an alias names another project, or its script is invalid.
            ChangedMeanwhile: if somebody else changed the project after its editor saw it.
            NotFound: if the project to replace does not exist any more.
        """
        with self._change(actor) as draft:
            known = draft.configuration.projects
            if replacing is not None:
                self._require_unchanged(
                    *(draft, f"project {replacing.id}", replacing, known.project(replacing.id)),
                    lambda project: Configuration(projects=ProjectRegistry((project,))),
                )
            draft.put_project(_checked_project(project, known, replacing))
        return draft.configuration, draft.configuration.projects.project(project.id)

    def delete_project(self, project_id: str, actor: str) -> Configuration:
        """Remove a project; its sessions stay where they are.

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
            ConfigurationError: if a value is invalid, or a receiver would be; for the script, with
                line and column.
            ChangedMeanwhile: if somebody else changed them after their editor saw them.
        """
        with self._change(actor) as draft:
            self._require_unchanged(
                *(draft, "the site", replacing, draft.configuration.site),
                lambda site: Configuration(site=site),
            )
            draft.put_single("site", _checked_site(site).to_record())
        return draft.configuration

    def save_processor(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> tuple[Configuration, Processor]:
        """Insert (id 0) or replace a processor; return it with its id.

        Args:
            processor: the new values.
            actor: who changes it.
            replacing: the processor as its editor saw it; None skips that comparison.

        Raises:
            InvalidProcessor: if it conflicts with the configuration as it is now, or its class
                does not accept its parameters.
            ChangedMeanwhile: if somebody else changed the processor after its editor saw it.
            NotFound: if the processor to replace does not exist any more.
        """
        with self._change(actor) as draft:
            if processor.id:
                current = draft.configuration.processor(processor.id)
                self._require_unchanged(
                    *(draft, f"processor {current.label}", replacing, current),
                    lambda processor: Configuration(processors=(processor,)),
                )
            checked = self._checked_processor(processor, draft.configuration)
            processor_id = draft.put_processor(checked)
        return draft.configuration, draft.configuration.processor(processor_id)

    def set_processor_enabled(
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

    def delete_processor(self, processor_id: int, actor: str) -> Configuration:
        """Remove a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            # Raises `NotFound`: TinyDB removes an unknown number without an error.
            draft.configuration.processor(processor_id)
            draft.remove("processors", [processor_id])
        return draft.configuration

    def save_peer(
        self, peer: KnownPeer, actor: str, *, replacing: KnownPeer | None = None
    ) -> Configuration:
        """Add a peer, or replace one that its editor saw.

        Raises:
            InvalidPeer: if another one has its AE title, or a value is invalid.
            ChangedMeanwhile: if somebody else changed the peer after its editor saw it.
            NotFound: if the peer to replace does not exist any more.
        """
        with self._change(actor) as draft:
            if replacing is not None:
                self._require_unchanged(
                    *(draft, f"peer {replacing.ae_title}", replacing),
                    draft.configuration.peer(replacing.ae_title),
                    lambda peer: Configuration(peers=(peer,)),
                )
            if replacing is None or replacing.ae_title != peer.ae_title:
                if peer_named(draft.configuration.peers, peer.ae_title) is not None:
                    remedy = f"change it with: peers edit {peer.ae_title}"
                    raise InvalidPeer(Problem("ae_title", peer.ae_title, "exists already", remedy))
                if replacing is not None:
                    draft.remove_peer(replacing.ae_title)
            draft.put_peer(parse_known_peer(peer.to_record()))
        return draft.configuration

    def delete_peer(self, ae_title: str, actor: str) -> Configuration:
        """Remove a peer.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            # Raises `NotFound`: TinyDB removes nothing without an error.
            draft.configuration.peer(ae_title)
            draft.remove_peer(ae_title)
        return draft.configuration

    def _checked_processor(self, processor: Processor, configuration: Configuration) -> Processor:
        rules = replace(
            self._processors, others=configuration.processors, projects=configuration.projects
        )
        checked = parse_processor(processor.to_record(), rules)
        masks = tuple(mask_problems("parameters", checked.parameters))
        if masks:
            raise InvalidProcessor(*masks)
        return checked

    def _checked_receiver(
        self, receiver: Receiver, configuration: Configuration, *, elsewhere: bool = False
    ) -> Receiver:
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
        # Only new TLS settings: files that are missing later must not block other changes.
        before = [known.tls for known in configuration.receivers if known.id == checked.id]
        if checked.tls is not None and checked.tls not in before and not elsewhere:
            from engine.certificates.tls_context import (
                load,  # slow to import, and rarely needed
            )

            load(checked.tls)
        return checked

    def _require_unchanged(
        self, draft: Draft, what: str, seen: T | None, now: T, alone: Callable[[T], Configuration]
    ) -> None:
        """Reject a change if the record was changed since its editor saw it.

        Args:
            draft: the file as it is.
            what: names the record.
            seen: the record as its editor saw it; None skips the comparison.
            now: the record as it is.
            alone: makes a configuration that has nothing else.

        Raises:
            ChangedMeanwhile: with the author and the differences.
        """
        if seen is None or seen == now:
            return
        before, after = alone(seen), alone(now)
        made = differences(before, after)
        subjects = {difference.subject for difference in (*made, *differences(after, before))}
        authors = (
            revision.configuration
            for revision in self.revisions()
            if any(difference.subject in subjects for difference in revision.made)
        )
        author = next(authors, draft.configuration)
        raise ChangedMeanwhile(
            what, author.changed_by, author.changed_at, [d.sentence() for d in masked(made)]
        )


def _checked_site(site: SiteSettings) -> SiteSettings:
    checked = SiteSettings.parse(site.to_record())
    require_script(checked.script)
    require_no_masks(checked.alerts.targets)
    return checked


def _checked(where: str, check: Callable[[], T], problems: list[Problem]) -> T | None:
    """Return the value of a check; None after noting its problems, each with its place."""
    try:
        return check()
    except ConfigurationError as error:
        problems.extend(replace(p, field=f"{where}{p.field}") for p in error.problems)
    return None


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
