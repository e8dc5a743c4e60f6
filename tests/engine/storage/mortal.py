"""A process that receives, builds, archives, merges, moves and deletes until it is killed.

In between, the rows of objects of its archived sessions are removed, and read again for a merge.

It writes one character before each change of the disk, and `R` and the SOP instance once an object
is received, which is when its sender would be told success. `tests.engine.sessions.test_kill`
reads along, and decides when to kill it.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.dicom.part10 import FileMeta
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.sessions.thinning import Thinning
from engine.sessions.trash import ExpiryClock
from engine.settings import Durability
from engine.state.database import stamp
from engine.storage import files
from engine.storage.folders import OpenFolders
from engine.storage.incoming import IncomingArea, publish
from tests import dicom
from tests.engine.index.depot import Depot, open_depot
from tests.fakes import FixedClock

CHANGES = ("link", "unlink", "rename", "replace", "mkdir", "rmdir", "write", "fsync")
_SYNTAX = dicom.EXPLICIT_VR_LITTLE_ENDIAN


class Receiving(Depot):
    """Objects are published as the pipeline does."""

    def open(self, boot_id: str) -> None:
        self.incoming = IncomingArea(self.root / "incoming", boot_id)
        self.folders = OpenFolders(os.open(self.root, os.O_RDONLY))

    def _store(self, area: str, folder: str, file: str, elements: dict[str, object]) -> int:
        part = self.incoming.create_part()
        sop_class = str(elements.get("SOPClassUID", dicom.CT_IMAGE_STORAGE))
        instance = str(elements["SOPInstanceUID"])
        preamble = FileMeta(sop_class, _SYNTAX, "CT", "XNAT").preamble(instance)
        part.writev([preamble, dicom.image(_SYNTAX, None, **elements)])
        size = part.size_bytes
        parts = (str(area), *folder.split("/"), *file.split("/")[:-1])
        name = file.rpartition("/")[2]
        with part:
            publish(part, self.folders, parts, name, Durability.FILE, body_offset=len(preamble))
        return size


def main(root: Path) -> None:
    clock = FixedClock()
    plain = open_depot(root, clock, {"NEURO-01": AutoArchive.OVERWRITE})
    depot = Receiving(
        *(plain.root, plain.clock, plain.index, plain.ledger),
        *(plain.journal, plain.areas, plain.codes),
    )
    depot.open("boot-1")
    _narrate()
    while True:
        live(depot)


def live(depot: Depot) -> None:
    """Do everything once more, always with new objects."""
    _remove_rows(depot)
    _receive(depot)
    _receive(depot, SOPClassUID="1.2.3.4.5")
    depot.fall_silent()
    _receive(depot, SeriesNumber="5", SeriesInstanceUID="1.5")
    _receive(depot)
    depot.fall_silent()
    _remove_rows(depot)
    moved = _receive(depot, project=None, StudyInstanceUID=f"1.9.{depot._received}")
    depot.fall_silent()
    depot.ledger.ask(moved, Request(OperationKind.MOVE, "test", project="NEURO-02"))
    depot.lifecycle.run_requests()
    depot.ledger.ask(moved, Request(OperationKind.DELETE, "test"))
    _receive(depot, project="NEURO-03", label=f"D{depot._received}", direct=True)
    depot.fall_silent()


def _receive(depot: Depot, **values: Any) -> int:
    session = depot.receive(**values)
    _say(f"R1.2.3.{depot._received}\n")
    return session


def _remove_rows(depot: Depot) -> None:
    """Let the index forget the objects of all sessions in the archive."""
    thinner = Thinning(depot.session_context, ExpiryClock(depot.clock, depot.journal))
    depot.index.flush()
    thinner._thin_sessions(stamp(depot.clock.now() + timedelta(seconds=1)), lambda: False)


def _narrate() -> None:
    """Say something before each change of the disk."""
    for owner, name in (*((os, name) for name in CHANGES), (files, "rename_new")):
        real = getattr(owner, name)

        def change(*arguments: Any, real: Any = real, **options: Any) -> Any:
            if real is not _WRITE or arguments[0] != 1:
                _say(".")
            return real(*arguments, **options)

        setattr(owner, name, change)


_WRITE = os.write


def _say(text: str) -> None:
    _WRITE(1, text.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
