"""The names that complete fields: callers, peers, projects, receivers, modalities.

`known_names` asks the engine once, when a dialog opens. Names come from peers, so only those are
offered that the field would take: plain text that reads back as what it is.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.errors import InvalidAETitle
from engine.model.peer import AETitle
from engine.model.series_filter import looks_at_modality
from engine.model.whitelist import proposals
from tui.widgets.completion import Names, offered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.api import EngineView
    from engine.api.senders import Sender

MOST_SENDERS = 500
"""Of the senders, those seen last."""
_TERMS = """
CT MR US CR DX MG PT NM XA RF OT SR SC PR KO SEG REG RTIMAGE RTDOSE RTSTRUCT RTPLAN RTRECORD ECG
EEG EPS HD IO IVUS OCT OP OPT OPV AU DOC ES GM LS PX SM TG XC BI DG BMD BDUS FID RWV SMR PLAN M3D
"""
MODALITIES = tuple(_TERMS.split())
"""Defined Terms of Modality (PS3.3 C.7.3.1.1.1), the usual ones first."""


def known_names(engine: EngineView) -> Mapping[Names, Sequence[str]]:
    """Ask the engine for all names; runs on a worker thread."""
    senders = [s for s in engine.senders.list(limit=MOST_SENDERS).senders if is_ae_title(s)]
    peers, projects = engine.peers.list(), engine.projects()
    callers = [sender.calling_ae_title for sender in senders]
    addresses = [sender.address for sender in senders if is_address(sender.address)]
    ids = [project.id for project in projects]
    aliases = [alias for project in projects for alias in project.aliases]
    receivers = [status.receiver.label for status in engine.snapshot().receivers]
    found: dict[Names, Iterable[str]] = {
        Names.CALLERS: callers,
        Names.CALLER_ADDRESSES: addresses,
        Names.WHITELIST_LINES: [line for sender in senders for line in whitelist_lines(sender)],
        Names.PEERS: [*(str(peer.ae_title) for peer in peers), *callers],
        Names.HOSTS: [*(peer.host for peer in peers), *addresses],
        Names.PROJECTS: [*ids, *aliases],
        Names.RECEIVERS: receivers,
        Names.MODALITIES: MODALITIES,
    }
    return {kind: offered(names) for kind, names in found.items()}


def is_ae_title(sender: Sender) -> bool:
    """Tell whether a sender's AE title is one: a peer may send any text in its place."""
    try:
        return AETitle.parse(sender.calling_ae_title) == sender.calling_ae_title
    except InvalidAETitle:
        return False


def is_address(text: str) -> bool:
    """Tell whether a text is an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def whitelist_lines(sender: Sender) -> Iterator[str]:
    """Yield the lines that let just this caller in: by its AE title, and only from its address.

    There is none for a caller whose title reads as an address or network: it would complete one
    that somebody types.
    """
    title, address = sender.calling_ae_title, sender.address
    if is_address(address):
        found = [e.text for e in proposals(title, ip_address(address)) if e.ae_title is not None]
        if title in found:
            yield from (line for line in (title, f"{title}@{address}") if line in found)


def rest_of_modality(lines: Sequence[str], names: Iterable[str]) -> str:
    """Return what completes the last modality of a series filter's line; empty for nothing."""
    typed = lines[-1].rpartition("|")[2].lstrip("^( ")
    if not typed or not looks_at_modality(lines[:-1]):
        return ""
    found = list(names)
    if typed in found:  # it is one, and most of the longer ones are rare
        return ""
    return next((name for name in found if name.startswith(typed)), "")[len(typed) :]
