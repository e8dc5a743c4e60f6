"""Masks secrets in settings for clients, and puts them back into what clients send; pure.

A secret never leaves the engine. A mask in settings of a client stands for the secret in force, see
`engine.model.secrets`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.alerts import require_no_masks, target_of
from engine.model.secrets import MASK, has_mask, with_secrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.alerts import AlertTarget
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor
    from engine.model.receiver import Receiver
    from engine.model.site import SiteSettings

Pairs = tuple[tuple[str, str], ...]


def masked_configuration(configuration: Configuration) -> Configuration:
    """Return a configuration without its secrets."""
    return replace(
        configuration,
        site=masked_site(configuration.site),
        receivers=tuple(map(masked_receiver, configuration.receivers)),
        processors=tuple(map(masked_processor, configuration.processors)),
    )


def masked_site(site: SiteSettings) -> SiteSettings:
    """Return site settings without the secrets of alert targets."""
    targets = tuple(target.masked() for target in site.alerts.targets)
    return replace(site, alerts=replace(site.alerts, targets=targets))


def masked_receiver(receiver: Receiver) -> Receiver:
    """Return a receiver without the secrets in the settings of its identifier."""
    return replace(receiver, identifier_settings=_masked_pairs(receiver.identifier_settings))


def masked_processor(processor: Processor) -> Processor:
    """Return a processor without the secrets in its parameters."""
    return replace(processor, parameters=_masked_pairs(processor.parameters))


def revealed_site(site: SiteSettings, in_force: SiteSettings) -> SiteSettings:
    """Return site settings of a client with the secrets that its masks stand for."""
    known = [target.to_record() for target in in_force.alerts.targets]
    targets = tuple(_revealed_target(target, known) for target in site.alerts.targets)
    return replace(site, alerts=replace(site.alerts, targets=targets))


def revealed_target(target: AlertTarget, in_force: SiteSettings) -> AlertTarget:
    """Return an alert target of a client with the secret that its mask stands for.

    Raises:
        InvalidSite: if a mask is left.
    """
    known = [one.to_record() for one in in_force.alerts.targets]
    revealed = _revealed_target(target, known)
    require_no_masks([revealed])
    return revealed


def revealed_receiver(receiver: Receiver, in_force: Configuration) -> Receiver:
    """Return a receiver of a client with the secrets that its masks stand for."""
    # Another identifier gets no secrets of the former one.
    known = [
        known.identifier_settings
        for known in in_force.receivers
        if (known.id, known.identifier) == (receiver.id, receiver.identifier)
    ]
    settings = _revealed_pairs(receiver.identifier_settings, known)
    return replace(receiver, identifier_settings=settings)


def revealed_processor(processor: Processor, in_force: Configuration) -> Processor:
    """Return a processor of a client with the secrets that its masks stand for.

    If the class or the program has changed, no secret is put back: the new program could send it
    elsewhere.
    """
    known = [
        known.parameters
        for known in in_force.processors
        if (known.id, _parameters_of(known)) == (processor.id, _parameters_of(processor))
    ]
    return replace(processor, parameters=_revealed_pairs(processor.parameters, known))


def _parameters_of(processor: Processor) -> tuple[str, str]:
    return processor.processor_class, dict(processor.parameters).get("program", "")


def mask_problems(place: str, settings: Pairs) -> Iterator[Problem]:
    """Yield the settings that have a mask where a secret belongs."""
    for name, value in settings:
        if has_mask(value):
            message = "has a mask in place of a secret"
            yield Problem(f"{place}.{name}", MASK, message, "write the secret again")


def _revealed_target(target: AlertTarget, known: list[dict[str, object]]) -> AlertTarget:
    # By name; a target with a new name is compared with all others.
    same = [record for record in known if record["name"] == target.name]
    return target_of(with_secrets("target", target.to_record(), *(same or known)))


def _masked_pairs(pairs: Pairs) -> Pairs:
    return tuple((name, str(without_secrets(name, value))) for name, value in pairs)


def _revealed_pairs(pairs: Pairs, known: list[Pairs]) -> Pairs:
    former = dict(known[0]) if known else {}
    return tuple(
        (name, str(with_secrets(name, value, *([former[name]] if name in former else []))))
        for name, value in pairs
    )
