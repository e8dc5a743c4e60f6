"""The storage commitment SCP: checks requests, and passes them on; errors become a status."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from engine.dimse.commands import N_ACTION, SUCCESS, normalized_response
from engine.dimse.commitment import REQUEST_ACTION, TooManyReferences, decode_request
from engine.dimse.contexts import COMMITMENT_INSTANCE, STORAGE_COMMITMENT
from engine.errors import EngineError, UnreadableObject
from engine.events.commitment import CommitmentRefused

if TYPE_CHECKING:
    from engine.dimse.acceptor import NormalizedRequested
    from engine.events.journal import Journal
    from engine.reception.dock import AssociationDock
    from engine.reception.live_association import LiveAssociation

# PS3.7 annex C.
_PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _INVALID_ARGUMENT = 0x0110, 0x0112, 0x0115
_NO_SUCH_CLASS, _CLASS_NOT_SUPPORTED, _NO_SUCH_ACTION = 0x0118, 0x0122, 0x0123
_UNRECOGNIZED_OPERATION, _RESOURCE_LIMITATION = 0x0211, 0x0213

_logger = logging.getLogger(__name__)


class _Refusal(NamedTuple):
    """Why a request is refused."""

    status: int
    why: str


class CommitmentSCP:
    """Answers requests for storage commitment of all receivers; for any thread."""

    def __init__(self, dock: AssociationDock, journal: Journal) -> None:
        self._dock = dock
        self._journal = journal

    def act(self, event: NormalizedRequested, live: LiveAssociation) -> bytes:
        """Keep a request, and return its response; not on the loop's thread, as it may wait."""
        try:
            refusal = self._refusal(event, live) or self._kept(event, live)
        except Exception as error:
            # The border: a defect of ours must not lose the association.
            _logger.exception("a request for storage commitment of %s failed", live.id)
            refusal = _Refusal(_PROCESSING_FAILURE, f"internal error ({type(error).__name__})")
        if refusal is None:
            return normalized_response(event.request, SUCCESS)
        refused = partial(
            CommitmentRefused,
            receiver=live.receiver.label,
            calling_ae_title=live.calling_ae_title,
            association=live.id,
            status=refusal.status,
            why=refusal.why,
        )
        self._journal.record_repeated(refused, (live.calling_ae_title, *refusal))
        return normalized_response(event.request, refusal.status, refusal.why)

    def _refusal(self, event: NormalizedRequested, live: LiveAssociation) -> _Refusal | None:
        """Return why a request can't be one for storage commitment (PS3.4 J.3.2)."""
        request = event.request
        if not live.settings.storage_commitment:
            return _Refusal(_CLASS_NOT_SUPPORTED, "the receiver does no storage commitment")
        if request.field != N_ACTION:
            return _Refusal(_UNRECOGNIZED_OPERATION, "reports are not taken here")
        if request.sop_class_uid != STORAGE_COMMITMENT:
            return _Refusal(_NO_SUCH_CLASS, "the requested SOP class is another one")
        if request.sop_instance_uid != COMMITMENT_INSTANCE:
            return _Refusal(_NO_SUCH_INSTANCE, "the requested SOP instance is another one")
        if request.type_id != REQUEST_ACTION:
            return _Refusal(_NO_SUCH_ACTION, "the Action Type ID is not 1")
        if event.data_set is None:
            return _Refusal(_RESOURCE_LIMITATION, "the request is too long")
        return None

    def _kept(self, event: NormalizedRequested, live: LiveAssociation) -> _Refusal | None:
        assert event.data_set is not None
        try:
            asked = decode_request(event.data_set, event.transfer_syntax_uid)
        except TooManyReferences as error:
            return _Refusal(_RESOURCE_LIMITATION, error.detail)
        except UnreadableObject as error:
            return _Refusal(_INVALID_ARGUMENT, error.detail)
        try:
            self._dock.commit(live, asked.transaction_uid, asked.references)
        except EngineError as error:
            return _Refusal(_RESOURCE_LIMITATION, error.detail)
        return None
