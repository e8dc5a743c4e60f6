"""The scans of a session, and the objects of a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.text import clock, count, counted, safe, size
from tui.theme import Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow
from tui.widgets.paged_table import PagedTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.view.sessions import ScanObject, ScanSummary


class ScansTable(LiveTable):
    """The scans of one session, in the natural order of their ids."""

    NOUN = "scan"
    HELP_TITLE = "Scans"
    HELP = "The scans of the session: enter lists the objects of one."
    COLUMNS = (
        Column("id", "Scan", 5, flexible=True, max_width=8),
        Column("modality", "Mod", 3),
        Column("description", "Description", 10, flexible=True),
        Column("objects", "Obj", 6, right=True),
        Column("size", "Size", 8, right=True, at_least=40),
    )


class ObjectsTable(PagedTable):
    """The objects of one scan, in the order of their arrival."""

    NOUN = "object"
    HELP_TITLE = "Objects"
    HELP = (
        "The objects of the scan in the order of their arrival: enter shows the header, the image "
        "and where it went. What was odd about an object stands in its line."
    )
    COLUMNS = (
        Column("number", "No.", 5, right=True),
        Column("at", "Arrived", 8),
        Column("file", "File", 16, flexible=True, max_width=60),
        Column("sop_class", "SOP class", 16, flexible=True, max_width=40, at_least=62),
        Column("size", "Size", 8, right=True),
        Column("reason", "What was odd", 12, flexible=True, at_least=90),
    )


def scan_rows(scans: Iterable[ScanSummary]) -> list[TableRow]:
    """Return the rows of scans."""
    return [
        TableRow(
            scan.id,
            {
                "id": Cell(safe(scan.id), Tone.STRONG),
                "modality": Cell(safe(scan.modality) or "–"),
                "description": Cell(safe(scan.description) or "–"),
                "objects": Cell(count(scan.objects), Tone.PLAIN, scan.objects),
                "size": Cell(size(scan.bytes), Tone.MUTED, scan.bytes),
            },
        )
        for scan in scans
    ]


def scans_title(scans: Sequence[ScanSummary]) -> str:
    """Return how many objects there are in how many scans."""
    objects = sum(scan.objects for scan in scans)
    return f"{counted(objects, 'object')} in {counted(len(scans), 'scan')}"


def object_rows(objects: Iterable[ScanObject], offset: int) -> list[TableRow]:
    """Return the rows of objects, the first of which is number `offset` of its scan."""
    return [
        TableRow(
            one.file,
            {
                "number": Cell(count(number), Tone.MUTED),
                "at": Cell(clock(one.at), Tone.MUTED),
                "file": Cell(safe(one.file.rpartition("/")[2]), Tone.STRONG),
                "sop_class": Cell(safe(one.sop_class)),
                "size": Cell(size(one.bytes)),
                "reason": Cell(f"▲ {safe(one.reason)}" if one.reason else "", Tone.WARNING),
            },
        )
        for number, one in enumerate(objects, offset + 1)
    ]
