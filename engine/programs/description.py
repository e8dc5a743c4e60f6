"""What a program is told about a session, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.session import Session
    from engine.programs.processor import Program
    from engine.programs.queue import Run

VERSION = 1
"""Grows when a member changes its meaning; new members may come at any time."""


def description(program: Program, run: Run, session: Session, folder: Path) -> bytes:
    """Return the JSON text that a program finds on its standard input.

    Args:
        program: which program.
        run: why it runs; more than one `begun` says that it may have run before.
        session: as it is now.
        folder: where its files are now.
    """
    record = {
        "version": VERSION,
        "processor": program.label,
        "event": str(run.status).lower(),
        "finished_at": run.finished_at,
        "repeated": run.begun > 0,
        "session": {
            "id": session.id,
            "project": session.project,
            "subject": session.subject,
            "label": session.label,
            "study_instance_uid": session.study_instance_uid,
            "status": str(session.status),
            "area": str(session.area),
            "path": str(folder.absolute()),
            "modality": session.modality,
            "objects": session.objects,
            "bytes": session.bytes,
            "receiver": session.receiver,
            "calling_ae_title": session.calling_ae_title,
            "first_object_at": session.first_object_at.isoformat(),
            "last_object_at": session.last_object_at.isoformat(),
        },
    }
    return json.dumps(record).encode("ascii") + b"\n"
