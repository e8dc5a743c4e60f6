"""The processor class *Forward copy*: its parameters and their check."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.certificates.tls_context import caller
from engine.errors import ConfigurationError
from engine.model.peer import OWN_AE_TITLE
from engine.model.processor import Location, ParameterKind, ProcessorClass, ProcessorParameter
from engine.processing.forward.connection import peer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Problem
    from engine.processing.contract import Settings

CLASS_ID = "forwardCopy"


def _number(
    name: str, label: str, words: str, default: int, least: int, most: int
) -> ProcessorParameter:
    return ProcessorParameter(
        name,
        label,
        words,
        ParameterKind.NUMBER,
        default=str(default),
        minimum=least,
        maximum=most,
    )


def _file(name: str, label: str, words: str) -> ProcessorParameter:
    return ProcessorParameter(name, label, words, ParameterKind.FILE)


_PARAMETERS = (
    ProcessorParameter(
        "ae_title", "Called AE title", "write the AE title of the peer", required=True
    ),
    ProcessorParameter("host", "Host", "write the peer's name or address", required=True),
    ProcessorParameter(
        "port",
        "Port",
        "write the peer's port",
        ParameterKind.NUMBER,
        required=True,
        minimum=1,
        maximum=65_535,
    ),
    ProcessorParameter(
        "calling_ae_title",
        "Calling AE title",
        "write the AE title that the peer knows us by",
        default=OWN_AE_TITLE,
    ),
    ProcessorParameter(
        "tls", "TLS", "switch on if the port speaks TLS", ParameterKind.SWITCH, default="false"
    ),
    _file("tls_ca", "Authorities", "PEM file with the peer's authorities; else the system's"),
    _file("tls_certificate", "Certificate", "PEM file with our certificate, if the peer asks"),
    _file("tls_key", "Private key", "PEM file with its private key, without a passphrase"),
    ProcessorParameter(
        "tls_check_name",
        "Check name",
        "switch off if the peer's certificate is for another name than its host",
        ParameterKind.SWITCH,
        default="true",
    ),
    _number("max_attempts", "Attempts", "how often one object may be refused", 10, 1, 1000),
    _number("max_wait_seconds", "Longest wait", "seconds between two attempts", 600, 1, 86_400),
    _number("max_age_hours", "Maximum age", "hours for which an object is tried", 168, 1, 8760),
    _number("timeout_seconds", "Time to answer", "seconds for each answer", 30, 1, 3600),
)


class ForwardCopy:
    """Sends every stored object on to another AE, as it is stored."""

    info = ProcessorClass(
        CLASS_ID,
        "Forward copy",
        "Sends each stored object to another AE, from a queue with retries that never delays the"
        " sender and survives every restart.",
        locations=(Location.AFTER_STORED,),
        parameters=_PARAMETERS,
    )

    def check(self, settings: Settings) -> Iterable[Problem]:
        """Yield what is wrong with the peer's address, AE titles or certificate files."""
        try:
            peer = peer_of(settings)
            if peer.tls is not None:
                caller(peer.tls)
        except ConfigurationError as error:
            return [_renamed(problem) for problem in error.problems]
        return ()


def _renamed(problem: Problem) -> Problem:
    names = {"called_ae_title": "ae_title"}
    return replace(problem, field=names.get(problem.field, problem.field))
