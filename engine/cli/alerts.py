"""`alerts`: the targets of alerts, and test alerts."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.cli.context import actor, add_show_secrets, shown, shows_secrets, store_of
from engine.cli.live import running_engine
from engine.cli.options import (
    add_verb,
    add_verbs,
    add_yes,
    text_or_file,
    whole_number,
)
from engine.errors import NotDelivered, NotFound
from engine.host import terminal
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget

if TYPE_CHECKING:
    from engine.config.store import ConfigurationStore

_NOT_DELIVERED = 1


def add_alerts(command: argparse.ArgumentParser) -> None:
    """Add the commands that show, change and test alerts."""
    verbs = add_verbs(command)
    add_show_secrets(add_verb(verbs, "list", _list, "list the targets of alerts"))
    words = "add or change a target, or the repeat time"
    change = add_verb(verbs, "set", _set, words, needs_data=False)
    change.add_argument("name", metavar="NAME", nargs="?", help="the name of the target")
    add = partial(change.add_argument, default=argparse.SUPPRESS)
    add("--kind", dest="kinds", type=AlertKind, action="append", choices=list(AlertKind),
        help="alert of these kinds only; repeatable (default: all)")  # fmt: skip
    where = "where alerts are posted as JSON; @FILE and @- (standard input) keep it out of `ps`"
    add("--webhook", type=_secret, metavar="URL|@FILE", help=where)
    often = "the same alert is sent once within that time (default: 3600)"
    add("--repeat-seconds", type=whole_number, metavar="N", help=often)
    run = "a program with its arguments, last of all; it gets the alert as JSON on its input"
    # REMAINDER: options of the program are not taken for ours.
    add("--command", dest="argv", nargs=argparse.REMAINDER, metavar="ARGUMENT", help=run)
    delete = add_verb(verbs, "delete", _delete, "remove a target")
    delete.add_argument("name", metavar="NAME", help="the name of the target")
    add_yes(delete)
    test = add_verb(
        verbs,
        "test",
        _test,
        "let the running engine send a test alert, and show whether it arrived",
    )
    test.add_argument("name", metavar="NAME", nargs="*", help="whom (default: all)")


def _secret(text: str) -> str:
    """Return a text, or the text of a file or standard input, which `ps` does not show."""
    return text_or_file(text).strip()


def _list(arguments: argparse.Namespace) -> None:
    alerts = store_of(arguments).load().site.alerts
    _print(arguments, alerts, secrets=shows_secrets(arguments, "alerts list"))


def _set(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    store = store_of(arguments)
    before = store.load().site.alerts
    after = replace(before, repeat_seconds=given.get("repeat_seconds", before.repeat_seconds))
    if arguments.name:
        after = _with_target(after, arguments)
    elif given.keys() & {"kinds", "webhook", "argv"}:
        raise NotFound("these options belong to a target", "name it: alerts set NAME ...")
    _save(store, after)
    _print(arguments, after)


def _with_target(alerts: AlertSettings, arguments: argparse.Namespace) -> AlertSettings:
    """Return the settings with one target added or changed: a command or a webhook, not both."""
    given = vars(arguments)
    target = alerts.target(arguments.name) or AlertTarget(arguments.name)
    if "argv" in given:
        target = replace(target, command=tuple(given["argv"]), webhook="")
    if "webhook" in given:
        command = target.command if "argv" in given else ()
        target = replace(target, webhook=given["webhook"], command=command)
    if "kinds" in given:
        target = replace(target, kinds=tuple(dict.fromkeys(given["kinds"])))
    others = {known.name: known for known in alerts.targets} | {target.name: target}
    return replace(alerts, targets=tuple(others.values()))


def _delete(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    before = store.load().site.alerts
    target = _named(before, arguments.name)
    terminal.confirm(f"Delete the target {target.name}?", already=arguments.yes)
    after = replace(before, targets=tuple(t for t in before.targets if t != target))
    _save(store, after)
    _print(arguments, after)


def _test(arguments: argparse.Namespace) -> int:
    """Let the running engine send test alerts, so that programs run as its user."""
    with running_engine(arguments) as engine:
        # Names from the file: the engine may not have read it again yet.
        alerts = store_of(arguments).load().site.alerts
        targets = [_named(alerts, name) for name in arguments.name] or alerts.targets
        if not targets:
            remedy = "add one: alerts set NAME --webhook URL"
            raise NotFound("there is no alert target", remedy)
        failures = {}
        for target in targets:
            try:
                engine.monitoring.try_alert(target, actor())
            except NotDelivered as error:
                failures[target.name] = error.detail
    rows = [(t.name, t.name not in failures, failures.get(t.name, "")) for t in targets]
    if arguments.json:
        told = [{"name": name, "delivered": ok, "why": why} for name, ok, why in rows]
        terminal.print_json({"targets": told})
    else:
        terminal.print_table(("NAME", "DELIVERED", "WHY"), rows)
    return _NOT_DELIVERED if failures else 0


def _named(alerts: AlertSettings, name: str) -> AlertTarget:
    target = alerts.target(name)
    if target is None:
        raise NotFound(f"there is no target {name[:80]!r}", "list them with: alerts list")
    return target


def _save(store: ConfigurationStore, alerts: AlertSettings) -> None:
    site = store.load().site
    # Parsed here, so that the file is never one that an engine refuses.
    parsed = AlertSettings.parse(alerts.to_record())
    if parsed != site.alerts:
        store.set_site(replace(site, alerts=parsed), actor(), replacing=site)


def _print(arguments: argparse.Namespace, alerts: AlertSettings, *, secrets: bool = False) -> None:
    if arguments.json:
        return terminal.print_json(shown(alerts.to_record(), secrets=secrets))
    rows = [(t.name, t.in_full if secrets else t.shown, ", ".join(t.kinds)) for t in alerts.targets]
    terminal.print_table(("NAME", "TOLD BY", "OF"), rows)
    return terminal.say(
        f"the same alert is repeated at most every {alerts.repeat_seconds:,} seconds"
    )
