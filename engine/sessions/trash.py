"""The trash: deleted sessions and replaced objects, removed for good when their time is over."""

from __future__ import annotations

import logging
import os
import re
import shutil
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from engine.model.session import SessionArea
from engine.session_events import TrashPurged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.clock import Clock
    from engine.expiry import ExpiryClock
    from engine.journal import Journal
    from engine.model.session import Session
    from engine.sessions.areas import Areas
    from engine.sessions.ledger import SessionLedger

PURGE_SECONDS = 3600.0
"""How often is looked for what is old: the trash may have a hundred thousand entries."""

_ENTRY = re.compile(r"(\d{8}_\d{6})\d{3}_\d+")
_FORMAT = "%Y%m%d_%H%M%S"

_logger = logging.getLogger(__name__)


class Trash:
    """Removes what is old enough; used by one thread."""

    def __init__(
        self,
        areas: Areas,
        ledger: SessionLedger,
        journal: Journal,
        clock: Clock,
        expiry: ExpiryClock,
    ) -> None:
        self._folder = areas.trash
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._expiry = expiry
        self._purge_at = 0.0

    def purge(self, days: float) -> None:
        """Remove what has been there for some days, if the last look was a while ago.

        What an operation needs stays, and so does a session that somebody wants back.
        """
        if self._clock.monotonic() < self._purge_at:
            return
        self._purge_at = self._clock.monotonic() + PURGE_SECONDS
        needed = {name for plan in self._ledger.plans() for name in plan.trash_entries}
        old = sorted(self._older_than(self._expiry.now() - timedelta(days=days)))
        purged = sum(self._remove(name) for name in old if name not in needed)
        if purged:
            self._journal.record(TrashPurged(entries=purged))

    def _older_than(self, moment: datetime) -> Iterator[str]:
        # Names begin with local times: a day more covers every change of them.
        latest = (moment + timedelta(days=1)).astimezone().strftime(_FORMAT)
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if entry.name <= latest]
        except FileNotFoundError:  # somebody removed it; it is made anew by what is deleted next
            return
        for name in names:
            since = _since(name)
            if since is not None and since < moment:
                yield name

    def _remove(self, name: str) -> bool:
        """Remove an entry and the rows of its sessions: first these, so that none is restored."""
        if not self._ledger.forget_trash(name):
            return False
        entry = self._folder / name
        shutil.rmtree(entry, ignore_errors=True)
        if entry.exists():
            _logger.warning("an entry of the trash can't be removed: %s", name)
            return False
        return True


def put_into_trash_at(session: Session) -> datetime | None:
    """Return when a session was put into the trash; None if it is not there."""
    if session.area is not SessionArea.TRASH:
        return None
    return _since(session.folder.partition("/")[0])


def _since(name: str) -> datetime | None:
    """Return when something was put into the trash, from the name of its folder."""
    found = _ENTRY.fullmatch(name)
    if found is None:
        return None
    with suppress(ValueError):
        return datetime.strptime(found[1], _FORMAT).astimezone()
    return None
