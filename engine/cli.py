"""The command line: stdout is data, stderr is everything else; no console and no Textual."""

from __future__ import annotations

import argparse
import os
import pwd
import signal
import sys
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine import Durability, EngineSettings, __version__, default_data_dir, terminal
from engine.clock import SystemClock
from engine.config.store import ConfigurationStore
from engine.errors import ConfigurationError, EngineError, NotFound
from engine.model.project import Project
from engine.model.receiver import ROUTING_FIELDS, Receiver, ReceiverRules, parse_receiver
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.events import RecordedEvent
    from engine.model.configuration import Configuration
    from engine.view import ReceiverStatus

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_SWITCHES = {
    "custom_processing": "run archive processors",
    "direct_archive": "skip the prearchive",
    "anonymization": "run anonymization scripts",
    "whitelist_enabled": "admit only callers on the whitelist",
    "routing_enabled": "let the routing rules decide",
}
_NAMED_FIELDS = ("ae_title", "port", "enabled", "identifier", "file_namer")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of the engine and return the exit code."""
    parser, commands = build_parser("python -m engine")
    commands.required = True
    return run(parser, argv)


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse the command line, run its command, and turn every deliberate error into words."""
    os.umask(0o027)
    terminal.accept_any_text()
    arguments = parser.parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
    except EngineError as error:
        terminal.print_error(error, as_json=getattr(arguments, "json", False))
        code = error.exit_code
    except BrokenPipeError:
        code = terminal.stop_writing()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    return int(code or 0)


def build_parser(program: str) -> tuple[argparse.ArgumentParser, Commands]:
    """Return the parser with the engine's commands, and where further ones are added."""
    parser = argparse.ArgumentParser(program, description="A DICOM receiving dock.")
    parser.add_argument("--version", action="version", version=f"dicomdock {__version__}")
    data = "the data directory (default: $DICOMDOCK_DATA)"
    parser.add_argument("--data", type=Path, metavar="DIR", help=data)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    _add_engine(commands)
    _add_receivers(commands)
    _add_projects(commands)
    _add_site(commands)
    _add_verb(commands, "status", _status, "show what runs and what is configured")
    return parser, commands


def settings_of(arguments: argparse.Namespace) -> EngineSettings:
    """Return the process settings that the options mean."""
    given = vars(arguments)
    chosen = {name: given[name] for name in ("durability", "drain_seconds") if name in given}
    return EngineSettings((arguments.data or default_data_dir()).absolute(), **chosen)


def actor() -> str:
    """Name who makes a change: the login, and where an SSH session comes from."""
    try:
        login = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = f"user {os.getuid()}"
    source = os.environ.get("SSH_CONNECTION", "").split(maxsplit=1)[:1]
    return terminal.visible(" from ".join([login, *source]))


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that runs an engine in its process."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    flushed = "what is flushed before an object is confirmed (default: full)"
    add("--durability", type=Durability, choices=list(Durability), help=flushed)
    drained = "how long a stop waits for open associations (default: 10)"
    add("--drain-seconds", type=_seconds, metavar="N", help=drained)


def _add_engine(commands: Commands) -> None:
    parser = commands.add_parser("engine", help="run the engine without a console")
    add_engine_options(parser)
    parser.set_defaults(run=_engine)


def _add_receivers(commands: Commands) -> None:
    group = commands.add_parser("receivers", help="list and change receivers")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_verb(verbs, "list", _receivers_list, "list all receivers")
    _add_fields(_add_verb(verbs, "add", _receivers_add, "add a receiver"), is_new=True)
    edit = _add_verb(verbs, "edit", _receivers_edit, "change the given fields of a receiver")
    _add_fields(edit, is_new=False)
    enable = _add_verb(verbs, "enable", _receivers_switch, "let a receiver listen")
    enable.set_defaults(enabled=True)
    disable = _add_verb(verbs, "disable", _receivers_switch, "stop a receiver from listening")
    disable.set_defaults(enabled=False)
    delete = _add_verb(verbs, "delete", _receivers_delete, "remove a receiver")
    delete.add_argument("--yes", action="store_true", help="don't ask")
    for parser in (edit, enable, disable, delete):
        parser.add_argument("receiver", metavar="RECEIVER", help="an id, AE:PORT or AE title")


def _add_projects(commands: Commands) -> None:
    group = commands.add_parser("projects", help="list and change projects")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_verb(verbs, "list", _projects_list, "list all projects")
    add = _add_verb(verbs, "add", _projects_add, "add a project")
    add.add_argument("--title", default="")
    add.add_argument("--alias", action="append", default=[], help="another name; repeatable")
    delete = _add_verb(verbs, "delete", _projects_delete, "remove a project")
    delete.add_argument("--yes", action="store_true", help="don't ask")
    for parser in (add, delete):
        parser.add_argument("project", metavar="ID")


def _add_site(commands: Commands) -> None:
    group = commands.add_parser("site", help="show and change the site settings")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_verb(verbs, "get", _site_get, "show the site settings")
    change = _add_verb(verbs, "set", _site_set, "change the given site settings")
    _add_switch(change, "allow_low_ports", "allow ports outside 1024–49151")
    change.add_argument(
        "--bind-address",
        default=argparse.SUPPRESS,
        help="the local address to listen on; '' for all",
    )


def _add_verb(verbs: Commands, name: str, run: object, words: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=f"{words.capitalize()}.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)
    return parser


def _add_fields(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Add one option per field of a receiver; fields that are not named stay as they are."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add("--ae-title", metavar="AE", required=is_new, help="the called AE title")
    add("--port", metavar="N", required=is_new, help="the TCP port")
    enabled = parser.add_mutually_exclusive_group()
    switch = partial(enabled.add_argument, dest="enabled", default=argparse.SUPPRESS)
    switch("--enabled", action="store_true", help="let it listen")
    switch("--disabled", action="store_false", help="keep it from listening")
    add("--identifier", metavar="ID", help="what finds project, subject and session")
    add("--file-namer", metavar="ID", help="what names files; '' for the only one")
    for name, words in _SWITCHES.items():
        _add_switch(parser, name, words)
    entry = "AE title, address, network or AE@address; repeat for more; replaces all lines"
    add("--whitelist", metavar="LINE", action="append", help=entry)
    add("--whitelist-file", metavar="FILE", type=_text_of_file, help="lines; '-' reads stdin")
    for name in ROUTING_FIELDS:
        option = f"--{name.replace('_', '-')}"
        add(option, metavar="TEXT", type=_text_or_file, help="rules, or @FILE with rules")


def _add_switch(parser: argparse.ArgumentParser, name: str, words: str) -> None:
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help=words,
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("use 0 to 86400 seconds")
    return seconds


def _text_or_file(text: str) -> str:
    return _text_of_file(text[1:]) if text.startswith("@") else text


def _text_of_file(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8-sig")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"can't read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{name} is not UTF-8 text") from error


def _engine(arguments: argparse.Namespace) -> None:
    from engine import Engine

    stopping = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if stopping.is_set():
            # What was confirmed is on disk already; nothing is left that must be tidied.
            os._exit(128 + number)
        stopping.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    engine = Engine(settings_of(arguments))
    engine.start()
    for receiver in engine.snapshot().receivers:
        terminal.say(_state_in_words(receiver))
    engine.subscribe(_say_event)
    stopping.wait()
    terminal.say("stopping; open associations may finish, a second signal aborts them")
    engine.stop()


def _state_in_words(status: ReceiverStatus) -> str:
    where = f" on {status.address}" if status.address else ""
    why = f": {status.failure.reason}; {status.failure.remedy}" if status.failure else ""
    return f"{status.receiver.label} {status.state}{where}{why}"


def _say_event(recorded: RecordedEvent) -> None:
    event = recorded.event
    terminal.say(f"{event.severity} {event.receiver} {event.sentence()}")


def _status(arguments: argparse.Namespace) -> int:
    from engine.status import read_status

    settings = settings_of(arguments)
    status = read_status(settings)
    exit_code = ConfigurationError.exit_code if status.configuration_problem else 0
    if arguments.json:
        terminal.print_json(asdict(status))
        return exit_code
    enabled = sum(receiver.enabled for receiver in status.receivers)
    summary = [
        ("engine", f"running, {status.running}" if status.running else "not running"),
        ("revision", status.revision),
        ("receivers", f"{len(status.receivers)}, {enabled} enabled"),
        ("today", f"{status.objects_today} objects"),
        ("sessions", f"{status.sessions_receiving} receiving"),
    ]
    terminal.print_table(("STATUS", terminal.visible(str(settings.data_dir))), summary)
    if status.configuration_problem:
        terminal.say(f"The configuration file is not valid: {status.configuration_problem}")
        return exit_code
    rows = [(r.label, r.enabled, r.state, r.since, r.reason) for r in status.receivers]
    terminal.print_table(("RECEIVER", "ENABLED", "STATE", "SINCE", "REASON"), rows)
    return exit_code


def _receivers_list(arguments: argparse.Namespace) -> None:
    configuration = _store(arguments).load()
    if arguments.json:
        records = [_receiver_record(receiver) for receiver in configuration.receivers]
        return terminal.print_json({"revision": configuration.revision, "receivers": records})
    return _print_receivers(configuration.receivers)


def _receivers_add(arguments: argparse.Namespace) -> None:
    _save_receiver(arguments, "added", {})


def _receivers_edit(arguments: argparse.Namespace) -> None:
    receiver = _receiver(_store(arguments).load(), arguments.receiver)
    _save_receiver(arguments, "saved", receiver.to_record())


def _save_receiver(arguments: argparse.Namespace, verb: str, record: dict[str, object]) -> None:
    store = _store(arguments)
    before = store.load()
    rules = ReceiverRules(before.site, others=before.receivers)
    receiver = parse_receiver(record | _given_fields(arguments), rules)
    _report(arguments, verb, *store.save_receiver(receiver, actor()))
    if receiver.whitelist and not receiver.whitelist_enabled:
        terminal.say("the whitelist is kept but off; --whitelist-enabled puts it in force")


def _given_fields(arguments: argparse.Namespace) -> dict[str, object]:
    given = vars(arguments)
    names = (*_NAMED_FIELDS, *_SWITCHES, *ROUTING_FIELDS)
    fields = {name: given[name] for name in names if name in given}
    if "whitelist" in given or "whitelist_file" in given:
        from_file = given.get("whitelist_file", "").splitlines()
        fields["whitelist"] = [*from_file, *given.get("whitelist", ())]
    return fields


def _receivers_switch(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    receiver = _receiver(store.load(), arguments.receiver)
    verb = "enabled" if arguments.enabled else "disabled"
    _report(arguments, verb, *store.set_enabled(receiver.id, arguments.enabled, actor()))


def _receivers_delete(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    receiver = _receiver(store.load(), arguments.receiver)
    terminal.confirm(f"Delete receiver {receiver.label}?", already=arguments.yes)
    _report(arguments, "deleted", store.delete_receiver(receiver.id, actor()), receiver)


def _report(
    arguments: argparse.Namespace, verb: str, configuration: Configuration, receiver: Receiver
) -> None:
    if arguments.json:
        record = _receiver_record(receiver)
        return terminal.print_json({"revision": configuration.revision, "receiver": record})
    _print_receivers([receiver])
    return terminal.say(f"{verb} {receiver.label}, revision {configuration.revision}")


def _projects_list(arguments: argparse.Namespace) -> None:
    _print_projects(arguments, _store(arguments).load())


def _projects_add(arguments: argparse.Namespace) -> None:
    raw = {"id": arguments.project, "title": arguments.title, "aliases": arguments.alias}
    _print_projects(arguments, _store(arguments).add_project(Project.parse(raw), actor()))


def _projects_delete(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    if arguments.project in {project.id for project in store.load().projects.projects}:
        terminal.confirm(f"Delete project {arguments.project}?", already=arguments.yes)
    _print_projects(arguments, store.delete_project(arguments.project, actor()))


def _print_projects(arguments: argparse.Namespace, configuration: Configuration) -> None:
    projects = configuration.projects.projects
    if arguments.json:
        records = [project.to_record() for project in projects]
        return terminal.print_json({"revision": configuration.revision, "projects": records})
    rows = [(project.id, project.title, ", ".join(project.aliases)) for project in projects]
    return terminal.print_table(("ID", "TITLE", "ALIASES"), rows)


def _site_get(arguments: argparse.Namespace) -> None:
    _print_site(arguments, _store(arguments).load())


def _site_set(arguments: argparse.Namespace) -> None:
    store = _store(arguments)
    before = store.load().site.to_record()
    given = {name: value for name, value in vars(arguments).items() if name in before}
    _print_site(arguments, store.set_site(SiteSettings.parse(before | given), actor()))


def _print_site(arguments: argparse.Namespace, configuration: Configuration) -> None:
    record = configuration.site.to_record()
    if arguments.json:
        return terminal.print_json({"revision": configuration.revision, "site": record})
    return terminal.print_table(("SETTING", "VALUE"), record.items())


def _store(arguments: argparse.Namespace) -> ConfigurationStore:
    return ConfigurationStore(settings_of(arguments).config_file, clock=SystemClock())


def _receiver(configuration: Configuration, name: str) -> Receiver:
    """Find a receiver by AE:PORT, id or AE title."""
    receivers = configuration.receivers
    found = [r for r in receivers if r.label == name] or [
        r for r in receivers if name in {str(r.id), r.ae_title}
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(f"there is no receiver {name!r}", "list them with: receivers list")
    labels = ", ".join(receiver.label for receiver in found)
    raise NotFound(f"{name!r} may mean {labels}", "name the receiver as AE:PORT")


def _receiver_record(receiver: Receiver) -> dict[str, object]:
    return {**receiver.to_record(), "label": receiver.label}


def _print_receivers(receivers: Iterable[Receiver]) -> None:
    shown = ("id", "ae_title", "port", "enabled", *_SWITCHES, "identifier")
    rows = [[getattr(receiver, name) for name in shown] for receiver in receivers]
    heads = [name.upper().replace("_ENABLED", "").replace("_", " ") for name in shown]
    terminal.print_table(heads, rows)
