"""Completes what is typed by names that the engine knows: callers, peers, projects, receivers.

`known_names` asks the engine once, when a dialog opens. Names come from peers, so only those are
offered that the field would take: plain text that reads back as what it is.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING

from textual.geometry import Size
from textual.suggester import Suggester
from textual.widgets import TextArea

from engine.errors import InvalidAETitle
from engine.model.peer import AETitle
from engine.model.series_filter import looks_at_modality
from engine.model.whitelist import proposals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.api import EngineView
    from engine.api.senders import Sender

MOST_SENDERS = 500
"""Of the senders, those seen last."""
MOST_NAMES = 1_000
"""Of each kind."""
COMPLETES = "→ completes"
"""What the hint of a field says that completes."""


class Names(StrEnum):
    """The kinds of names."""

    CALLERS = "callers"
    """AE titles that called, also those that were rejected."""
    CALLER_ADDRESSES = "caller addresses"
    WHITELIST_LINES = "whitelist lines"
    """For each caller its AE title, and the same with its address."""
    PEERS = "peers"
    """AE titles of known peers, then those that called."""
    HOSTS = "hosts"
    PROJECTS = "projects"
    """Ids, then aliases."""
    RECEIVERS = "receivers"
    """Such as ``XNAT:8104``."""
    MODALITIES = "modalities"


_TERMS = """
CT MR US CR DX MG PT NM XA RF OT SR SC PR KO SEG REG RTIMAGE RTDOSE RTSTRUCT RTPLAN RTRECORD ECG
EEG EPS HD IO IVUS OCT OP OPT OPV AU DOC ES GM LS PX SM TG XC BI DG BMD BDUS FID RWV SMR PLAN M3D
"""
MODALITIES = tuple(_TERMS.split())
"""Defined Terms of Modality (PS3.3 C.7.3.1.1.1), the usual ones first."""
NO_NAMES: Mapping[Names, Sequence[str]] = MappingProxyType({})


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


def offered(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in order, without those that could not be typed."""
    plain = (name for name in names if name and name.isprintable() and name == name.strip())
    return tuple(dict.fromkeys(plain))[:MOST_NAMES]


def name_begun(typed: str, names: Iterable[str]) -> str:
    """Return the first longer name that begins with what is typed, in any case; empty for none."""
    begun = typed.casefold()
    longer = (name for name in names if len(name) > len(typed))
    return next((name for name in longer if name[: len(typed)].casefold() == begun), "")


def rest_of_line(lines: Sequence[str], names: Iterable[str]) -> str:
    """Return what completes the last of some lines to a name; empty for nothing.

    The case counts: what is typed stays, so the line would else be another name. A name that is
    another line already is not offered.
    """
    typed, others = lines[-1].lstrip(), set(map(str.strip, lines[:-1]))
    if not typed:
        return ""
    found = (n for n in names if n.startswith(typed) and n != typed and n not in others)
    return next(found, "")[len(typed) :]


def rest_of_modality(lines: Sequence[str], names: Iterable[str]) -> str:
    """Return what completes the last modality of a series filter's line; empty for nothing."""
    typed = lines[-1].rpartition("|")[2].lstrip("^( ")
    if not typed or not looks_at_modality(lines[:-1]):
        return ""
    found = list(names)
    if typed in found:  # it is one, and most of the longer ones are rare
        return ""
    return next((name for name in found if name.startswith(typed)), "")[len(typed) :]


class NameSuggester(Suggester):
    """Gives Textual's `Input` what completes its value; asks nobody but the function given."""

    def __init__(self, complete: Callable[[str], str]) -> None:
        """Take a function from a value to a longer one, or to nothing."""
        # Not cached: names come while something is typed already.
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """Return the longer value."""
        return self._complete(value) or None


class CompletingArea(TextArea):
    """A text area that completes the line under the cursor, at its end."""

    complete: Callable[[Sequence[str]], str] | None = None
    """Gets the lines up to the cursor, and returns what is to be added."""

    def update_suggestion(self) -> None:
        """Show what would complete the line."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        at_end = self.selection.is_empty and column == len(line)
        if self.complete is None or not at_end:
            self.suggestion = ""
            return
        before = [self.document.get_line(number) for number in range(row)]
        self.suggestion = self.complete([*before, line])

    def validate_virtual_size(self, size: Size) -> Size:
        """Leave room for what completes a line: Textual shows as much as the longest line has."""
        room = self.scrollable_content_region.width - self.styles.scrollbar_size_vertical
        return Size(max(size.width, room), size.height)

    def on_text_area_selection_changed(self) -> None:
        """Follow the cursor: what is shown belongs to where it was."""
        self.update_suggestion()
