"""The state of one object while processors run: file, header, labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag, Tag

from engine.anonymize.datasets.reading import text_of
from engine.anonymize.errors import StatementFailure
from engine.dicom.header import SOP_CLASS_UID, SOP_INSTANCE_UID
from engine.model.identity import Decision, Identity, to_label
from engine.model.processing import Assignment, ProcessorStep

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

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
            header: its header.
            facts: where it comes from.
            known: where it goes, as far as that is known.
            last_tag: how far the header is read again after it was edited.
            is_trial: whether this is a dry run: steps are kept, nothing is counted or reported.
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
        """The processor that assigned each attribute."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.edited is not None:
            self.edited.discard()

    def take(self) -> PartFile | None:
        """Return the edited object; the caller must discard or publish it."""
        edited, self.edited = self.edited, None
        return edited

    def replace_file(self, part: PartFile, path: Path, header: HeaderView) -> None:
        """Continue with the edited file and its header."""
        if self.edited is not None:
            # The result of an earlier processor is no longer of use.
            self.edited.discard()
        self.edited, self.path, self.header = part, path, header

    def assign(self, said: Assignment, processor: str, projects: ProjectRegistry) -> None:
        """Apply the labels that a processor assigned."""
        if said.assigns_nothing:
            return
        for name in ("project", "subject", "session"):
            if getattr(said, name) is not None:
                self._by[name] = processor
        self.assigned = said.over(self.assigned)
        self.known = known_with(self.known, said, projects)

    def identity(self, found: Identity, projects: ProjectRegistry) -> Identity:
        """Return the identity with the assigned labels in place of those that were found."""
        said = self.assigned
        if said.assigns_nothing:
            return found
        project, warning = found.project, found.warning
        if said.project is not None:
            # A table or plugin may name what is no project.
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
    """Return the known labels with those that a processor assigned."""
    if said.project is not None:
        known = replace(known, project=projects.find(said.project))
    if said.subject is not None:
        known = replace(known, subject=to_label(said.subject))
    if said.session is not None:
        known = replace(known, session=to_label(said.session))
    return known


_FIRST_PIXELS: Final = 0x7FE0_0000
_FIRST: Final = 0x0008_0000
_NAMING: Final = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID})
"""The SOP UIDs, by which request and response name the object (PS3.7 9.1.1)."""
# PS3.5 6.2: the backslash is no delimiter in these.
_WHOLE: Final = frozenset({"ST", "LT", "UT", "UR"})
_BINARY: Final = frozenset({"SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN"})


class DatasetHeader:
    """The elements of a data set that may be edited meanwhile; for plugins in their process."""

    def __init__(self, ds: Dataset) -> None:
        self._ds = ds

    def text(self, tag: int) -> str | None:
        """Return the first value of a top-level element as text; None if it has none."""
        try:
            text = text_of(self._ds, BaseTag(tag))
        except StatementFailure:
            return None
        if not text:
            return None
        element = self._ds.get_item(tag)
        # PS3.5 6.2: texts are padded with a space, UIDs with a NUL.
        text = text if element.VR in _WHOLE else text.split("\\")[0].strip(" \0")
        return text or None

    def __contains__(self, tag: int) -> bool:
        """Tell whether there is such an element, whatever its value."""
        return tag in self._ds


class DatasetEditor:
    """Writes single values; the file meta, the SOP UIDs and the pixel data are left alone."""

    def __init__(self, ds: Dataset) -> None:
        self._ds = ds
        self.changed: list[int] = []
        """The tags that were written or removed."""

    def set(self, tag: int, *values: str | float, vr: str = "") -> None:
        """Write the values of an element; the VR is needed where no dictionary knows it.

        Raises:
            ValueError: if the element may not be written, or not with these values.
        """
        _require_editable(tag)
        vr = vr or _known_vr(tag)
        # Such as "US or SS": other elements decide which of them it is.
        if vr in _BINARY or len(vr) != 2:
            raise ValueError(f"{Tag(tag)} is not written by value; use a script")
        if any(isinstance(v, str) and not _is_text(v) for v in values):
            raise ValueError(f"{Tag(tag)} would contain control characters")
        value = list(values) if len(values) > 1 else (values[0] if values else None)
        self._ds[tag] = DataElement(tag, vr, value)
        self.changed.append(tag)

    def remove(self, tag: int) -> None:
        """Remove an element, if it is there.

        Raises:
            ValueError: if it may not be removed.
        """
        _require_editable(tag)
        if tag in self._ds:
            del self._ds[tag]
            self.changed.append(tag)


class NoEditor:
    """The editor of built-in processors, which return a script instead."""

    def set(self, tag: int, *values: str | float, vr: str = "") -> None:
        """Refuse."""
        raise ValueError("this processor returns a script instead")

    def remove(self, tag: int) -> None:
        """Refuse."""
        raise ValueError("this processor returns a script instead")


def _require_editable(tag: int) -> None:
    # PS3.5 7.2: element 0000 is the length of its group.
    if not _FIRST <= tag < _FIRST_PIXELS or not tag & 0xFFFF:
        raise ValueError(f"{Tag(tag)} is no element of the header")
    if tag in _NAMING:
        raise ValueError(f"{Tag(tag)} names the object to its sender")


def _known_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        raise ValueError(f"the VR of {Tag(tag)} is not known; name it") from None


def _is_text(value: str) -> bool:
    # Of the control characters of PS3.5 6.1.3 only these: a line break, and the tab.
    return value.replace("\r", "").replace("\n", "").replace("\t", "").isprintable()
