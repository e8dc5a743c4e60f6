"""Names of objects in commands, and the option that shows the values of an object."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from engine.api.objects import ObjectReference
from engine.errors import NotFound

if TYPE_CHECKING:
    from engine.api import EngineView


HELP = "a SOP Instance UID as it arrived, or SESSION:FILE with the file below the session's folder"
_UID = re.compile(r"[0-9.]{1,64}")
_PLACE = re.compile(r"([0-9]{1,9}):(.{1,4096})", re.DOTALL)


def object_name(text: str) -> ObjectReference:
    """Read the name of an object."""
    place = _PLACE.fullmatch(text)
    if place:
        return ObjectReference(int(place[1]), place[2])
    if _UID.fullmatch(text):
        return ObjectReference(sop_instance_uid=text)
    raise argparse.ArgumentTypeError(f"{text[:70]!r} is neither a UID nor SESSION:FILE")


def stored(engine: EngineView, named: ObjectReference) -> ObjectReference:
    """Return the session and file of an object that may be named by its UID alone.

    Raises:
        NotFound: if it is not stored.
    """
    if named.file:
        return named
    for step in reversed(engine.objects.trail(named).steps):
        if step.session is not None and step.file:
            return ObjectReference(step.session, step.file, named.sop_instance_uid)
    raise NotFound("the object is not stored", "see what became of it with: objects trail")


MASKED = "identifying values are masked; --show-values shows them, and the log keeps that"


def add_show_values(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--show-values``."""
    words = "show values that tell who a patient is; the audit log keeps who saw an engine's"
    parser.add_argument("--show-values", action="store_true", help=words)
