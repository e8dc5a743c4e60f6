"""The state of one object while processors run: file, header, labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from engine.model.identity import Decision, Identity, to_label
from engine.model.processing import Assignment, ProcessorStep

if TYPE_CHECKING:
    from pathlib import Path

    from engine.dicom.header import HeaderView
    from engine.model.project import ProjectRegistry
    from engine.processing.contract import Facts, Known
    from engine.storage.incoming import PartFile


class ProcessorRun:
    """Used by one thread, which closes it."""

    def __init__(
        self,
        path: Path,
        header: HeaderView,
        facts: Facts,
        known: Known,
        last_tag: int,
        *,
        is_trial: bool = False,
    ) -> None:
        """Take an object as it is in a file.

        Args:
            path: the DICOM file.
            header: what is in it.
            facts: where it comes from.
            known: where it goes, as far as that is known.
            last_tag: how far the header is read again after it was edited.
            is_trial: whether this is a dry run: steps are kept, nothing is counted or told.
        """
        self.path = path
        self.header = header
        self.facts = facts
        self.known = known
        self.last_tag = last_tag
        self.is_trial = is_trial
        self.assigned = Assignment()
        self.edited: PartFile | None = None
        """The object as it was edited, if it was."""
        self.steps: list[ProcessorStep] = []
        self._by: dict[str, str] = {}
        """Which processor said where it goes, by attribute."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.edited is not None:
            self.edited.discard()

    def take(self) -> PartFile | None:
        """Return the edited object, which is the caller's from now on."""
        edited, self.edited = self.edited, None
        return edited

    def replace_file(self, part: PartFile, path: Path, header: HeaderView) -> None:
        """Continue with the edited file and its header."""
        if self.edited is not None:
            self.edited.discard()
        self.edited, self.path, self.header = part, path, header

    def assign(self, said: Assignment, processor: str, projects: ProjectRegistry) -> None:
        """Follow what a processor says of the object's place."""
        if said.assigns_nothing:
            return
        for name in ("project", "subject", "session"):
            if getattr(said, name) is not None:
                self._by[name] = processor
        self.assigned = said.over(self.assigned)
        self.known = known_with(self.known, said, projects)

    def identity(self, found: Identity, projects: ProjectRegistry) -> Identity:
        """Return where the object goes: what was assigned, and what was found for the rest."""
        said = self.assigned
        if said.assigns_nothing:
            return found
        project, warning = found.project, found.warning
        if said.project is not None:
            project = Decision(projects.find(said.project) or None, self._source("project"))
            if said.project and project.value is None:
                lost = (
                    f"{self._source('project')} names project {said.project[:64]!r}, which is none"
                )
                warning = f"{warning}; {lost}" if warning else lost
        return replace(
            found,
            project=project,
            subject=self._label("subject", said.subject, found.subject),
            session=self._label("session", said.session, found.session),
            warning=warning,
        )

    def _label(self, attribute: str, said: str | None, found: Decision) -> Decision:
        return found if said is None else Decision(to_label(said), self._source(attribute))

    def _source(self, attribute: str) -> str:
        return f"processor {self._by[attribute]}"


def known_with(known: Known, said: Assignment, projects: ProjectRegistry) -> Known:
    """Return what is known after a processor has said something."""
    if said.project is not None:
        known = replace(known, project=projects.find(said.project))
    if said.subject is not None:
        known = replace(known, subject=to_label(said.subject))
    if said.session is not None:
        known = replace(known, session=to_label(said.session))
    return known
