"""Builds the listeners and the table of associations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.dimse.pdata import BUFFER_BYTES, ReceiveBuffer
from engine.net.admission import PendingConnections
from engine.net.reactor import Reactor
from engine.reception.association import SharedServices
from engine.reception.associations import Associations
from engine.reception.deadlines import Deadlines
from engine.reception.listener import ListenerContext
from engine.reception.receivers import Receivers
from engine.reception.storage_scp import StorageSCP

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from engine.host.clock import Clock
    from engine.net.ports import InheritedSockets
    from engine.reception.acceptance import EngineLoad
    from engine.service.intake import Intake
    from engine.service.storage import Storage
    from engine.settings import EngineSettings


def associations_of(storage: Storage, intake: Intake, clock: Clock) -> Associations:
    """Return the table of associations, still empty."""
    index = storage.index
    known = index.known_callers()
    return Associations(clock, storage.journal, index.record, intake.metrics, known)


def receivers_of(
    settings: EngineSettings,
    storage: Storage,
    intake: Intake,
    associations: Associations,
    clock: Clock,
    load: Callable[[], EngineLoad],
    changed: Callable[[], None],
    inherited: InheritedSockets,
    resources: ExitStack,
) -> Receivers:
    """Return the receivers, none of which listens yet; `resources` ends them.

    Args:
        settings: of the engine.
        storage: its open data directory.
        intake: takes the objects in.
        associations: the table of associations.
        clock: the engine's.
        load: returns the present load, for accepting or rejecting.
        changed: is called when a receiver's state has changed.
        inherited: the listening sockets that the parent process handed over.
        resources: ends what is begun here.
    """
    services = SharedServices(
        Reactor(),
        ReceiveBuffer(BUFFER_BYTES),
        associations,
        StorageSCP(intake.pipeline, associations),
        Deadlines(settings.negotiation_seconds, settings.pdu_seconds, settings.handshake_seconds),
    )
    pending = PendingConnections(
        clock,
        storage.journal,
        settings.unassociated_peers,
        settings.unassociated_peers_per_address,
    )
    listener_context = ListenerContext(
        *(services, associations, pending, load, clock, storage.journal, inherited)
    )
    receivers = Receivers(listener_context, changed)
    # Undone in reverse order: no new associations, then no associations, then no sockets.
    resources.callback(inherited.close)
    resources.callback(receivers.abort_all)
    resources.callback(receivers.stop_accepting)
    return receivers
