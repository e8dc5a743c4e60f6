"""`service`: dicomdock as a systemd service."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.app.systemd_install import (
    describe_step,
    install,
    obstacle,
    removal,
    steps,
    uninstall,
    unreachable,
)
from engine.app.systemd_units import NAME, STATE_ROOT, ListenPlace, ServiceSettings, units
from engine.cli.context import settings_of, store_of
from engine.cli.options import add_verb, add_verbs, add_yes
from engine.cli.running import add_engine_options, engine_words
from engine.errors import ConfigurationError
from engine.host import terminal
from engine.host.owner import as_owner
from engine.model.configuration import Configuration
from engine.settings import DATA_VARIABLE, service_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.app.systemd_install import NotInstallable

DEFAULT_LISTEN = (ListenPlace(8104),)


def add_service(command: argparse.ArgumentParser) -> None:
    """Add the commands that print, install and remove the units."""
    verbs = add_verbs(command)
    printed = add_verb(verbs, "print", _print, "print the units")
    installed = add_verb(verbs, "install", _install, "install the units, and start the service")
    removed = add_verb(verbs, "uninstall", _uninstall, "stop the service, and remove its units")
    dry = "say what would be done, and do nothing"
    for parser in (installed, removed):
        parser.add_argument("--dry-run", action="store_true", help=dry)
    add_yes(removed)
    for parser in (printed, installed):
        _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add("--user", metavar="NAME", help=f"the user that it runs as (default: {NAME})")
    ports = "a port, or ADDRESS:PORT, that systemd holds; repeatable (default: the receivers')"
    add("--port", dest="listen", type=_place, action="append", metavar="PORT", help=ports)
    add_engine_options(parser, drain_seconds=60)


def _place(text: str) -> ListenPlace:
    try:
        return ListenPlace.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port; use such as 8104") from error


def _print(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    files = units(settings)
    hindrance = unreachable(settings)
    if hindrance:
        terminal.say(f"{hindrance.detail}; {hindrance.remedy}")
    if arguments.json:
        record = [{"path": str(unit.path), "text": unit.text} for unit in files]
        return terminal.print_json({"units": record})
    return terminal.print_text("\n".join(f"# {unit.path}\n{unit.text}" for unit in files))


def _install(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    todo = [describe_step(step) for step in steps(settings)]
    if _is_to_be_done(arguments, todo, obstacle() or unreachable(settings)):
        install(settings, terminal.say)
    _report(arguments, todo)


def _uninstall(arguments: argparse.Namespace) -> None:
    todo = [describe_step(step) for step in removal()]
    if _is_to_be_done(arguments, todo, obstacle()):
        terminal.confirm("Stop the service and remove its units?", already=arguments.yes)
        uninstall(terminal.say)
    _report(arguments, todo)
    terminal.say("the data directory and the user of the service stay as they are")


def _is_to_be_done(
    arguments: argparse.Namespace, todo: list[str], hindrance: NotInstallable | None
) -> bool:
    """Return whether to do the steps, or, with ``--dry-run``, only to print them.

    Raises:
        NotInstallable: if they are to be done and can't be; they are printed first.
    """
    if arguments.dry_run or hindrance is None:
        return not arguments.dry_run
    terminal.say("It would:")
    for words in todo:
        terminal.say(f"  {words}")
    raise hindrance


def _report(arguments: argparse.Namespace, todo: list[str]) -> None:
    done = not arguments.dry_run
    if arguments.json:
        return terminal.print_json({"steps": todo, "done": done})
    return terminal.print_table(("DONE" if done else "TO DO",), [(words,) for words in todo])


def _settings(arguments: argparse.Namespace) -> ServiceSettings:
    given = vars(arguments)
    chosen = {name: given[name] for name in ("user", "drain_seconds") if name in given}
    named = arguments.data or os.environ.get(DATA_VARIABLE)
    arguments.data = Path(named or service_data_dir() or STATE_ROOT / NAME).absolute()
    if given.get("control_tcp"):
        from engine.remote.host import require_tls  # the whole control API

        # What would end the engine at each start ends the installation.
        require_tls(settings_of(arguments))
    named_files = (given.get(n) for n in ("config_source", "control_certificate", "control_key"))
    folders = [Path(file).absolute().parent for file in named_files if file]
    return ServiceSettings(
        program=_program(),
        data_dir=arguments.data,
        listen=tuple(given.get("listen") or _configured(arguments)),
        options=tuple(engine_words(arguments)),
        readable=(*_own_places(), *dict.fromkeys(folders)),
        **chosen,
    )


def _configured(arguments: argparse.Namespace) -> tuple[ListenPlace, ...]:
    """Return the addresses of the configured receivers; the default if that is unreadable.

    Raises:
        ConfigurationError: if the document that is to declare the configuration is not valid.
    """
    document = vars(arguments).get("config_source")
    if document is not None:
        from engine.config.declaration import declared
        from engine.config.document import read_document

        # Secrets are the service's to read, perhaps from its environment.
        declaration = read_document(document, needs_secrets=False)
        return _places(declared(declaration, Configuration(), prune=True))
    try:
        # The command stays root, for the units; in this directory root never works as root.
        with as_owner(arguments.data):
            configuration = store_of(arguments).load()
    except ConfigurationError as error:
        terminal.say(f"the receivers are not known, so the default is taken: {error.detail}")
        return DEFAULT_LISTEN
    return _places(configuration)


def _places(configuration: Configuration) -> tuple[ListenPlace, ...]:
    site = configuration.site.bind_address
    places = (ListenPlace(r.port, r.bind_address or site) for r in configuration.receivers)
    return tuple(dict.fromkeys(places)) or DEFAULT_LISTEN


def _program() -> tuple[str, ...]:
    """Return the command line of this installation."""
    beside = Path(sys.executable).with_name("dicomdock")
    found = str(beside) if beside.exists() else shutil.which("dicomdock")
    # -P: no code of the present directory.
    return (found,) if found else (sys.executable, "-P", "-m", "tui")


def _own_places() -> Iterator[Path]:
    """Yield the directories of interpreter and package, for a service that sees no homes."""
    yield from map(Path, dict.fromkeys((sys.prefix, sys.base_prefix)))
    package = Path(__file__).parents[2]
    if Path(sys.prefix) not in package.parents:
        yield package
