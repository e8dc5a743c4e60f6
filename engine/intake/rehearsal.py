"""A dry run of files: what the engine would make of each, by rules that are saved or drafted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UnreadableObject
from engine.intake.identifiers import explain
from engine.intake.part10 import read_file
from engine.intake.placement import file_name, scan_folder, session_folder

if TYPE_CHECKING:
    from pathlib import Path

    from engine.intake.header import HeaderView
    from engine.intake.router import Ruling
    from engine.model.file_name_template import FileNameTemplate
    from engine.model.identity import Identification, Identity
    from engine.model.trace import Attribute, Step

MASK = "•"
TIMESTAMP = "TIMESTAMP"
"""Stands for the moment at which the session's first object arrives."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What would become of one file."""

    file: str
    draft: Identification
    """By the drafted rules; where there are none, by the saved ones."""
    saved: Identification
    place: tuple[str, ...]
    """Folders and file below the prearchive; empty if the object would be refused."""

    @property
    def changes(self) -> bool:
        """Tell whether the drafted rules would file the object elsewhere."""
        return self.draft.outcome != self.saved.outcome

    def deciding(self, attribute: Attribute) -> Step | None:
        """Return the step that settles an attribute, or at which it fails."""
        steps = self.draft.trace.of(attribute)
        failed = steps[-1] if steps and steps[-1].failed else None
        return self.draft.trace.deciding(attribute) or failed

    def masked(self, file: str) -> Rehearsed:
        """Return the same under another name and without values of the object."""
        place = self.place
        if place:
            shown = len(place) - 5  # the project, if there is one, and the time stamp
            hidden = (MASK, "SCANS", MASK, "DICOM", f"{MASK}.dcm")
            place = (*place[:shown], *hidden)
        return Rehearsed(file, self.draft.masked(), self.saved.masked(), place)


class Rehearsal:
    """Tries files on one receiver."""

    def __init__(self, saved: Ruling, draft: Ruling | None = None) -> None:
        self._saved = saved
        self._draft = draft

    def of(self, path: Path) -> Rehearsed:
        """Return what would become of a file.

        Raises:
            UnreadableObject: if the engine would refuse it for its content.
        """
        rulings = (self._saved, self._draft or self._saved)
        header = read_file(path, last_tag=max(ruling.last_tag for ruling in rulings))
        if not header.sop_class_uid or not header.sop_instance_uid:
            raise UnreadableObject("the data set has no SOP class or instance UID")
        saved = explain(self._saved.identifier, header, self._saved.routing)
        draft = saved
        if self._draft is not None:
            draft = explain(self._draft.identifier, header, self._draft.routing)
        place = _place(draft.identity, header, rulings[1].template) if draft.identity else ()
        return Rehearsed(str(path), draft, saved, place)


def _place(identity: Identity, header: HeaderView, template: FileNameTemplate) -> tuple[str, ...]:
    folder = session_folder(identity.project.value, TIMESTAMP, identity.session_label)
    return (*folder, "SCANS", scan_folder(header), "DICOM", file_name(header, template))
