"""The way of the marked object, step by step in words; the first that fails ends it."""

from __future__ import annotations

import tempfile
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from engine.certificates import own_caller, read_certificate
from engine.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, VERIFICATION
from engine.dimse.scu import call, store_one
from engine.errors import PeerError
from engine.intake.sendable import open_sendable
from engine.lock import EngineLock
from engine.model import whitelist
from engine.model.peer import Peer, PeerDeadlines
from engine.model.store_status import SUCCESS, status_in_words
from engine.net.ports import calling_address, listening_address
from engine.selftest.filed import Filed, filed, on_disk, remove, route
from engine.selftest.marked import SOP_CLASS_UID, TRANSFER_SYNTAX_UID, marked_object
from engine.selftest.report import Found, Step
from engine.sessions.arrivals import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ssl import SSLContext

    from engine.clock import Clock
    from engine.dimse.scu import OutgoingAssociation
    from engine.model.configuration import Configuration
    from engine.model.receiver import Receiver
    from engine.settings import EngineSettings

NOT_ACCEPTED = 9
_COMPRESSED = (
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
_CONTEXTS = (
    (str(VERIFICATION), IMPLICIT_LITTLE),
    *((SOP_CLASS_UID, syntax) for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, *_COMPRESSED)),
)


class SelfTest:
    """Tests one receiver of a running engine as a caller would; used once."""

    def __init__(
        self,
        settings: EngineSettings,
        configuration: Configuration,
        receiver: Receiver,
        calling_ae_title: str,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._clock = clock
        bind = receiver.bind_address or configuration.site.bind_address
        self._host = calling_address(listening_address(bind))
        self._peer = Peer(self._host, receiver.port, str(receiver.ae_title), calling_ae_title)

    def run(self) -> Iterator[Found]:
        """Take one step after the other and yield what is found at each.

        Raises:
            EngineError: if a step can't even be taken; those before it have been told.
        """
        if not EngineLock.holder(self._settings.lock_file):
            yield _bad(Step.ENGINE, "no engine runs on this data directory", "start it", 8)
            return
        yield _good(Step.ENGINE, "runs")
        if not self._receiver.enabled:
            remedy = f"enable it with: receivers enable {self._receiver.label}"
            yield _bad(Step.RECEIVER, "is disabled", remedy, NOT_ACCEPTED)
            return
        yield _good(Step.RECEIVER, f"{self._receiver.label} is enabled")
        yield self._whitelisted()
        try:
            yield from self._called()
        except PeerError as error:
            yield _bad(Step.ASSOCIATION, error.detail, error.remedy, error.exit_code)

    def _whitelisted(self) -> Found:
        """Say what the whitelist makes of the caller; the listener itself decides afterwards."""
        receiver, caller = self._receiver, self._peer.calling_ae_title
        if not receiver.whitelist_enabled:
            return _good(Step.WHITELIST, "is off: everybody may call")
        shown = None
        if receiver.tls is not None:
            certificate = Path(receiver.tls.certificate)
            shown = read_certificate(certificate, "tls_certificate").identity
        verdict = whitelist.match(receiver.whitelist_entries, caller, ip_address(self._host), shown)
        if verdict.admitted_by is not None:
            return _good(Step.WHITELIST, f"admits {caller} by the line {verdict.admitted_by.text}")
        remedy = "name another AE title with --as, or add a line for this host"
        return _bad(Step.WHITELIST, verdict.why, remedy, NOT_ACCEPTED)

    def _called(self) -> Iterator[Found]:
        with closing(Arrivals(self._settings.index_file)) as arrivals:
            before = arrivals.newest()
            association = call(self._peer, _CONTEXTS, PeerDeadlines(), self._tls())
            with association:
                yield self._spoken()
                yield _good(Step.ASSOCIATION, f"accepted for {self._peer.calling_ae_title}")
                yield _accepted(association)
                yield _answered(Step.ECHO, association.echo().status)
                uid, content = marked_object(self._clock.now())
                status, detail = _stored(association, content)
            if status != SUCCESS:
                yield _bad(Step.STORE, detail, "see the engine's events", NOT_ACCEPTED)
                return
            yield _good(Step.STORE, "answered with success")
            yield from self._followed(arrivals, before, uid, content)

    def _tls(self) -> SSLContext | None:
        return own_caller(self._receiver.tls) if self._receiver.tls else None

    def _spoken(self) -> Found:
        tls = self._receiver.tls
        if tls is None:
            return _good(Step.TLS, "is off: what is sent can be read on the way")
        certificate = read_certificate(Path(tls.certificate), "tls_certificate")
        now = self._clock.now()
        if certificate.is_expired(now):
            return _bad(Step.TLS, "the certificate has expired", "renew it", NOT_ACCEPTED)
        days = certificate.days_left(now)
        return _good(Step.TLS, f"is spoken; the certificate is valid for {days} more days")

    def _followed(
        self, arrivals: Arrivals, before: int, uid: str, content: bytes
    ) -> Iterator[Found]:
        """Find the object where the engine has filed it, and remove it."""
        found = filed(self._settings, arrivals, before, uid, self._clock)
        if not isinstance(found, Filed):
            yield found
            return
        yield route(found)
        yield on_disk(self._settings, found, content)
        yield remove(self._settings, found, self._peer.calling_ae_title, self._clock)


def _accepted(association: OutgoingAssociation) -> Found:
    taken = [syntax for uid, syntax in association.contexts if uid == SOP_CLASS_UID]
    offered = len(_CONTEXTS) - 1
    if TRANSFER_SYNTAX_UID not in taken:
        detail = "Secondary Capture in Explicit VR Little Endian is refused"
        return _bad(Step.CONTEXTS, detail, "see the engine's events", NOT_ACCEPTED)
    return _good(
        Step.CONTEXTS, f"{len(taken)} of {offered} transfer syntaxes of Secondary Capture accepted"
    )


def _answered(step: Step, status: int) -> Found:
    if status == SUCCESS:
        return _good(step, "answered with success")
    return _bad(step, f"answered {status_in_words(status)}", "", NOT_ACCEPTED)


def _stored(association: OutgoingAssociation, content: bytes) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(content)
        file.flush()
        with open_sendable(Path(file.name)) as sendable:
            return store_one(association, sendable)


def _good(step: Step, detail: str) -> Found:
    return Found(step, True, detail)


def _bad(step: Step, detail: str, remedy: str, exit_code: int) -> Found:
    return Found(step, False, detail, remedy, exit_code)
