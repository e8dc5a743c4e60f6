"""`site`: what holds for all receivers."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import actor, store_of
from engine.cli.options import (
    add_group,
    add_limits,
    add_settings,
    add_switch,
    add_verb,
    flattened,
    settings_given,
)
from engine.model.limits import BOUNDS
from engine.model.session_settings import SessionSettings
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from engine.cli.options import Commands
    from engine.model.configuration import Configuration


def add_site(commands: Commands) -> None:
    """Add the commands that show and change the site settings."""
    verbs = add_group(commands, "site", "show and change the site settings")
    add_verb(verbs, "get", _get, "show the site settings")
    change = add_verb(verbs, "set", _set, "change the given site settings")
    add_switch(change, "receivers_allowed", "let enabled receivers listen; off stops all")
    add_switch(change, "allow_low_ports", "allow ports outside 1024–49151")
    change.add_argument(
        "--bind-address",
        metavar="ADDRESS",
        default=argparse.SUPPRESS,
        help="the local address to listen on; '' for all",
    )
    add_limits(change, BOUNDS, "sets the default")
    add_settings(change, "sessions", (f.name for f in fields(SessionSettings)))


def _get(arguments: argparse.Namespace) -> None:
    _print(arguments, store_of(arguments).load())


def _set(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    site = store.load().site
    before = site.to_record()
    given = {name: value for name, value in vars(arguments).items() if name in before}
    given["limits"] = settings_given(arguments, "limits", before["limits"])
    given["sessions"] = settings_given(arguments, "sessions", before["sessions"])
    _print(arguments, store.set_site(SiteSettings.parse(before | given), actor(), replacing=site))


def _print(arguments: argparse.Namespace, configuration: Configuration) -> None:
    record = configuration.site.to_record()
    if arguments.json:
        return terminal.print_json({"revision": configuration.revision, "site": record})
    return terminal.print_table(("SETTING", "VALUE"), flattened(record))
