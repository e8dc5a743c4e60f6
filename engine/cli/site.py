"""`site`: settings of the installation, for all receivers."""

from __future__ import annotations

import argparse
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING

from engine.cli.context import actor, say_few_descriptors, shown, store_of
from engine.cli.options import (
    AUTO_ARCHIVE_CODES,
    add_limits,
    add_profile,
    add_script_switch,
    add_settings,
    add_switch,
    add_verb,
    add_verbs,
    auto_archive,
    flattened,
    lines_in_words,
    settings_given,
    text_of_file,
    text_or_file,
    with_profile,
)
from engine.host import terminal
from engine.model.anonymization import ENABLED, PROFILE, SITE_SCRIPT
from engine.model.limits import BOUNDS
from engine.model.routing import ATTRIBUTES, SITE_ROUTING_FIELDS
from engine.model.site import SessionSettings, SiteSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model.anonymization import SiteScript
    from engine.model.configuration import Configuration

_NAMES = ", ".join(ATTRIBUTES)
_DEFAULT = "default"


def add_site(command: argparse.ArgumentParser) -> None:
    """Add the commands that show and change the site settings."""
    verbs = add_verbs(command)
    get = add_verb(verbs, "get", _get, "show the site settings")
    get.add_argument("--routing", metavar="NAME", type=_attribute,
                     help=f"print these rules alone: {_NAMES}")  # fmt: skip
    get.add_argument("--script", action="store_true", help="print the anonymization script alone")
    change = add_verb(verbs, "set", _set, "change the given site settings", needs_data=False)
    add_switch(change, "receivers_allowed", "let enabled receivers listen; off stops all")
    add_switch(change, "allow_low_ports", "allow ports outside 1024–49151")
    add_switch(change, "offer_all_identifiers", "offer built-in identifiers that no receiver uses")
    words = "let receivers with direct archive add to archived sessions, as each of them says"
    add_switch(change, "direct_archive_append", words)
    add = partial(change.add_argument, default=argparse.SUPPRESS)
    add("--bind-address", metavar="ADDRESS", help="the local address to listen on; '' for all")
    add("--new-project-auto-archive", metavar="HOW", type=auto_archive,
        help=f"{', '.join(AUTO_ARCHIVE_CODES)}: what a new project is given")  # fmt: skip
    _add_script(change)
    _add_routing(change)
    add_limits(change, BOUNDS, "sets the default")
    add_settings(change, "sessions", (f.name for f in fields(SessionSettings)))


def _add_script(change: argparse.ArgumentParser) -> None:
    """Add the options for the script that runs when an object arrives."""
    add = partial(change.add_argument, default=argparse.SUPPRESS)
    add("--script", dest=SITE_SCRIPT, metavar="FILE", type=_script,
        help="the anonymization script on receipt; '-' reads stdin, '' empties it, "
             f"{_DEFAULT} takes XNAT's, which only relabels")  # fmt: skip
    add_script_switch(change, ENABLED, "where anonymization is on")
    add_profile(change, "on receipt")


def _script(name: str) -> str:
    if name == _DEFAULT:
        from engine.anonymize import DEFAULT_SITE_SCRIPT

        return DEFAULT_SITE_SCRIPT
    return text_of_file(name)


def _add_routing(change: argparse.ArgumentParser) -> None:
    """Add the options for the rules that come after a receiver's own."""
    add = partial(change.add_argument, action="append", default=[])
    add("--routing", metavar="NAME=TEXT", type=_rules,
        help=f"rules for {_NAMES}; NAME=@FILE reads them, NAME= empties them")  # fmt: skip
    words = "use these rules"
    add("--routing-enabled", dest="enable_routing", metavar="NAME", type=_attribute, help=words)
    add(
        "--no-routing-enabled",
        dest="disable_routing",
        metavar="NAME",
        type=_attribute,
        help="keep these rules, but do not use them",
    )
    words = "find Project: Subject: Session: in comments of several lines too; not so in XNAT"
    add_switch(change, "tolerant_comments", words)


def _attribute(text: str) -> str:
    name = text.strip().replace("-", "_")
    if name not in ATTRIBUTES:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {_NAMES}")
    return name


def _rules(text: str) -> tuple[str, str]:
    name, equals, rules = text.partition("=")
    # Every rule has a parenthesis; what has none is the name of a file, without its @.
    if not equals or (rules and not rules.startswith("@") and "(" not in rules):
        wanted = "write NAME=@FILE, such as project=@rules.txt"
        raise argparse.ArgumentTypeError(f"{text[:40]!r} has no rules; {wanted}")
    return _attribute(name), text_or_file(rules)


def _get(arguments: argparse.Namespace) -> None:
    configuration = store_of(arguments).load()
    if arguments.routing:
        return terminal.print_text(configuration.site.routing.text(arguments.routing))
    if arguments.script:
        return terminal.print_text(configuration.site.script.text)
    return _print(arguments, configuration)


def _set(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    site = store.load().site
    before = site.to_record()
    given = {
        name: value
        for name, value in vars(arguments).items()
        if name in before and name != "routing"
    }
    given["limits"] = settings_given(arguments, "limits", before["limits"])
    given["sessions"] = settings_given(arguments, "sessions", before["sessions"])
    given |= with_profile(arguments, before[PROFILE])
    given["routing"] = site.routing.to_record() | dict(_routing_given(arguments))
    saved = store.set_site(SiteSettings.parse(before | given), actor(), replacing=site)
    _print(arguments, saved)
    say_few_descriptors(saved)
    _say_script(given, saved.site.script)
    for name, text in arguments.routing:
        if text and not saved.site.routing.is_enabled(name):
            terminal.say(
                f"the {name} rules are kept but off; --routing-enabled {name} lets them decide"
            )


def _say_script(given: Mapping[str, object], script: SiteScript) -> None:
    """Print a note if a changed script is off, or is the default, which does not de-identify."""
    if given.get(SITE_SCRIPT) and not script.enabled:
        terminal.say("the script is kept but off; --script-enabled lets it run on receipt")
    if script.text and script.text == _script(_DEFAULT) and given.keys() & {SITE_SCRIPT, ENABLED}:
        terminal.say(
            "the default script only relabels: dates, physicians, institution, accession number,"
            " UIDs and private elements stay; it does not de-identify"
        )


def _routing_given(arguments: argparse.Namespace) -> Iterator[tuple[str, object]]:
    yield from ((f"{name}_routing", text) for name, text in arguments.routing)
    yield from ((f"{name}_enabled", True) for name in arguments.enable_routing)
    yield from ((f"{name}_enabled", False) for name in arguments.disable_routing)
    if "tolerant_comments" in arguments:
        yield "tolerant_comments", arguments.tolerant_comments


def _print(arguments: argparse.Namespace, configuration: Configuration) -> None:
    record = shown(configuration.site.to_record(), secrets=False)
    if arguments.json:
        return terminal.print_json({"revision": configuration.revision, "site": record})
    return terminal.print_table(("SETTING", "VALUE"), _rows(record))


def _rows(record: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the settings; for long texts, their number of lines."""
    routing = (f"routing.{name}" for name in SITE_ROUTING_FIELDS)
    texts = {SITE_SCRIPT, "sessions.series_filter", *routing}
    for name, value in flattened(record):
        if name == "alerts.targets":  # they may contain secrets; `alerts list` shows them
            yield name, len(value) if isinstance(value, list) else value
            continue
        yield name, lines_in_words(str(value)) if name in texts else value
