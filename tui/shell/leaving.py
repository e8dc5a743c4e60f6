"""The question before a console closes that hosts the engine: what becomes of the engine?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import ReceiverState
from tui.shell.dialogs import QuestionDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import EngineSnapshot

KEEP = "keep"
STOP = "stop"
ANSWERS = ((KEEP, "Keep receiving"), (STOP, "Stop"))


def leave_question(snapshot: EngineSnapshot, service: str) -> QuestionDialog:
    """Return the question, which says what is open.

    Args:
        snapshot: the newest one.
        service: the unit that is installed for this data directory; empty if there is none.
    """
    text = "\n\n".join(_paragraphs(snapshot, service))
    return QuestionDialog("Close the console?", text, ANSWERS, first=KEEP)


def _paragraphs(snapshot: EngineSnapshot, service: str) -> Iterator[str]:
    yield f"The engine runs in this console: {open_now(snapshot)}."
    yield (
        "Keep receiving: the console closes, the engine goes on in the background "
        f"(pid {snapshot.pid}), also after you log out. dicomdock opens a console on it again."
    )
    yield f"Stop: receivers stop now. {_finish(snapshot)}"
    if service:
        yield (
            f"The service {safe(service)} is installed for this data directory. To hand over "
            f"to it, choose Stop, then run: systemctl start {safe(service)}"
        )


def open_now(snapshot: EngineSnapshot) -> str:
    """Say what the engine does now."""
    listening = sum(s.state is ReceiverState.LISTENING for s in snapshot.receivers)
    parts = [f"{counted(listening, 'receiver')} listening"]
    if snapshot.associations:
        parts.append(f"{counted(len(snapshot.associations), 'association')} open")
    if snapshot.sessions_receiving:
        parts.append(f"{counted(snapshot.sessions_receiving, 'session')} still receiving")
    return ", ".join(parts)


def _finish(snapshot: EngineSnapshot) -> str:
    if not snapshot.associations:
        return "No association is open."
    one = len(snapshot.associations) == 1
    which = "The open association" if one else "The open associations"
    return f"{which} may finish for a few seconds, then {'it is' if one else 'they are'} aborted."
