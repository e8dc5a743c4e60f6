"""Finds settings of receivers that have no effect; each is reported once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.events import AnonymizationNotApplied, AnonymizationOutOfForce, OptionNotApplied
from engine.model.plugins import file_namer_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.events import Event
    from engine.model.configuration import Configuration
    from engine.model.plugins import FileNamerInfo


class _Option(NamedTuple):
    receiver: str
    option: str
    instead: str


def settings_without_effect(
    before: Configuration | None, after: Configuration, file_namers: Sequence[FileNamerInfo]
) -> Iterator[Event]:
    """Yield what there is to tell of a configuration that comes into force.

    Args:
        before: the one that was in force; None at the start.
        after: the one that comes.
        file_namers: what is installed.
    """
    known = set(_options(before, file_namers)) if before is not None else set()
    for found in _options(after, file_namers):
        if found not in known:
            yield OptionNotApplied(
                receiver=found.receiver, option=found.option, instead=found.instead
            )
    yield from _anonymization(before, after)


def _options(
    configuration: Configuration, file_namers: Sequence[FileNamerInfo]
) -> Iterator[_Option]:
    for receiver in configuration.receivers:
        if receiver.custom_processing and not configuration.processors_of(receiver):
            instead = "no processor sees the objects"
            yield _Option(receiver.label, "custom processing", instead)
        if any(file_namer_problems(receiver.file_namer, file_namers)):
            instead = "files are named by the site's template, for it can't be used"
            yield _Option(receiver.label, f"file namer {receiver.file_namer}", instead)


def _anonymization(before: Configuration | None, after: Configuration) -> Iterator[Event]:
    """Yield one event for all receivers whose objects are not anonymized any more, or not yet.

    On a new installation that is nothing to worry about; that a script is gone is.
    """
    known = set() if before is None else set(_left_as_received(before))
    receivers = tuple(label for label in _left_as_received(after) if label not in known)
    if not receivers:
        return
    if before is not None and before.has_anonymization:
        yield AnonymizationOutOfForce(receivers=receivers)
    else:
        yield AnonymizationNotApplied(receivers=receivers)


def _left_as_received(configuration: Configuration) -> Iterator[str]:
    """Yield the receivers that want their objects anonymized, if nothing does that."""
    if not configuration.has_anonymization:
        yield from (r.label for r in configuration.receivers if r.anonymization)
