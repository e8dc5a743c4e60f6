"""Whether a session goes together with one that the archive has already (XNAT 9.6); pure.

Two objects are the same one if SOP class and SOP instance are. Objects that only share a file name
are both kept, the newcomer with a suffix.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.sessions.scans import SCANS, free_name, free_scan_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.sessions.scans import Entry, Resource, Scan
    from engine.sessions.session_xml import BuiltSession


@dataclass(frozen=True, slots=True)
class Merge:
    """How the objects of one session are added to another, relative to the sessions' folders."""

    files: dict[str, str]
    """Where each object is, and where it goes."""
    replaced: tuple[str, ...]
    """Objects of the other session that make room."""


def conflicts_within(incoming: BuiltSession, *, overwrite: bool) -> Iterator[str]:
    """Yield what is odd about a session by itself, in words."""
    if overwrite:
        return
    for scan in incoming.scans:
        for resource in scan.resources:
            counts = Counter(entry.stored.sop_instance_uid for entry in resource.entries)
            doubled = sum(count > 1 for count in counts.values())
            if doubled:
                yield (
                    f"scan {scan.id} has {doubled} SOP instance UIDs that several objects share; "
                    "overwrite to archive them all"
                )


def conflicts_between(
    incoming: BuiltSession, existing: BuiltSession, *, merge: bool, overwrite: bool
) -> Iterator[str]:
    """Yield every reason against adding a session to another, in words and without patient data.

    Args:
        incoming: the session that is to be archived.
        existing: the archived session of the same project and label.
        merge: whether it may be added to.
        overwrite: whether it may be added to, and objects that it has already may be replaced.
    """
    if not (merge or overwrite):
        yield "session already exists, retry with merge or overwrite"
    if (incoming.subject or "").casefold() != (existing.subject or "").casefold():
        yield "the archived session belongs to another subject"
    if incoming.modality != existing.modality:
        yield f"the archived session is {existing.modality}, this one {incoming.modality}"
    if incoming.study_instance_uid != existing.study_instance_uid:
        yield "the archived session is another study: the Study Instance UIDs differ"
    if not overwrite:
        yield from _conflicts_of_scans(incoming, existing)


def plan_merge(incoming: BuiltSession, existing: BuiltSession) -> Merge:
    """Return where each object goes; what is the same object already is replaced."""
    merge = Merge({}, ())
    taken = {scan.id for scan in existing.scans}
    for scan in incoming.scans:
        counterpart = _counterpart(scan, existing)
        scan_id = counterpart.id if counterpart else scan.id
        if counterpart is None and scan_id in taken:
            scan_id = free_scan_id(scan.number, scan.modality, taken)
        taken.add(scan_id)
        for resource in scan.resources:
            merge = _with_resource(merge, scan, resource, scan_id, counterpart)
    return merge


def _conflicts_of_scans(incoming: BuiltSession, existing: BuiltSession) -> Iterator[str]:
    for scan in incoming.scans:
        counterpart = _counterpart(scan, existing)
        if counterpart is None:
            continue
        if counterpart.number != scan.number:
            yield (
                f"scan {scan.id} is the archived scan {counterpart.id}: "
                "one series has two series numbers"
            )
        known = {(o.sop_class_uid, o.sop_instance_uid) for o in counterpart.objects}
        again = sum((o.sop_class_uid, o.sop_instance_uid) in known for o in scan.objects)
        if again:
            yield f"session already exists with matching files: {again} in scan {counterpart.id}"


def _counterpart(scan: Scan, existing: BuiltSession) -> Scan | None:
    """Return the archived scan of the same series."""
    return next(
        (
            other
            for other in existing.scans
            if other.series_instance_uid == scan.series_instance_uid
            and (scan.series_instance_uid or other.number == scan.number)
        ),
        None,
    )


def _with_resource(
    merge: Merge, scan: Scan, resource: Resource, scan_id: str, counterpart: Scan | None
) -> Merge:
    """Add the objects of one resource to a plan."""
    others = _entries(counterpart, resource.label)
    wanted = {(e.stored.sop_class_uid, e.stored.sop_instance_uid) for e in resource.entries}
    replaced = {
        e.name for e in others if (e.stored.sop_class_uid, e.stored.sop_instance_uid) in wanted
    }
    used = {entry.name for entry in others} - replaced
    files = dict(merge.files)
    for entry in resource.entries:
        name = free_name(entry.name, used)
        used.add(name)
        # Where it is: a script may have given it to another scan since the session was built.
        files[entry.stored.file] = f"{SCANS}/{scan_id}/{resource.label}/{name}"
    gone = tuple(f"{SCANS}/{scan_id}/{resource.label}/{name}" for name in sorted(replaced))
    return Merge(files, (*merge.replaced, *gone))


def _entries(scan: Scan | None, label: str) -> tuple[Entry, ...]:
    resources = scan.resources if scan else ()
    return next((resource.entries for resource in resources if resource.label == label), ())
