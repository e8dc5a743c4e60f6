"""Throttles alerts: repeats are suppressed for a while, and the number per hour is limited."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.monitoring.alerts.conditions import condition_of

if TYPE_CHECKING:
    from engine.events import RecordedEvent
    from engine.monitoring.alerts.conditions import Condition

ALERTS_PER_HOUR = 60
CONDITIONS_KEPT = 1_000
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Alert:
    """What people are told of one condition; holds nothing about patients."""

    kind: str
    subject: str
    event: str
    severity: str
    message: str
    at: str
    """UTC, ISO 8601."""
    resolved: bool = False
    suppressed: int = 0
    """How often the same happened, untold, since it was told last."""


@dataclass(slots=True)
class _SentAlert:
    at: float
    suppressed: int = 0


class AlertThrottle:
    """Decides what is told; used by one thread."""

    def __init__(self) -> None:
        self._told: dict[Condition, _SentAlert] = {}
        self._sent: deque[float] = deque()
        """When the alerts of the last hour were told."""

    def judge(
        self, recorded: RecordedEvent, monotonic: float, repeat_seconds: float
    ) -> Alert | None:
        """Return what is to be told of an event, if anything.

        Args:
            recorded: what happened.
            monotonic: now, in seconds that never run backwards.
            repeat_seconds: within what time the same is not told again.
        """
        condition = condition_of(recorded.event)
        if condition is None:
            return None
        if not condition.begins:
            ended = [known for known in self._told if _is_same_condition(known, condition)]
            for known in ended:
                del self._told[known]
            return _alert(recorded, condition, 0) if ended and self._may_tell(monotonic) else None
        told = self._told.get(condition)
        if told is not None and monotonic - told.at < repeat_seconds:
            told.suppressed += 1
            return None
        if not self._may_tell(monotonic):
            return None
        self._told.pop(condition, None)
        if len(self._told) >= CONDITIONS_KEPT:
            del self._told[next(iter(self._told))]
        self._told[condition] = _SentAlert(monotonic)
        return _alert(recorded, condition, told.suppressed if told else 0)

    def _may_tell(self, monotonic: float) -> bool:
        while self._sent and monotonic - self._sent[0] >= _HOUR:
            self._sent.popleft()
        if len(self._sent) >= ALERTS_PER_HOUR:
            return False
        self._sent.append(monotonic)
        return True


def _is_same_condition(known: Condition, ending: Condition) -> bool:
    return (known.kind, known.subject) == (ending.kind, ending.subject)


def _alert(recorded: RecordedEvent, condition: Condition, suppressed: int) -> Alert:
    event = recorded.event
    about = " ".join(filter(None, (event.receiver, event.calling_ae_title, event.sentence())))
    return Alert(
        kind=str(condition.kind),
        subject=condition.subject,
        event=condition.event,
        severity=str(event.severity),
        message=about,
        at=recorded.at.isoformat(),
        resolved=not condition.begins,
        suppressed=suppressed,
    )
