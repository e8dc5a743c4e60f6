"""The options of `site` and `projects` that say what is done to objects beside their script."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from engine.model.anonymization import PROFILE, Retain

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING = "nothing"
_CHOICES = (*map(str, Retain), _NOTHING)


def add_script_switch(parser: argparse.ArgumentParser, member: str, when: str) -> None:
    """Add the pair of options that switches a script.

    Args:
        parser: the command.
        member: what the switch is called in the record.
        when: a clause saying when the script runs.
    """
    switch = parser.add_mutually_exclusive_group()
    add = partial(switch.add_argument, dest=member, default=argparse.SUPPRESS)
    add("--enable-script", action="store_true", help=f"let it run {when}")
    add("--disable-script", action="store_false", help="keep it, but off")


def add_profile(parser: argparse.ArgumentParser, when: str) -> None:
    """Add the options of the basic profile; `when` says when it is applied."""
    switch = parser.add_mutually_exclusive_group()
    add = partial(switch.add_argument, dest="profile_enabled", default=argparse.SUPPRESS)
    words = f"apply the basic profile of PS3.15 {when}, before any script"
    add("--enable-profile", action="store_true", help=words)
    add("--disable-profile", action="store_false", help="do not apply it")
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    words = f"what the profile keeps: {', '.join(Retain)}, or {_NOTHING}; repeatable; replaces all"
    add("--retain", metavar="WHAT", action="append", choices=_CHOICES, help=words)
    words = "keep dates with the profile, moved by N days; 0 takes them away again"
    add("--shift-days", metavar="N", type=int, help=words)


def with_profile(arguments: argparse.Namespace, before: object) -> dict[str, object]:
    """Return the record's member of the profile with what was given in its place."""
    known = dict(before) if isinstance(before, dict) else {}
    return {PROFILE: known | dict(_given(arguments))}


def _given(arguments: argparse.Namespace) -> Iterator[tuple[str, object]]:
    if "profile_enabled" in arguments:
        yield "enabled", arguments.profile_enabled
    if "retain" in arguments:
        yield "retain", [option for option in arguments.retain if option != _NOTHING]
    if "shift_days" in arguments:
        yield "shift_days", arguments.shift_days or None
