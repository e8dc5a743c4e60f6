"""Safe names of folders and files: peer text never becomes a path by itself (XNAT 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from engine.model.file_name_template import (
    DEFAULT_TEMPLATE,
    FileNameTemplate,
    hash_text,
    java_list_hash,
    parse_template,
)
from engine.model.identity import safe_part, scan_name

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView


_DEFAULT = parse_template(DEFAULT_TEMPLATE)


def session_folder(project: str | None, timestamp: str, session_label: str) -> tuple[str, ...]:
    """Return a session's folder inside the prearchive (XNAT 9.1)."""
    parts = (timestamp, session_label) if project is None else (project, timestamp, session_label)
    return tuple(map(safe_part, parts))


def scan_folder(header: HeaderView) -> str:
    """Return the folder of an object's scan: series number, else series UID, else NA (XNAT 9.3)."""
    return scan_name(header.series_number, header.series_instance_uid)


def file_name(header: HeaderView, template: FileNameTemplate = _DEFAULT) -> str:
    """Return an object's file name by a template (XNAT 9.3), without separators."""
    return template.name(header.text)


def distinct_name(header: HeaderView, name: str) -> str:
    """Return a name for an object whose own name is taken by another SOP instance."""
    stem, dot, extension = name.rpartition(".")
    # The hash that XNAT's default names have (XNAT 9.3): each SOP instance has its own.
    uids = (header.sop_class_uid or "", header.sop_instance_uid or "")
    return f"{stem}-{hash_text(java_list_hash(uids))}{dot}{extension}"


class ObjectFiltered(Exception):
    """The object is discarded on purpose; the peer gets success (XNAT 8.4)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """What discarded it, and why, for its row."""

    @classmethod
    def by_processor(cls, label: str, why: str) -> Self:
        """Return the exception for an object that a processor rejects."""
        return cls(f"rejected by processor {label}: {why}")

    @classmethod
    def by_script(cls, script: str) -> Self:
        """Return the exception for an object that an anonymization script rejects."""
        return cls(f"rejected by the {script}")
