"""Steps of the self-test beyond one object: a stranger, the object once more, preview and XNAT."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.app.selftest.filed import ROW_SECONDS, SelfTestStep, StepResult, wait_for
from engine.dimse.contexts import IMPLICIT_LITTLE, VERIFICATION
from engine.dimse.scu import call
from engine.errors import AssociationRefused, EngineError
from engine.model import whitelist
from engine.model.identity import UNASSIGNED
from engine.model.peer import AETitle, Peer, PeerDeadlines
from engine.model.session import ObjectState

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from engine.api import EngineView
    from engine.index.arrivals import Arrivals
    from engine.model.receiver import Receiver
    from engine.model.session import Session

_FAILED = 1
_NOT_RECOGNIZED = (1, 1, 3)
"""Calling AE title not recognized (PS3.8 9.3.4)."""


def stranger(receiver: Receiver, peer: Peer, tls: SSLContext | None) -> StepResult:
    """Call with an AE title that the whitelist does not admit, which must be rejected."""
    name = f"NO_{secrets.token_hex(6).upper()}"
    verdict = whitelist.match(receiver.whitelist_entries, name, ip_address(peer.host), None)
    step = SelfTestStep.STRANGER
    if verdict.admitted_by is not None:
        line = verdict.admitted_by.text
        return StepResult(step, True, f"not tried: {line} admits every AE title of this host")
    other = Peer(peer.host, peer.port, peer.called_ae_title, AETitle(name))
    try:
        with call(other, ((str(VERIFICATION), IMPLICIT_LITTLE),), PeerDeadlines(), tls):
            detail = f"{name} is accepted, though no line admits it"
            return StepResult(step, False, detail, "report it", _FAILED)
    except AssociationRefused as error:
        found = (error.result, error.source, error.reason)
        detail = f"{name}, which no line admits, is rejected {'/'.join(map(str, found))}"
        if found == _NOT_RECOGNIZED:
            return StepResult(step, True, detail)
        return StepResult(step, False, detail, error.remedy, error.exit_code)


def sent_again(arrivals: Arrivals, before: int, uid: str) -> StepResult:
    """Find the second row of an object that was sent twice, which must be that of a duplicate."""
    step, first = SelfTestStep.AGAIN, arrivals.first_of(uid, before)
    row = wait_for(lambda: arrivals.first_of(uid, first[0]), ROW_SECONDS) if first else None
    if row is None:
        return StepResult(step, False, "the index has no second row", "see the disk", _FAILED)
    if row[1] == ObjectState.DUPLICATE:
        return StepResult(step, True, "is a duplicate, and not stored twice")
    detail = f"is {row[1]}: a script or processor makes other content of it each time"
    return StepResult(step, True, detail)


def preview(engine: EngineView, receiver: Receiver, uid: str, session: Session) -> StepResult:
    """Compare the preview of the routing rules with the project that the object went to."""
    step, placed = SelfTestStep.PREVIEW, session.project or UNASSIGNED
    shown = (one for one in engine.preview_routing(receiver) if one.sop_instance_uid == uid)
    found = next(shown, None)
    if found is None:
        return StepResult(step, False, "does not show the object", "see the log", _FAILED)
    identity = found.saved.identity
    project = (identity.project.value if identity else None) or UNASSIGNED
    if project != placed:
        detail = f"shows project {project}, the object is in {placed}"
        return StepResult(step, False, detail, "report it", _FAILED)
    return StepResult(step, True, f"shows project {project}, where the object is")


def xnat_interface(receiver: Receiver, get: Callable[[str], tuple[int, bytes]]) -> StepResult:
    """Ask XNAT's resource for the receiver, over the control socket."""
    step, title = SelfTestStep.XNAT, quote(str(receiver.ae_title), safe="")
    try:
        status, content = get(f"/xapi/dicomscp/title/{title}/{receiver.port}")
    except EngineError as error:
        return StepResult(step, False, error.detail, error.remedy, _FAILED)
    if status == HTTPStatus.OK and json.loads(content)["label"] == receiver.label:
        return StepResult(step, True, "/xapi/dicomscp shows the receiver")
    detail = f"GET /xapi/dicomscp is answered with HTTP {status}"
    return StepResult(step, False, detail, "see the log", _FAILED)
