"""Building a session: its objects sorted into scans, with catalogs and the session document.

Objects come from `engine.sessions.worker`, read by `stored_objects`. Every step can be repeated
after a crash, and no object is ever overwritten or removed. Folders that become empty stay, for an
object may be on its way into one; they go when the session is moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.model.project import PetMr
from engine.sessions.folders.documents import (
    BuiltSession,
    Origin,
    catalog,
    catalog_name,
    session_xml,
)
from engine.state.database import stamp
from engine.storage.areas import document_of
from engine.storage.files import (
    flush_folder,
    make_folder,
    move_file,
    remove_file,
    remove_parts,
    write_atomically,
)
from engine.storage.scans import SCANS, Entry, free_name, scans_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from engine.model.session import Session
    from engine.storage.scans import Resource, Scan, StoredObject


@dataclass(frozen=True, slots=True)
class Moved:
    """An object has another file name now, both relative to the session's folder."""

    before: str
    after: str


def build(
    session: Session,
    folder: Path,
    objects: Sequence[StoredObject],
    moved: list[Moved],
    roots: Collection[Path],
    pet_mr: PetMr = PetMr.PETMR,
) -> BuiltSession:
    """Sort a session's objects into its scans and write its documents.

    Args:
        session: the session's row.
        folder: the session's folder.
        objects: what it holds, in the order of arrival.
        moved: gets the objects that were moved, also if the build fails half way.
        roots: folders that may be reached through links; below them, none is followed.
        pet_mr: the type of a session with both PET and MR scans.

    Raises:
        OSError: if the storage fails; to build again is safe.
    """
    # What a crash left of half-written documents.
    remove_parts(folder, roots=roots)
    scans = tuple(_place(folder, scan, moved, roots) for scan in scans_of(objects))
    built = BuiltSession(
        *(session.project, session.subject, session.label, session.study_instance_uid, scans),
        pet_mr=pet_mr,
    )
    _remove_catalogs(folder, built, roots)
    for scan in scans:
        for resource in scan.resources:
            content = catalog(scan, resource)
            path = folder / scan.folder(resource) / catalog_name(scan, resource)
            write_atomically(path, content, roots=roots)
    write_atomically(document_of(folder), session_xml(built, _origin(session)), roots=roots)
    return built


def _origin(session: Session) -> Origin:
    return Origin(
        *(session.id, session.receiver, session.calling_ae_title),
        *(stamp(session.first_object_at), stamp(session.last_object_at)),
    )


def _place(folder: Path, scan: Scan, moved: list[Moved], roots: Collection[Path]) -> Scan:
    """Move the objects of a scan into its folders and return the scan with their new names."""
    resources = []
    for resource in scan.resources:
        place = folder / scan.folder(resource)
        if any((folder / entry.stored.file).parent != place for entry in resource.entries):
            make_folder(place, roots=roots)
        entries = tuple(
            _place_entry(folder, scan, resource, entry, moved, roots) for entry in resource.entries
        )
        resources.append(replace(resource, entries=entries))
        flush_folder(place)
    return replace(scan, resources=tuple(resources))


def _place_entry(
    folder: Path,
    scan: Scan,
    resource: Resource,
    entry: Entry,
    moved: list[Moved],
    roots: Collection[Path],
) -> Entry:
    place, source = folder / scan.folder(resource), folder / entry.stored.file
    if source.parent == place:
        return entry
    name = _move(source, place, entry.name, roots)
    after = f"{scan.folder(resource)}/{name}"
    moved.append(Moved(entry.stored.file, after))
    return Entry(replace(entry.stored, file=after), name)


def _move(source: Path, place: Path, name: str, roots: Collection[Path]) -> str:
    """Move an object to a free name, and return that name."""
    # Names are not looked up before: the folder may hold files that the index does not know, and
    # objects arrive at any time. `move_file` itself fails if the name is taken.
    in_use: set[str] = set()
    while True:
        candidate = free_name(name, in_use)
        try:
            move_file(source, place / candidate, roots=roots)
        except FileExistsError:
            in_use.add(candidate)
        else:
            return candidate


def _remove_catalogs(folder: Path, built: BuiltSession, roots: Collection[Path]) -> None:
    """Remove the catalogs of scans that an earlier build had and this one has not."""
    wanted = {
        folder / scan.folder(resource) / catalog_name(scan, resource)
        for scan in built.scans
        for resource in scan.resources
    }
    for path in folder.glob(f"{SCANS}/*/*/scan_*_catalog.xml"):
        if path not in wanted:
            remove_file(path, roots=roots)
