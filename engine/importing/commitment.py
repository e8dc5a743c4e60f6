"""Storage commitment: whether a peer keeps what it has stored, as a part of each outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.dimse.commitment_scu import ask
from engine.errors import AssociationBroken
from engine.importing.found import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.dimse.commitment import Reference
    from engine.dimse.commitment_scu import ReportListener
    from engine.dimse.scu import OutgoingAssociation
    from engine.importing.outcomes import Result

ASKED_AT_ONCE = 1000
"""Objects of one request. A run that is killed sends that many again for each association."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """Asks a peer whether it keeps what it has stored; for any thread."""

    seconds: float
    """The longest wait for one report."""
    listener: ReportListener | None = None
    """Where the peer may report on an association of its own."""

    def outcomes(
        self,
        association: OutgoingAssociation,
        stored: Sequence[tuple[Reference, Result]],
        is_over: Callable[[], bool],
    ) -> list[Result]:
        """Ask for commitment, wait for the report, and return what became of each object.

        Args:
            association: for which `COMMITMENT_CONTEXTS` were proposed.
            stored: the objects, which may have been sent on any association.
            is_over: whether the report is not to be waited for any more.

        Raises:
            ContextRefused: if the peer does no storage commitment.
        """
        # A SOP instance may stand in several files.
        references = tuple(dict.fromkeys(reference for reference, _ in stored))
        try:
            report = ask(association, references, self.seconds, self.listener, is_over)
        except AssociationBroken as error:
            return [not_committed(result, error.detail) for _, result in stored]
        whys = ((report.why_not(reference), result) for reference, result in stored)
        return [not_committed(result, why) if why else result for why, result in whys]


def not_committed(result: Result, why: str) -> Result:
    """Return the outcome of an object that is stored, and not committed."""
    return replace(result, outcome=Outcome.NOT_COMMITTED, reason=why)
