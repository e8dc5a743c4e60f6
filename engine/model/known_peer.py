"""Known peers: AEs that the engine may call by their AE title, with their addresses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, InvalidPeer, Problem
from engine.model.peer import OWN_AE_TITLE, AETitle, CallingTls, Peer, make_peer
from engine.model.secrets import unknown_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TEXTS = ("tls_ca", "tls_certificate", "tls_key")
_MOST_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """One peer; its AE title names it, with which it calls us and is called."""

    ae_title: AETitle
    host: str
    port: int
    tls_enabled: bool = False
    tls_ca: str = ""
    """PEM file with the authorities of its certificate; empty for the system's own."""
    tls_certificate: str = ""
    """PEM file with the certificate that we show if we are asked; empty for none."""
    tls_key: str = ""
    tls_check_name: bool = True
    """Whether its certificate must be for the host that we call."""

    def called_from(self, calling: str = OWN_AE_TITLE) -> Peer:
        """Return whom to call, with our own AE title."""
        return Peer(self.host, self.port, str(self.ae_title), calling, self.tls)

    @property
    def tls(self) -> CallingTls | None:
        """TLS as it is in force; None while it is off."""
        files = (self.tls_ca, self.tls_certificate, self.tls_key)
        return CallingTls(*files, self.tls_check_name) if self.tls_enabled else None

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse_known_peer` reads."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return record | {"ae_title": str(self.ae_title)}


def parse_known_peer(raw: Mapping[str, object]) -> KnownPeer:
    """Turn raw values into a peer; absent members take their default.

    The port may be a number or its digits.

    Raises:
        InvalidPeer: with every problem at once, each naming field, value and remedy.
    """
    problems = list(unknown_members(raw, {f.name for f in fields(KnownPeer)}, "is no field"))
    ca, certificate, key = (_text(raw, name, problems) for name in _TEXTS)
    enabled = _switch(raw, "tls_enabled", False, problems)
    check_name = _switch(raw, "tls_check_name", True, problems)
    tls = CallingTls(ca, certificate, key) if enabled else None
    port = raw.get("port", "")
    number = "" if isinstance(port, bool) else str(port).strip()
    title, host = _text(raw, "ae_title", problems), _text(raw, "host", problems)
    try:
        peer = make_peer(host, number, title, tls=tls)
    except ConfigurationError as error:
        problems.extend(_renamed(error.problems))
        raise InvalidPeer(*problems) from error
    if problems:
        raise InvalidPeer(*problems)
    return KnownPeer(
        AETitle.parse(title), host, peer.port, enabled, ca, certificate, key, check_name
    )


def _renamed(problems: Sequence[Problem]) -> Iterator[Problem]:
    for problem in problems:
        name = "ae_title" if problem.field == "called_ae_title" else problem.field
        yield Problem(name, problem.value, problem.message, problem.remedy)


def _text(raw: Mapping[str, object], name: str, problems: list[Problem]) -> str:
    value = raw.get(name, "")
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS or not value.isprintable():
        problems.append(Problem(name, str(value)[:40], "is not a line of text", "write a text"))
        return ""
    return value.strip()


def _switch(raw: Mapping[str, object], name: str, default: bool, problems: list[Problem]) -> bool:
    value = raw.get(name, default)
    if not isinstance(value, bool):
        problems.append(Problem(name, str(value)[:40], "is not a switch", "write true or false"))
        return default
    return value


def peer_named(peers: Sequence[KnownPeer], ae_title: str) -> KnownPeer | None:
    """Return the peer with an AE title; None if there is none."""
    return next((peer for peer in peers if peer.ae_title == ae_title), None)
