"""Which rules failed how often, and which are therefore not asked any more."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from engine.journal import is_told
from engine.routing import RuleSuspended, RuleTimeout

if TYPE_CHECKING:
    from engine.intake.clauses import Clause
    from engine.intake.inquiry import Failure

TIMEOUTS_TO_SUSPENSION = 5


class SlowRules:
    """The failures of one receiver's rules under one configuration; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: Counter[Clause] = Counter()
        self._timeouts: Counter[Clause] = Counter()
        self.suspended: frozenset[Clause] = frozenset()
        """The rules that are not asked any more; an object that needs one fails at once."""

    def note(self, failure: Failure) -> int:
        """Count a failure; return the times if somebody should be told, else 0.

        The first ones are told, then the 10th, 100th, 1000th …; that a suspended rule was not
        asked is no news.
        """
        clause, error = failure.clause, failure.error
        if isinstance(error, RuleSuspended):
            return 0
        with self._lock:
            self._failures[clause] += 1
            self._timeouts[clause] += isinstance(error, RuleTimeout)
            times = self._failures[clause]
            if self._timeouts[clause] >= TIMEOUTS_TO_SUSPENSION:
                self.suspended |= {clause}
        return times if times <= TIMEOUTS_TO_SUSPENSION or is_told(times) else 0
