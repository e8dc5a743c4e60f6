"""Every private name of pynetdicom that our reception stands on, checked before a port opens.

pynetdicom is pinned for these; a version without one of them is refused with its name instead of
failing in the middle of an association.
"""

from __future__ import annotations

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.timer import Timer
from pynetdicom.transport import AssociationServer, AssociationSocket

from engine.errors import EngineError

_OF_CLASSES: dict[type, tuple[str, ...]] = {
    AssociationSocket: ("_shutdown_socket", "event_queue"),
    AssociationServer: ("service_actions", "handle_error", "process_request", "verify_request"),
    DULServiceProvider: (
        "_read_pdu_data",
        "_decode_pdu",
        "_process_recv_primitive",
        "_send",
        "run_reactor",
        "kill_dul",
    ),
}
_OF_ASSOCIATION = (
    "_ae",
    "_mode",
    "_server",
    "_handlers",
    "_accepted_cx",
    "_sent_abort",
    "_sent_release",
    "_reactor_checkpoint",
)
_OF_PROVIDER = (
    "_assoc",
    "_recv_pdu",
    "_idle_timer",
    "_kill_thread",
    "event_queue",
    "to_provider_queue",
    "to_user_queue",
    "artim_timer",
    "state_machine",
)
_OF_TIMER = ("_start_time", "_end_time")


def require() -> None:
    """Check that the installed pynetdicom has what we stand on.

    Raises:
        EngineError: naming what is missing.
    """
    association = Association(AE(), "acceptor")
    missing = [
        f"{owner.__name__}.{name}"
        for owner, names in _OF_CLASSES.items()
        for name in names
        if not hasattr(owner, name)
    ]
    for instance, names in (
        (association, _OF_ASSOCIATION),
        (association.dul, _OF_PROVIDER),
        (Timer(1), _OF_TIMER),
    ):
        missing += [f"{type(instance).__name__}.{n}" for n in names if not hasattr(instance, n)]
    if missing:
        raise EngineError(f"this pynetdicom lacks {', '.join(missing)}", "install pynetdicom 3.0.4")
