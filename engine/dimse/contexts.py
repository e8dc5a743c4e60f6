"""Which presentation contexts a receiver accepts: every storage class, every transfer syntax.

Unknown and private SOP classes are accepted as storage, because refusing them is what integrators
complain about (xnat-behaviour 13). Deflated syntaxes are not, because a small deflated data set
can unpack to any size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import PresentationContext

from engine.view import RefusedContext
from engine.view.associations import AcceptedContext

if TYPE_CHECKING:
    from collections.abc import Iterable

VERIFICATION = UID("1.2.840.10008.1.1")
_STANDARD_ROOT = "1.2.840.10008."
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
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
"""In order of preference: what every viewer reads first, the retired big endian last."""


@lru_cache(maxsize=1)
def verification_context() -> PresentationContext:
    """Return the context for C-ECHO, which every receiver supports; shared as well."""
    context = PresentationContext()
    context.abstract_syntax = VERIFICATION
    context.transfer_syntax = list(_UNCOMPRESSED)
    return context


@lru_cache(maxsize=4096)
def is_storage(sop_class_uid: str) -> bool:
    """Tell whether objects of a SOP class are taken: all storage, private and unknown classes."""
    if not sop_class_uid.startswith(_STANDARD_ROOT):
        return True
    uid = UID(sop_class_uid)
    if not uid.type:
        return True  # newer than our dictionary
    other_service = "Storage Commitment" in uid.name or uid == _MEDIA_DIRECTORY
    return uid.type == "SOP Class" and "Storage" in uid.name and not other_service


def supported_contexts(proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Return what a receiver supports of the proposed contexts, one per abstract syntax."""
    wanted = {str(context.abstract_syntax) for context in proposed}
    supported = [verification_context()]
    return supported + [_storage_context(uid) for uid in sorted(wanted) if is_storage(uid)]


@lru_cache(maxsize=1024)
def _storage_context(sop_class_uid: str) -> PresentationContext:
    """Return the context of a storage class, which all associations share and none changes."""
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class_uid)
    context.transfer_syntax = list(TRANSFER_SYNTAXES)
    return context


def refused_contexts(
    refused: Iterable[PresentationContext], proposed: Iterable[PresentationContext]
) -> tuple[RefusedContext, ...]:
    """Return in words what was refused of a proposal, and why."""
    syntaxes = {context.context_id: context.transfer_syntax for context in proposed}
    return tuple(
        RefusedContext(
            _name(context.abstract_syntax),
            tuple(_name(syntax) for syntax in syntaxes.get(context.context_id, ())),
            _REASONS.get(context.result or 0, f"result {context.result}"),
        )
        for context in refused
    )


class AcceptedUIDs(NamedTuple):
    """An accepted context as it is kept: its names are looked up only when somebody asks."""

    id: int
    sop_class: UID | None
    transfer_syntax: UID | None


def accepted_uids(accepted: Iterable[PresentationContext]) -> tuple[AcceptedUIDs, ...]:
    """Return what is kept of the accepted contexts."""
    return tuple(
        AcceptedUIDs(
            context.context_id or 0,
            context.abstract_syntax,
            next(iter(context.transfer_syntax), None),
        )
        for context in accepted
    )


def named_contexts(accepted: Iterable[AcceptedUIDs]) -> tuple[AcceptedContext, ...]:
    """Return accepted contexts in words, in the order of their ids."""
    return tuple(
        AcceptedContext(context.id, _name(context.sop_class), _name(context.transfer_syntax))
        for context in sorted(accepted, key=lambda context: context.id)
    )


_REASONS = {  # PS3.8 table 9-18
    1: "refused by the user",
    2: "refused without a reason",
    3: "not a storage class",
    4: "no common transfer syntax",
}


def _name(uid: UID | None) -> str:
    return uid.name if uid else "none"
