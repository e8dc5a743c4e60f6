"""An answer of the engine that a screen keeps, asked for again when it is wanted or aged."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from tui.link import EngineCall

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from engine.errors import EngineError
    from engine.view import EngineView

T = TypeVar("T")
AT_MOST_EVERY = timedelta(seconds=1)
AGAIN_AFTER_FAILURE = timedelta(seconds=5)


class Fetch(Generic[T]):
    """Asks one thing at a time; the newest wish counts, and what was there stays until then."""

    def __init__(
        self, what: str, ask: Callable[[EngineCall], None], changed: Callable[[], None]
    ) -> None:
        """Take what is asked for in words, how calls are made, and who is told of an answer."""
        self._what = what
        self._ask = ask
        self._changed = changed
        self._asked: Hashable = None
        self._asked_at: datetime | None = None
        self._due = False
        self.wish: Hashable = None
        """What `answer` is for."""
        self.answer: T | None = None
        self.problem: EngineError | None = None
        """Why there is no newer answer."""

    @property
    def is_current(self) -> bool:
        """Whether the answer is for what was wanted last."""
        return self.wish == self._asked and self.problem is None

    def want(
        self,
        wish: Hashable,
        look: Callable[[EngineView], T],
        now: datetime,
        *,
        again: bool = False,
        at_once: bool = False,
    ) -> None:
        """Ask, if that is not what was asked for already.

        Args:
            wish: what is wanted, to be compared.
            look: asks the engine for it; runs on a worker thread.
            now: the time of the reading that is shown.
            again: whether the answer may have changed; asked once a second at most.
            at_once: whether it has changed, by something that was done here.
        """
        self._due |= again
        if wish == self._asked and not at_once and not self._is_time(now):
            return
        self._asked, self._asked_at, self._due = wish, now, False
        self._ask(
            EngineCall(
                self._what,
                (self._what, id(self)),
                look,
                partial(self._take, wish),
                partial(self._miss, wish),
                changes=False,
                latest=True,
            )
        )

    def forget(self) -> None:
        """Keep nothing, and ask again when something is wanted."""
        self._asked = self.wish = self.answer = self.problem = None

    def _is_time(self, now: datetime) -> bool:
        since = abs(now - self._asked_at) if self._asked_at is not None else AGAIN_AFTER_FAILURE
        failed = self.problem is not None and since >= AGAIN_AFTER_FAILURE
        return failed or (self._due and since >= AT_MOST_EVERY)

    def _take(self, wish: Hashable, answer: T) -> None:
        self.wish, self.answer, self.problem = wish, answer, None
        self._changed()

    def _miss(self, wish: Hashable, error: EngineError) -> None:
        if wish == self._asked:
            self.problem = error
            self._changed()
