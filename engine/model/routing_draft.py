"""Drafts of routing rules, for previews: a text with one section for each attribute."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigurationError, Problem
from engine.model.routing import ATTRIBUTES
from engine.routing import InvalidRule, parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model.receiver import Receiver
    from engine.model.routing import SiteRouting

_RECEIVER_SECTIONS = {name: f"{name}_routing" for name in ATTRIBUTES[:3]}
_SITE_SECTIONS = {f"site {name.replace('_', '-')}": name for name in ATTRIBUTES}
SECTIONS = (*_RECEIVER_SECTIONS, *_SITE_SECTIONS)
_HEAD = re.compile(r"\s*\[([^\]]*)\]\s*")


class InvalidDraft(ConfigurationError):
    """A text that is not a draft of routing rules."""

    title = "Not routing rules"


def drafted(
    text: str, receiver: Receiver, site: SiteRouting, field: str = "rules"
) -> tuple[Receiver, SiteRouting]:
    """Return a receiver and a site's routing with the rules of a draft in place of theirs.

    The text has sections: ``[project]``, ``[subject]`` and ``[session]`` are the receiver's,
    ``[site project]``, ``[site subject]``, ``[site session]`` and ``[site auto-archive]`` the
    site's; under each stand its rules, one per line. What has no section stays as it is.

    Raises:
        InvalidDraft: with every problem at once, each naming its line in the text.
    """
    problems: list[Problem] = []
    sections = _sections(text, field, problems)
    for section in sections.values():
        try:
            parse_rules(section, field)
        except InvalidRule as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidDraft(*sorted(problems, key=lambda p: (p.line or 0, p.column or 0)))
    own: dict[str, Any] = {
        name: sections[key] for key, name in _RECEIVER_SECTIONS.items() if key in sections
    }
    if own:
        receiver = replace(receiver, routing_enabled=True, **own)
    return receiver, replace(site, **dict(_of_site(sections)))


def _of_site(sections: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for section, attribute in _SITE_SECTIONS.items():
        if section in sections:
            yield f"{attribute}_enabled", True
            yield f"{attribute}_routing", sections[section]


def _sections(text: str, field: str, problems: list[Problem]) -> dict[str, str]:
    """Return each section padded with blank lines, so that line numbers match the text."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        head = _HEAD.fullmatch(line)
        if head:
            name = head[1].strip()
            if name not in SECTIONS or name in found:
                message = "is there twice" if name in found else "is no section"
                problems.append(_fault(field, line, message, number))
            # A wrong head is kept as well: the lines below it are not those of the section before.
            lines = found[name] = [""] * number
        elif found:
            lines.append(line)
        elif line.strip() and not problems:
            problems.append(_fault(field, line, "stands before the first section", number))
    return {name: "\n".join(lines) for name, lines in found.items()}


def _fault(field: str, line: str, message: str, number: int) -> Problem:
    remedy = f"use each of {', '.join(f'[{name}]' for name in SECTIONS)} at most once"
    return Problem(field, line.strip()[:60], message, remedy, number, 1)
