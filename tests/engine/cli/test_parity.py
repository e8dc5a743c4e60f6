"""Whatever a console can ask of an engine, a script can too: each method of the view has a command.

A console has no other way to an engine than `EngineView`, so a new method fails here until it has a
command, or a reason for having none.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from engine.cli import build_parser
from engine.remote.protocol import methods
from tui.keys import KEYS, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = {
    "audited": "events --audit --limit",
    "associations/abort": "associations abort",
    "associations/contexts": "associations show",
    "commitments/list": "commitments list",
    "commitments/retry": "commitments retry",
    "commitments/show": "commitments show",
    "delete_project": "projects delete",
    "delete_receiver": "receivers delete",
    "echo": "receivers echo",
    "events_since": "events --follow",
    "file_namers": "plugins",
    "forwarding/destinations": "forwarding list",
    "forwarding/drop": "forwarding drop --waiting",
    "forwarding/failed": "forwarding failed",
    "forwarding/retry": "forwarding retry --item",
    "history/diff": "config diff",
    "history/receiver_times": "config history",
    "history/restore": "config restore",
    "history/revisions": "config history",
    "identifiers": "plugins",
    "monitoring/counters": "metrics --json",
    "monitoring/health": "health",
    "monitoring/metrics": "metrics",
    "monitoring/note_import": "import --receiver",
    "monitoring/note_secrets_shown": "config show --show-secrets",
    "monitoring/try_alert": "alerts test",
    "objects/compare": "objects compare",
    "objects/header": "objects show --as-received",
    "objects/recent": "objects recent",
    "objects/shown": "objects show --show-values",
    "objects/shown_comparison": "objects compare --show-values",
    "objects/shown_why": "objects why --show-values",
    "objects/thumbnail": "objects image --frame --window",
    "objects/trail": "objects trail",
    "objects/why": "objects why",
    "port_status": "receivers test-port",
    "preview_routing": "route --recent --rules",
    "peers/delete": "peers delete",
    "peers/echo": "peers echo",
    "peers/list": "peers list",
    "peers/save": "peers edit",
    "processors/classes": "processors classes",
    "processors/delete": "processors delete",
    "processors/list": "processors list",
    "processors/save": "processors edit --priority",
    "processors/set_enabled": "processors disable",
    "processors/shown_test": "processors test --show-values",
    "processors/test": "processors test --receiver",
    "projects": "projects list",
    "receiver_notes": "receivers edit",
    "retry_receiver": "receivers retry",
    "save_project": "projects edit",
    "save_receiver": "receivers edit",
    "scripts/check": "script check",
    "scripts/default_script": "script default",
    "scripts/left": "script check",
    "scripts/preview": "script try --project --as-received",
    "scripts/shown_preview": "script try --show-values",
    "senders/detail": "senders show --week",
    "senders/list": "senders list",
    "sessions/archive": "sessions archive --merge --overwrite",
    "sessions/by_project": "projects list",
    "sessions/cancel": "sessions cancel",
    "sessions/delete": "sessions delete",
    "sessions/detail": "sessions show",
    "sessions/find": "trace",
    "sessions/edit": "sessions edit --project --subject --label",
    "sessions/list": "sessions list",
    "sessions/move": "sessions move --project",
    "sessions/objects": "sessions objects",
    "sessions/past_actions": "sessions undo",
    "sessions/preview_archive": "sessions archive --dry-run",
    "sessions/preview_edit": "sessions edit --dry-run",
    "sessions/rebuild": "sessions rebuild",
    "sessions/remove_scans": "sessions scans remove",
    "sessions/restore": "sessions restore",
    "sessions/settled": "sessions archive --wait",
    "sessions/undo": "sessions undo",
    "set_enabled": "receivers disable",
    "set_site": "site set",
    "shown_routing": "route --recent --show-values",
    "site": "site get",
    "snapshot": "status --watch",
    "study_routes/delete": "study-routes delete",
    "study_routes/list": "study-routes list",
    "study_routes/save": "study-routes add",
    "undo": "config undo",
}

ACTIONS = {
    "receiver.new": "save_receiver",
    "receiver.edit": "save_receiver",
    "receiver.duplicate": "save_receiver",
    "receiver.stop": "set_enabled",
    "receiver.start": "set_enabled",
    "receiver.delete": "delete_receiver",
    "receiver.echo": "echo",
    "receiver.reach": "echo",
    "receiver.retry": "retry_receiver",
    "association.allow": "save_receiver",
    "association.abort": "associations/abort",
    "site.bar": "set_site",
    "site.allow": "set_site",
    "session.archive": "sessions/archive",
    "session.move": "sessions/move",
    "session.edit": "sessions/edit",
    "session.why": "objects/why",
    "session.undo": "sessions/undo",
    "session.delete": "sessions/delete",
    "session.rebuild": "sessions/rebuild",
    "session.restore": "sessions/restore",
    "session.cancel": "sessions/cancel",
    "object.values": "objects/shown",
    "object.compare": "objects/compare",
    "object.why": "objects/why",
    "object.image": "objects/thumbnail",
    "object.window": "objects/thumbnail",
    "object.frame": "objects/thumbnail",
    "object.frame_back": "objects/thumbnail",
    "object.trail": "objects/trail",
    "object.next": "sessions/objects",
    "object.previous": "sessions/objects",
    "settings.edit": "set_site",
    "settings.new": "save_project",
    "settings.delete": "delete_project",
    "settings.test": "monitoring/try_alert",
    "log.save": "events_since",
    "log.audit": "audited",
    "sender.associations": "snapshot",
    "sender.sessions": "sessions/list",
    "sender.log": "events_since",
    "sender.range": "senders/detail",
    "sender.refresh": "senders/list",
    "history.restore": "history/restore",
    "history.undo": "undo",
    "history.older": "history/revisions",
    "history.refresh": "history/revisions",
    "processor.new": "processors/save",
    "processor.edit": "processors/save",
    "processor.disable": "processors/set_enabled",
    "processor.enable": "processors/set_enabled",
    "processor.duplicate": "processors/save",
    "processor.delete": "processors/delete",
    "processor.test": "processors/test",
    "processor.up": "processors/save",
    "processor.down": "processors/save",
    "forwarding.retry": "forwarding/retry",
    "commitment.retry": "commitments/retry",
    "forwarding.drop": "forwarding/drop",
    "forwarding.drop_waiting": "forwarding/drop",
    "app.undo": "undo",
    "app.diagnostics": "snapshot",
}
"""What each key of the console asks of the engine."""

VIEW_ONLY = {Scope.VIEW, Scope.LISTS, Scope.MARKS, Scope.AREAS, Scope.NEIGHBOURS, Scope.SCREENS,
             Scope.EVERYWHERE, Scope.FILTER, Scope.LOG}  # fmt: skip
"""Keys of these scopes move, sort, filter, copy or leave; the engine hears nothing of them."""
VIEW_ONLY_KEYS = {"object.private", "object.sequences", "object.copy_tag", "object.equal",
                  "object.rule",
                  "session.copy_uid"}  # fmt: skip


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield every command that does something, with its options."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for group in groups:
        for name, below in group.choices.items():
            below.fill()
            yield from _commands(below, (*words, name))
    if not groups:
        yield words, {option for action in parser._actions for option in action.option_strings}


PARSER = build_parser("dicomdock")[0]
KNOWN = dict(_commands(PARSER))


def test_every_method_of_the_view_has_a_command() -> None:
    assert set(methods()) == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS.values())))
def test_the_command_is_there_with_its_options_and_speaks_json(command: str) -> None:
    words = [word for word in command.split() if not word.startswith("--")]
    options = {word for word in command.split() if word.startswith("--")}
    assert options | {"--json"} <= KNOWN[tuple(words)]


def test_every_key_of_the_console_asks_what_a_command_can_ask() -> None:
    keys = {key.id for key in KEYS}
    asking = {key.id for key in KEYS if key.scope not in VIEW_ONLY and key.id not in VIEW_ONLY_KEYS}
    assert asking <= set(ACTIONS) <= keys
    assert set(ACTIONS.values()) <= set(COMMANDS)
    assert {key.id for key in KEYS if key.changes} <= set(ACTIONS)
    assert keys >= VIEW_ONLY_KEYS


def test_all_that_print_data_speak_json() -> None:
    assert {words for words, options in KNOWN.items() if "--json" not in options} == {
        ("engine",),
        ("completion",),
        ("help",),
    }


@pytest.mark.parametrize("words", sorted(KNOWN))
def test_every_command_says_what_it_is_for(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        PARSER.parse_args([*words, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert " ".join(("usage: dicomdock", *words)) in told
    description = told.partition("\n\n")[2].partition("\n\n")[0]
    assert description
    assert not description.startswith(("positional", "options"))
