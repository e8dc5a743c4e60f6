"""`HistoryView` of an engine in this process: revisions of its configuration, as sentences."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from engine.api.history import ChangeRow, ReceiverTimes, RevisionPage, RevisionSummary
from engine.config.receiver_times import receiver_times
from engine.errors import ChangedMeanwhile, NotFound
from engine.host.owner import SAYS
from engine.model.configuration import Configuration
from engine.model.configuration_diff import differences, in_one_line, masked

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from engine.config.revisions import Revision
    from engine.config.store import ConfigurationStore
    from engine.model.configuration_diff import FieldDifference

# An answer to a console stays small, however long the history and its texts are.
LONGEST_PAGE = 200
_SUMMARY_ROWS = 5
_MOST_SUBJECTS = 200
_LONGEST_TEXT = 20_000
_BETWEEN = " from "
"""Separates login and address in `changed_by`."""


class HistoryQueries:
    """Reads the kept revisions; every method may be called from any thread."""

    def __init__(
        self,
        store: ConfigurationStore,
        in_force: Callable[[], Configuration],
        changing: Callable[[], AbstractContextManager[ConfigurationStore]],
        apply: Callable[[Configuration], None],
    ) -> None:
        """Use a store; `apply` brings a result into force.

        `changing` locks the store for a change, also while its file can't be read.
        """
        self._store = store
        self._in_force = in_force
        self._changing = changing
        self._apply = apply
        self._times: tuple[int, dict[int, ReceiverTimes]] = (0, {})
        """Of the receivers at a revision. Not locked: a race reads some revisions once more."""

    def revisions(self, *, before: int | None = None, limit: int = 50) -> RevisionPage:
        """Return revisions older than one, newest first."""
        limit = min(max(0, limit), LONGEST_PAGE)
        # One more than wanted, which says whether there are earlier ones.
        found = list(islice(self._store.revisions(before), limit + 1))
        shown = tuple(map(_summary, found[:limit]))
        return RevisionPage(shown, self._in_force().revision, more=len(found) > limit)

    def diff(self, before: int, after: int | None = None) -> tuple[ChangeRow, ...]:
        """Return the differences between two revisions."""
        earlier = self._store.revision(before) if before else Configuration()
        later = self._in_force() if after is None else self._store.revision(after)
        return tuple(map(_row, masked(differences(earlier, later))))

    def receiver_times(self) -> tuple[ReceiverTimes, ...]:
        """Return when each receiver was added and last changed, as far as the revisions say."""
        known_at, known = self._times
        revision = self._in_force().revision
        if revision != known_at:
            past = self._store.history.revisions(revision + 1)
            known = receiver_times(past, known, known_at)
            self._times = revision, known
        return tuple(known.values())

    def restore(self, number: int, actor: str, *, replacing: int | None = None) -> int:
        """Bring an old revision into force, as a new revision; return the number of the new one."""
        with self._changing() as store:
            if store.is_broken():
                return self._replace_broken(store, number, actor)
            # From the file, inside the lock: a command may have changed it since it was applied.
            now = store.load()
            if replacing is not None and now.revision != replacing:
                # The changes that the user has not seen, so that the question can be asked anew.
                made = [row.sentence() for row in masked(self._since(replacing, now))]
                raise ChangedMeanwhile("the configuration", now.changed_by, now.changed_at, made)
            configuration = store.restore(number, actor)
            # Restoring what is in force already changes nothing: no receiver is touched.
            if configuration != self._in_force():
                self._apply(configuration)
            return configuration.revision

    def _replace_broken(self, store: ConfigurationStore, number: int, actor: str) -> int:
        candidates = store.recoverable()
        chosen = next((one for one in candidates if one.configuration.revision == number), None)
        if chosen is None:
            raise NotFound(f"revision {number} can't be restored", "choose another one")
        configuration = store.recover(chosen, actor)
        if configuration != self._in_force():
            self._apply(configuration)
        return configuration.revision

    def _since(self, number: int, now: Configuration) -> tuple[FieldDifference, ...]:
        return differences(self._store.revision(number), now)


def _summary(revision: Revision) -> RevisionSummary:
    made, configuration = list(masked(revision.made)), revision.configuration
    # The address that the engine saw is taken off. What the client claims about itself stays
    # behind the name, marked as a claim.
    name, says, said = configuration.changed_by.partition(SAYS)
    who, _, where = name.partition(_BETWEEN)
    return RevisionSummary(
        number=configuration.revision,
        changed_at=configuration.changed_at,
        changed_by=f"{who}{says}{said}",
        changed_from=where,
        changes=len(made),
        summary=tuple(difference.sentence() for difference in made[:_SUMMARY_ROWS]),
        subjects=tuple(dict.fromkeys(d.subject for d in made))[:_MOST_SUBJECTS],
    )


def _row(difference: FieldDifference) -> ChangeRow:
    return ChangeRow(
        subject=difference.subject,
        change=difference.change,
        field=difference.field,
        before=_text(difference.before),
        after=_text(difference.after),
        sentence=difference.sentence()[:_LONGEST_TEXT],
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "\n".join(map(in_one_line, value))[:_LONGEST_TEXT]
    return "" if value is None else str(value)[:_LONGEST_TEXT]
