"""File namers: templates of file names that other distributions add, by id (XNAT 9.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.file_name_template import FileNameTemplate

    FileNamers = Mapping[str, FileNameTemplate]

DEFAULT_FILE_NAMER = "dicomFileNamer"
"""XNAT's only one, which is the site's template."""


@dataclass(frozen=True, slots=True)
class FileNamerInfo:
    """One installed file namer."""

    id: str
    """The entry point's name, by which a receiver chooses it."""
    name: str
    template: str = ""
    """As the site's own template is written."""
    error: str = ""
    """Why it can't be used, though it is installed; empty if it can."""


def file_namer_problems(
    file_namer: str | None, known: Sequence[FileNamerInfo]
) -> Iterator[Problem]:
    """Yield why a receiver can't use its file namer; None is the site's template."""
    if file_namer is None or file_namer == DEFAULT_FILE_NAMER:
        return
    found = next((namer for namer in known if namer.id == file_namer), None)
    usable = ", ".join(namer.id for namer in known if not namer.error) or "none is installed"
    remedy = f"choose of: {usable}; or leave it empty for the site's template"
    if found is None:
        yield Problem("file_namer", file_namer[:80], "is not installed", remedy)
    elif found.error:
        yield Problem("file_namer", file_namer[:80], f"can't be used: {found.error}", remedy)
