"""What such a process is asked: the elements of a header, or one frame made small."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.view.objects import ElementRow, Thumbnail, Window

MOST_MEMORY_BYTES: Final = 2 * 1024**3
"""Decoders believe what an image says of its size; the process is refused more than this."""


@dataclass(frozen=True, slots=True)
class HeaderJob:
    """Read a file, or a data set that is in memory."""

    path: str = ""
    data: bytes = b""
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True)
class HeaderResult:
    """The elements, none of them masked."""

    elements: tuple[ElementRow, ...] = ()
    complete: bool = True
    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    frames: int = 1
    has_pixels: bool = False
    anonymized_by: tuple[str, ...] = ()
    problem: str = ""
    """Why there are no elements."""


@dataclass(frozen=True, slots=True)
class ThumbnailJob:
    """Make one frame of a file small."""

    path: str
    frame: int
    width: int
    height: int
    window: Window | None


Job = HeaderJob | ThumbnailJob


def run(job: Job) -> HeaderResult | Thumbnail:
    """Do a job; what is wrong with the object is in the result."""
    _limit_memory()
    if isinstance(job, HeaderJob):
        from engine.inspection.header_rows import read

        return read(job)
    from engine.inspection.thumbnail import thumbnail

    return thumbnail(job)


def _limit_memory() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MOST_MEMORY_BYTES:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, hard))
