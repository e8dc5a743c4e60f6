"""Lines of standard logging as events: our words, and nothing of objects."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConfigurationError, NotFound, Problem
from engine.events.journal import Journal
from engine.events.logging_handler import JournalHandler
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal(FixedClock())
    detach = JournalHandler(journal).attach()
    yield journal
    detach()


def told(journal: Journal) -> list[str]:
    return [recorded.event.sentence() for recorded in journal.events_since(1, 99).events]


def test_words_numbers_and_known_reasons_are_kept_and_texts_are_not(journal: Journal) -> None:
    logger = logging.getLogger("engine.part")
    logger.warning("%d rows wait: %s", 3, OSError(28, "No space left on device", "/GEHEIM/1"))
    logger.warning("it failed: %s for %s", NotFound("no session 3"), "GEHEIM")
    try:
        int("GEHEIM")
    except ValueError:
        logger.exception("one look failed")
    logger.info("nothing")
    broken = {"name": "engine.part", "levelno": logging.ERROR, "msg": "broken %d"}
    handler = next(h for h in logging.getLogger("engine").handlers if isinstance(h, JournalHandler))
    handler.handle(logging.makeLogRecord(broken | {"args": ("GEHEIM",)}))
    place = "in test_unforeseen.py line"
    first, second, third, fourth = told(journal)
    assert first == "3 rows wait: No space left on device (engine.part)"
    assert second == "it failed: no session 3 for str (engine.part)"
    assert third.startswith(f"one look failed: ValueError {place} ")
    assert fourth == "broken %d (engine.part)"


def test_of_a_configuration_its_places_are_kept_and_its_values_are_not(journal: Journal) -> None:
    problems = [
        Problem("site.alerts.webhook", "https://GEHEIM", "is no address GEHEIM", "write GEHEIM"),
        Problem("receivers[XNAT:8104].port", "GEHEIM", "is odd", "mend it", 3, 7),
        Problem("site.https://u:GEHEIM@h", "1", "is not known", "remove it"),
        *(Problem("projects[GEHEIM@h].id", "x", "is odd", "mend it") for _ in range(4)),
    ]
    logging.getLogger("engine.part").warning("refused: %s", ConfigurationError(*problems))
    assert told(journal) == [
        "refused: not acceptable: site.alerts.webhook, receivers[XNAT:8104].port line 3 column 7, "
        "site.https, projects, projects and 2 more (engine.part)"
    ]


def test_the_same_is_told_as_a_count_and_other_modules_and_the_journal_are_not_told(
    journal: Journal,
) -> None:
    for _ in range(12):
        logging.getLogger("engine.part").warning("again")
    logging.getLogger("engine.events.journal").warning("the log can't be written")
    logging.getLogger("elsewhere").warning("not ours")
    assert told(journal) == ["again (engine.part)", "again (engine.part), 10 times by now"]


def test_a_subscriber_that_logs_while_it_is_told_ends_in_no_circle(journal: Journal) -> None:
    journal.follow(lambda _: logging.getLogger("engine.part").warning("while being told"))
    logging.getLogger("engine.part").warning("something")
    assert told(journal) == ["something (engine.part)"]
