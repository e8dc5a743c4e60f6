"""The one decision whether an association is accepted, and by which receiver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.dimse.acse import APPLICATION_CONTEXT
from engine.model import whitelist
from engine.model.peer import origin_of
from engine.model.site import SiteSettings
from engine.net.admission import too_fast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.receiver import Receiver
    from engine.model.tls import PeerCertificate


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """The values of an A-ASSOCIATE-RQ and its connection that decide."""

    called_ae_title: str
    calling_ae_title: str
    address: whitelist.Address
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1
    is_rate_limited: bool = False
    """Whether the address requests associations faster than allowed."""
    certificate: PeerCertificate | None = None
    """The caller's verified certificate; None if it showed none."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The association is accepted; its objects go to this receiver."""

    receiver: Receiver
    whitelist_line: str = ""
    """The line that allowed the caller; empty while the whitelist is off."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The A-ASSOCIATE-RJ to send (PS3.8 9.3.4) and the reason in words."""

    result: int
    source: int
    reason: int
    why: str

    @property
    def code(self) -> tuple[int, int, int]:
        """Result, source and reason."""
        return self.result, self.source, self.reason


@dataclass(frozen=True, slots=True)
class OpenAssociation:
    """The values of an open association that count for the limits."""

    receiver: str
    """``AE:port``."""
    address: whitelist.Address
    calling_ae_title: str


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """The open associations, the site's limits, and whether the engine can accept anything."""

    open: Sequence[OpenAssociation] = ()
    site: SiteSettings = SiteSettings()
    draining: bool = False
    storage_refusal: str = ""
    """Why the storage is full or unusable; empty if it is neither."""


def decide(
    request: AssociationRequest, port: int, receivers: Mapping[str, Receiver], load: EngineLoad
) -> Acceptance | Rejection:
    """Decide on one request; the first reason to refuse wins (reliability-security 2.3).

    Args:
        request: the caller, the called AE title and the address.
        port: the local port that was called.
        receivers: the enabled receivers of that port by AE title.
        load: the open associations, and the limits.
    """
    # The order matters: the caller gets one reason, and the log has the same. First the rate of the
    # address: the titles in such requests may be guesses, each a different one. Then the protocol,
    # the called title, the caller, and last whether there is room.
    if request.is_rate_limited:
        return Rejection(2, 3, 1, too_fast(load.site.limits))
    # PS3.8 9.3.4: result, source, reason. Source 2 is the ACSE part of the service provider.
    if request.protocol_version != 1:
        return Rejection(1, 2, 2, f"protocol version {request.protocol_version} is not DICOM's")
    if request.application_context != APPLICATION_CONTEXT:
        return Rejection(
            1, 1, 2, f"application context {request.application_context} is not DICOM's"
        )
    receiver = receivers.get(request.called_ae_title)
    if receiver is None:
        # Before the whitelist, because the whitelist is the receiver's.
        answering = ", ".join(sorted(receivers)) or "none"
        return Rejection(
            1,
            1,
            7,
            f"called AE title {request.called_ae_title} is not an enabled receiver on port {port}; "
            f"enabled there: {answering}",
        )
    line = ""
    if receiver.whitelist_enabled:
        verdict = whitelist.match(
            receiver.whitelist_entries,
            request.calling_ae_title,
            request.address,
            request.certificate,
        )
        if verdict.admitted_by is None:
            return Rejection(1, 1, 3, verdict.why)
        line = verdict.admitted_by.text
    # Transient (result 2), so that the sender asks again: the engine may be back in a moment.
    if load.draining:
        return Rejection(2, 3, 1, "the engine is stopping")
    # Last of all. A stranger must not learn how full the storage is, and the answer "local limit
    # exceeded" (2/3/2) makes senders repeat what would be rejected for good.
    full = load.storage_refusal or next(_limits_reached(request, receiver, load), "")
    return Rejection(2, 3, 2, full) if full else Acceptance(receiver, line)


def _limits_reached(
    request: AssociationRequest, receiver: Receiver, load: EngineLoad
) -> Iterator[str]:
    """Yield a sentence for each limit that allows no more associations."""
    limits = receiver.limits_within(load.site)
    at_receiver = sum(o.receiver == receiver.label for o in load.open)
    # Not the plain address: a host with IPv6 has a whole /64.
    place = origin_of(request.address)
    at_address = sum(origin_of(o.address) == place for o in load.open)
    of_caller = sum(o.calling_ae_title == request.calling_ae_title for o in load.open)
    for count, limit, where in (
        (len(load.open), limits.associations, "the engine"),
        (at_receiver, limits.associations_per_receiver, str(receiver.ae_title)),
        (at_address, limits.associations_per_address, f"address {place}"),
        (
            of_caller,
            limits.associations_per_calling_ae_title,
            f"calling AE title {request.calling_ae_title}",
        ),
    ):
        if count >= limit:
            yield f"{count} associations of {where} are open, and no more are allowed"
