"""Implements `CommitmentsView`: requests for storage commitment, and their results."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from engine.api.commitments import (
    CommitmentDetail,
    CommitmentState,
    CommitmentStatus,
    CommittedObject,
)
from engine.dimse.commitment import REASONS
from engine.errors import NotFound
from engine.events.commitment import CommitmentRetried
from engine.state.commitments import Commitments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.state.commitments import Commitment, CommitmentRow

_DONE = frozenset((CommitmentState.DELIVERED, CommitmentState.GIVEN_UP))


class CommitmentQueries:
    """A `CommitmentsView`; with or without a running engine, for any thread."""

    def __init__(
        self,
        state_file: Path,
        clock: Clock,
        report: Callable[[Event], object],
        notify: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the file, and what wakes the engine."""
        self._file = state_file
        self._clock = clock
        self._report = report
        self._notify = notify

    def list(self, limit: int = 100) -> tuple[CommitmentStatus, ...]:
        """Return the requests, newest first."""
        # To open the table would make the file.
        if not self._file.exists():
            return ()
        with Commitments(self._file) as table:
            return tuple(map(_status, table.newest(limit)))

    def show(self, number: int, limit: int = 1000) -> CommitmentDetail:
        """Return one request, with at most so many of its SOP instances, failed ones first."""
        self._require_file(number)
        with Commitments(self._file) as table:
            row, commitment = table.row(number), table.get(number)
        if row is None or commitment is None:
            raise _unknown(number)
        objects = sorted(_objects(commitment), key=lambda one: not one.reason)
        return CommitmentDetail(_status(row), tuple(objects[:limit]))

    def retry(self, number: int, actor: str) -> CommitmentStatus:
        """Look the SOP instances up again, and deliver the result at once."""
        self._require_file(number)
        with Commitments(self._file) as table:
            if table.row(number) is None:
                raise _unknown(number)
            table.ask_again(number, self._clock.now())
            row = table.row(number)
        assert row is not None
        self._report(CommitmentRetried(number=number, by=actor))
        self._notify()
        return _status(row)

    def _require_file(self, number: int) -> None:
        if not self._file.exists():
            raise _unknown(number)


def _unknown(number: int) -> NotFound:
    return NotFound(f"there is no request {number}", "list them with: commitments list")


def _status(row: CommitmentRow) -> CommitmentStatus:
    waits = row.due_at and row.state not in _DONE
    return CommitmentStatus(
        *(row.id, row.transaction_uid, row.calling_ae_title, row.receiver),
        *(datetime.fromisoformat(row.asked_at), row.state, row.objects, row.failed),
        *(datetime.fromisoformat(row.changed_at), row.attempts),
        datetime.fromisoformat(row.due_at) if waits else None,
        row.reason,
    )


def _objects(commitment: Commitment) -> Iterator[CommittedObject]:
    is_known = commitment.state is not CommitmentState.ASKED
    for place, names in enumerate(commitment.references):
        failure = commitment.failures.get(place)
        if failure is None:
            yield CommittedObject(*names, True if is_known else None)
        else:
            words = f"0x{failure:04X} ({REASONS.get(failure, 'unknown')})"
            yield CommittedObject(*names, False, words)
