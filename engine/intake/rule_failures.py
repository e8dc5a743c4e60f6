"""Failures of routing rules: which are reported, and which rules are suspended for being slow.

The engine's own process decides for all: receiving processes report to it, and it tells them.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.events.repeats import should_report_repeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.events import Event
    from engine.model.identity import Attribute

# A rule that needs its whole time limit again and again slows down every object.
TIMEOUTS_TO_SUSPENSION = 5


class RuleKey(NamedTuple):
    """One rule of one receiver under one configuration, the same in every process."""

    revision: int
    """Of the configuration: a changed one gives every rule another chance."""
    receiver: int
    """The receiver's id."""
    attribute: Attribute
    place: int
    """Among the sources of the attribute: two equal lines are two rules."""
    words: str


class RuleFailures(Protocol):
    """Counts failures of rules; for all threads."""

    @property
    def suspended(self) -> frozenset[RuleKey]:
        """The rules that are no longer evaluated; an object that needs one fails at once."""
        ...

    def note(self, rule: RuleKey, make: Callable[..., Event], *, timed_out: bool) -> None:
        """Count a failure, and report it if it is worth that.

        Args:
            rule: the rule that failed.
            make: makes the event, with `times` and `suspended`.
            timed_out: whether the rule itself took too long.
        """
        ...


class SlowRules:
    """Satisfies `RuleFailures` for all processes."""

    def __init__(self, report: Callable[[Event], object]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._failures: Counter[RuleKey] = Counter()
        self._timeouts: Counter[RuleKey] = Counter()
        self.suspended: frozenset[RuleKey] = frozenset()
        """The rules that are no longer evaluated."""
        self.changed: Callable[[frozenset[RuleKey]], object] = lambda _: None
        """Gets all suspended rules when there is one more."""

    def note(self, rule: RuleKey, make: Callable[..., Event], *, timed_out: bool) -> None:
        """Count a failure, and report the first `TIMEOUTS_TO_SUSPENSION`, the 10th, the 100th …."""
        with self._lock:
            self._forget_before(rule.revision)
            self._failures[rule] += 1
            self._timeouts[rule] += timed_out
            times, is_slow = self._failures[rule], self._timeouts[rule] >= TIMEOUTS_TO_SUSPENSION
            is_new = is_slow and rule not in self.suspended
            if is_new:
                # A new frozen set each time: readers take it without the lock.
                self.suspended |= {rule}
                self.changed(self.suspended)
        if times <= TIMEOUTS_TO_SUSPENSION or should_report_repeat(times):
            self._report(make(times=times, suspended=is_slow))

    def _forget_before(self, revision: int) -> None:
        """Forget the rules of earlier configurations; with the lock."""
        # Kept of the last one: a process may still use it while another has the new one.
        for counts in (self._failures, self._timeouts):
            for old in [rule for rule in counts if rule.revision < revision - 1]:
                del counts[old]
        if any(rule.revision < revision - 1 for rule in self.suspended):
            self.suspended = frozenset(r for r in self.suspended if r.revision >= revision - 1)
