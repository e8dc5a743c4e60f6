"""Receivers that can't use their identifier: they don't listen, and say why."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api import ListenFailure
from engine.events import ReceiverFailed
from engine.model.plugins import identifier_problems
from engine.plugins.loading import OWN_DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.errors import Problem
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.model.plugins import IdentifierInfo
    from engine.model.receiver import Receiver


class IdentifierFaults:
    """What keeps receivers from using their identifiers; may be called from any thread."""

    def __init__(
        self,
        identifiers: Sequence[IdentifierInfo],
        clock: Clock,
        report: Callable[[Event], object],
    ) -> None:
        self._identifiers = identifiers
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._failures: dict[int, ListenFailure] = {}
        """By the receiver's id."""

    def sort_out(self, receivers: Iterable[Receiver]) -> tuple[Receiver, ...]:
        """Return the receivers as they can be served: those that can't be are disabled."""
        with self._lock:
            before, self._failures = self._failures, {}
            return tuple(self._served(receiver, before.get(receiver.id)) for receiver in receivers)

    def of(self, receiver: Receiver) -> ListenFailure | None:
        """Return why an enabled receiver doesn't listen; None if its identifier is no reason."""
        with self._lock:
            return self._failures.get(receiver.id)

    def _served(self, receiver: Receiver, before: ListenFailure | None) -> Receiver:
        problem = next(identifier_problems(receiver.choice, self._identifiers), None)
        if problem is None or not receiver.enabled:
            return receiver
        reason, remedy = self._reason(problem, receiver.identifier), problem.remedy
        if before is not None and before.reason == reason:
            self._failures[receiver.id] = before
        else:
            self._failures[receiver.id] = ListenFailure(reason, remedy, self._clock.now())
            self._report(ReceiverFailed(receiver=receiver.label, reason=reason, remedy=remedy))
        return replace(receiver, enabled=False)

    def _reason(self, problem: Problem, identifier: str) -> str:
        """Say why, for events too: what a plugin says of a setting may quote the setting."""
        info = next((known for known in self._identifiers if known.id == identifier), None)
        origin = info.origin.split()[:1] if info else []
        foreign = bool(origin) and origin != [OWN_DISTRIBUTION]
        if foreign and problem.field.startswith("identifier_settings."):
            return f"its {problem.field} is not acceptable to the identifier"
        return _describe(problem)


def _describe(problem: Problem) -> str:
    if problem.field == "identifier" and problem.value not in problem.message:
        return f"its identifier {problem.value} {problem.message}"
    if problem.field == "routing_enabled":
        return f"its identifier {problem.message}"
    return f"its {problem.field} {problem.message}"
