"""Negotiates presentation contexts: all storage classes, nearly all transfer syntaxes.

Unknown and private SOP classes are accepted as storage, because integrators complain when they are
refused (xnat-behaviour 13). Deflated syntaxes are refused, because a small deflated data set can
inflate to any size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pydicom import config
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES

from engine.api import RefusedContext
from engine.api.status import AcceptedContext

if TYPE_CHECKING:
    from collections.abc import Iterable

VERIFICATION = UID("1.2.840.10008.1.1")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
"""The push model (PS3.4 annex J)."""
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its one SOP instance, which all requests name (PS3.4 J.3.5)."""
_STANDARD_ROOT = "1.2.840.10008."
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
COMMITMENT_CONTEXTS = tuple(
    (str(STORAGE_COMMITMENT), s) for s in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)
)
"""What is proposed to ask for storage commitment, or to report on it."""
DEFLATED = frozenset(
    {
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)
_UNCOMPRESSED = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
TRANSFER_SYNTAXES: tuple[str, ...] = (
    *_UNCOMPRESSED,
    *(s for s in ALL_TRANSFER_SYNTAXES if s not in {*_UNCOMPRESSED, *DEFLATED, EXPLICIT_BIG}),
    EXPLICIT_BIG,
)
"""In order of preference: first those that every viewer reads, last the retired big endian."""


class ProposedContext(NamedTuple):
    """A presentation context as a requestor proposes it (PS3.8 9.3.2.2)."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class AcceptedUIDs(NamedTuple):
    """An accepted context by UIDs; names are looked up only when they are shown."""

    id: int
    sop_class: str
    transfer_syntax: str


class Refusal(NamedTuple):
    """A context that is not accepted, with its result (PS3.8 table 9-18)."""

    context: ProposedContext
    result: int


def answer_contexts(
    proposed: Iterable[ProposedContext], *, commitment: bool = False
) -> tuple[tuple[AcceptedUIDs, ...], tuple[Refusal, ...]]:
    """Return the accepted and the refused contexts, both in the order of their ids.

    The receiver chooses the transfer syntax; the order of the proposal does not matter.

    Args:
        proposed: the contexts of the requestor.
        commitment: whether the receiver takes requests for storage commitment.
    """
    accepted, refused = list[AcceptedUIDs](), list[Refusal]()
    for context in sorted(proposed):
        supported = supported_syntaxes(context.abstract_syntax, commitment=commitment)
        # PS3.8 9.3.3.2: the acceptor chooses one of those proposed.
        chosen = next((syntax for syntax in supported if syntax in context.transfer_syntaxes), None)
        if chosen is not None:
            accepted.append(AcceptedUIDs(context.id, context.abstract_syntax, chosen))
        else:
            result = _NO_TRANSFER_SYNTAX if supported else _NO_ABSTRACT_SYNTAX
            refused.append(Refusal(context, result))
    return tuple(accepted), tuple(refused)


def supported_syntaxes(sop_class_uid: str, *, commitment: bool = False) -> tuple[str, ...]:
    """Return the transfer syntaxes accepted for a SOP class; empty if the class is refused."""
    if sop_class_uid == VERIFICATION or (commitment and sop_class_uid == STORAGE_COMMITMENT):
        return _UNCOMPRESSED
    return TRANSFER_SYNTAXES if is_storage(sop_class_uid) else ()


@lru_cache(maxsize=4096)
def is_storage(sop_class_uid: str) -> bool:
    """Tell whether a SOP class is accepted: storage, private and unknown classes."""
    if not sop_class_uid.startswith(_STANDARD_ROOT):
        return True
    uid = _uid(sop_class_uid)
    if not uid.type:
        # Newer than the dictionary of pydicom.
        return True
    # Both have "Storage" in their names, and no objects that are stored.
    other_service = "Storage Commitment" in uid.name or uid == _MEDIA_DIRECTORY
    return uid.type == "SOP Class" and "Storage" in uid.name and not other_service


def refused_contexts(refused: Iterable[Refusal]) -> tuple[RefusedContext, ...]:
    """Return the refused contexts by name, with the reason."""
    return tuple(
        RefusedContext(
            name_of(context.abstract_syntax),
            tuple(map(name_of, context.transfer_syntaxes)),
            _REASONS[result],
        )
        for context, result in refused
    )


def named_contexts(accepted: Iterable[AcceptedUIDs]) -> tuple[AcceptedContext, ...]:
    """Return accepted contexts in words, in the order of their ids."""
    return tuple(
        AcceptedContext(context.id, name_of(context.sop_class), name_of(context.transfer_syntax))
        for context in sorted(accepted, key=lambda context: context.id)
    )


_NO_ABSTRACT_SYNTAX, _NO_TRANSFER_SYNTAX = 3, 4  # PS3.8 table 9-18
_REASONS = {
    _NO_ABSTRACT_SYNTAX: "not a storage class",
    _NO_TRANSFER_SYNTAX: "no common transfer syntax",
}


def name_of(uid: str) -> str:
    """Return the name of a UID, or the UID itself if pydicom does not know it."""
    return _uid(uid).name if uid else "none"


def _uid(text: str) -> UID:
    # By default pydicom warns of a UID such as 1.2.03 on standard error, with its text.
    return UID(text, config.IGNORE)
