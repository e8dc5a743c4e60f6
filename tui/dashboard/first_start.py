"""The first start: four steps until the first object has come, with what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.api import AssociationEnd, ReceiverState
from tui.keys import pressed
from tui.text import counted

if TYPE_CHECKING:
    from engine.api import EngineSnapshot


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One step: whether it is done, and the keys that lead to it."""

    label: str
    is_done: bool
    key: str
    help: str
    """What the key does, or what there is already."""

    @property
    def mark(self) -> str:
        """A tick, or an empty circle."""
        return "✓" if self.is_done else "○"


def is_first_start(snapshot: EngineSnapshot) -> bool:
    """Tell whether no object has come so far, as far as the receivers know."""
    came = (status.last_object_at is not None for status in snapshot.receivers)
    return not (any(came) or snapshot.totals.received or snapshot.sessions_receiving)


def first_steps(snapshot: EngineSnapshot) -> tuple[FirstStep, ...]:
    """Return the steps in the order in which they are usually taken."""
    listening = sum(s.state is ReceiverState.LISTENING for s in snapshot.receivers)
    called = [*snapshot.associations, *snapshot.ended_associations]
    accepted = sum(a.end is not AssociationEnd.REJECTED for a in called)
    site, new = pressed("go.site"), pressed("settings.new")
    return (
        FirstStep(
            *("Receiver", bool(listening), pressed("receiver.new")),
            f"{listening} of {len(snapshot.receivers)} listening"
            if snapshot.receivers
            else "creates one",
        ),
        FirstStep(
            *("Project", snapshot.projects > 0, site),
            counted(snapshot.projects, "project") if snapshot.projects else f"Projects, then {new}",
        ),
        FirstStep(
            *("First sender", accepted > 0, pressed("receiver.reach") * bool(snapshot.receivers)),
            _sender_help(snapshot, accepted, len(called)),
        ),
        FirstStep(
            *("Anonymization", snapshot.has_anonymization, site),
            "in force" if snapshot.has_anonymization else "there, if needed",
        ),
    )


def _sender_help(snapshot: EngineSnapshot, accepted: int, called: int) -> str:
    if accepted:
        return "called; no object yet"
    if called:
        return f"rejected; {pressed('association.allow')}: why"
    return "what to type there" if snapshot.receivers else "after the receiver"
