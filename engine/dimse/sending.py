"""Files sent by C-STORE, as they are encoded, over as few associations as their contexts need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.certificates import caller
from engine.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, VERIFICATION
from engine.dimse.proposal import MAX_CONTEXTS
from engine.dimse.requestor import OutgoingAssociation
from engine.errors import ContextRefused, UnreadableObject
from engine.intake.sendable import open_sendable
from engine.model.store_status import SUCCESS, Verdict, status_in_words, verdict_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.dimse.proposal import Context
    from engine.intake.sendable import Sendable
    from engine.model.peer import Peer, PeerDeadlines


@dataclass(frozen=True, slots=True)
class SentObject:
    """What became of one file."""

    file: Path
    size_bytes: int = 0
    """Of the data set, if it was sent."""
    status: int | None = None
    """What the peer answered; None if the file was not sent."""
    detail: str = ""
    """The answer in words, or why the file was not sent."""

    @property
    def is_stored(self) -> bool:
        """Whether the peer has it."""
        return self.status is not None and verdict_of(self.status) is Verdict.DONE


def call(
    peer: Peer,
    contexts: Sequence[Context],
    deadlines: PeerDeadlines,
    context: ssl.SSLContext | None = None,
) -> OutgoingAssociation:
    """Return an association with a peer, over TLS if the peer is called so.

    Args:
        peer: whom to call.
        contexts: what is proposed.
        deadlines: how long the peer may take.
        context: how TLS is spoken, instead of as `peer` says.
    """
    tls = caller(peer.tls) if context is None and peer.tls is not None else context
    return OutgoingAssociation(peer, contexts, deadlines, tls)


def echo_peer(peer: Peer, deadlines: PeerDeadlines) -> int:
    """Send a C-ECHO and return the status that is answered.

    Raises:
        PeerError: if none is.
    """
    contexts = [(str(VERIFICATION), syntax) for syntax in (IMPLICIT_LITTLE, EXPLICIT_LITTLE)]
    with call(peer, contexts, deadlines) as association:
        return association.echo().status


def store_one(association: OutgoingAssociation, sendable: Sendable) -> tuple[int, str]:
    """Send one open object and return the status and what the peer says about it.

    Raises:
        ContextRefused: if the peer does not take its kind; nothing was sent.
        AssociationBroken: if the peer does not take or answer it.
        UnreadableObject: if the file became shorter.
        OSError: if it can't be read.
    """
    answer = association.store(
        sendable.context, sendable.sop_instance_uid, sendable.pieces(), sendable.size_bytes
    )
    if answer.status == SUCCESS:
        return answer.status, ""
    comment = f": {answer.comment}" if answer.comment else ""
    return answer.status, f"the peer answers {status_in_words(answer.status)}{comment}"


def send_files(
    peer: Peer,
    files: Sequence[Path],
    deadlines: PeerDeadlines,
    tell: Callable[[SentObject], None],
) -> None:
    """Send files one after the other, and tell what became of each.

    Raises:
        PeerError: if the association is rejected or breaks; the files not told of were not sent.
    """
    for contexts, group in _groups(files, tell):
        with call(peer, contexts, deadlines) as association:
            for file in group:
                tell(_send(association, file))


def _send(association: OutgoingAssociation, file: Path) -> SentObject:
    try:
        with open_sendable(file) as sendable:
            status, detail = store_one(association, sendable)
            return SentObject(file, sendable.size_bytes, status, detail)
    except (ContextRefused, UnreadableObject) as error:
        return SentObject(file, detail=error.detail)
    except OSError as error:
        return SentObject(file, detail=_unreadable(error))


def _groups(
    files: Sequence[Path], tell: Callable[[SentObject], None]
) -> Iterator[tuple[list[Context], list[Path]]]:
    """Yield files whose contexts fit into one association, with these contexts."""
    contexts: dict[Context, None] = {}
    group: list[Path] = []
    for file in files:
        try:
            with open_sendable(file) as sendable:
                context = sendable.context
        except UnreadableObject as error:
            tell(SentObject(file, detail=error.detail))
            continue
        except OSError as error:
            tell(SentObject(file, detail=_unreadable(error)))
            continue
        if context not in contexts and len(contexts) == MAX_CONTEXTS:
            yield list(contexts), group
            contexts, group = {}, []
        contexts[context] = None
        group.append(file)
    if group:
        yield list(contexts), group


def _unreadable(error: OSError) -> str:
    return f"can't be read: {(error.strerror or type(error).__name__).lower()}"
