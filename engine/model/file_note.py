"""What a stored file says of its anonymization, in the private part of its file meta.

The file meta (PS3.10 7.1) of whatever is stored is our own: no sender can write it, and it is never
sent on. What is noted there stays with the object whatever becomes of the index.
"""

from __future__ import annotations

from typing import Final

from engine.model.session import ProjectScript

CREATOR_ELEMENT: Final = 0x00020100
"""Private Information Creator UID."""
NOTE_ELEMENT: Final = 0x00020102
"""Private Information."""
CREATOR_UID: Final = "2.25.186105016680874560506540094134239472899"
EXEMPT: Final = b"anonymization was off "
_DONE: Final = b"anonymized for "


def done_for(project: str) -> bytes:
    """Return the note of an object that a project's script or profile has run on."""
    note = _DONE + project.encode()
    return note + b" " * (len(note) % 2)


def noted(note: bytes, project: str | None) -> ProjectScript:
    """Return what a note means for an object that is in a project now."""
    if note == EXEMPT:
        return ProjectScript.EXEMPT
    if project is not None and note == done_for(project):
        return ProjectScript.DONE
    return ProjectScript.DUE
