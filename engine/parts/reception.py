"""Where peers come in: the listeners, and the associations that they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dimse.associations import Associations
from engine.dimse.door import Door
from engine.dimse.receivers import Receivers
from engine.dimse.receiving import Deadlines
from engine.dimse.reception import Reception

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.clock import Clock
    from engine.dimse.acceptance import Load
    from engine.dimse.inherited import InheritedSockets
    from engine.parts.intake import Intake
    from engine.parts.storage import Storage
    from engine.settings import EngineSettings


def associations_of(storage: Storage, intake: Intake, clock: Clock) -> Associations:
    """Return the book of the associations, with none yet."""
    index = storage.index
    known = index.known_callers()
    return Associations(clock, storage.journal, index.record, intake.metrics, known)


def receivers_of(
    settings: EngineSettings,
    storage: Storage,
    intake: Intake,
    associations: Associations,
    clock: Clock,
    load: Callable[[], Load],
    changed: Callable[[], None],
    inherited: InheritedSockets,
    opened: ExitStack,
) -> Receivers:
    """Return the receivers, none of which listens yet; `opened` ends them.

    Args:
        settings: of the engine.
        storage: its open data directory.
        intake: what takes the objects in.
        associations: the book of the associations.
        clock: the engine's.
        load: says how much there is to do.
        changed: is called when a receiver's state has changed.
        inherited: the listening sockets that the parent process handed over.
        opened: ends what is begun here.
    """
    receivers = Receivers(
        clock,
        storage.journal,
        associations,
        Reception(intake.pipeline, associations),
        load,
        Deadlines(settings.negotiation_seconds, settings.pdu_seconds, settings.handshake_seconds),
        Door(
            clock,
            storage.journal,
            settings.unassociated_peers,
            settings.unassociated_peers_per_address,
        ),
        changed,
        inherited,
    )
    opened.callback(inherited.close)
    opened.callback(receivers.abort_all)
    opened.callback(receivers.stop_accepting)
    return receivers
