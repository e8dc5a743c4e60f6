"""How commands declare verbs, switches and options."""

from __future__ import annotations

import argparse
import contextlib
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigurationError, EngineError
from engine.events import Severity
from engine.host import terminal
from engine.model.anonymization import PROFILE, Retain
from engine.model.peer import MetricsAddress, metrics_networks
from engine.model.project import AutoArchive
from engine.model.tls import TLS_FILES, ClientCertificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


LARGEST_FILE_BYTES = 4 * 1024 * 1024
STANDARD_STREAM = "-"


class FileRefused(EngineError):
    """A file that a command names can't be read or written."""

    title = "The file can't be used"
    exit_code = 2


def read_text(name: str) -> str:
    """Return the text of a file, or of standard input if it is named ``-``.

    Raises:
        FileRefused: if it can't be read, is too large, or is not UTF-8 text.
    """
    try:
        content = _content(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't read {name}: {reason}", "name a readable file") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise FileRefused(
            f"{name} is larger than {LARGEST_FILE_BYTES:,} bytes",
            "name the right file, or split it",
        )
    try:
        # Some editors write a byte order mark.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileRefused(f"{name} is not UTF-8 text (line {line})", "save it as UTF-8") from error


def write_text(name: str, text: str) -> None:
    """Write a file anew.

    Raises:
        FileRefused: if that fails.
    """
    try:
        Path(name).write_text(text, "utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't write {name}: {reason}", "name another file") from error


def _content(name: str) -> bytes:
    """Read a file up to one byte beyond the limit, so that endless files end too."""
    with contextlib.ExitStack() as resources:
        if name == STANDARD_STREAM:
            file = resources.enter_context(open(0, "rb", closefd=False))
        else:
            file = resources.enter_context(Path(name).open("rb"))
        return file.read(LARGEST_FILE_BYTES + 1)


AUTO_ARCHIVE_CODES = {code.name.lower(): int(code) for code in AutoArchive}

_NUMBER = re.compile(r"-?[0-9]{1,18}")


def add_verb(
    verbs: Commands, name: str, run: object, words: str, *, needs_data: bool = True
) -> argparse.ArgumentParser:
    """Add a command that can print JSON.

    Args:
        verbs: the group to add it to.
        name: what is typed.
        run: the function that does it.
        words: its line in the help.
        needs_data: whether a missing data directory is an error; not for what makes one.
    """
    parser = verbs.add_parser(name, help=words, description=f"{words[:1].upper()}{words[1:]}.")
    set_run(parser, run)
    if not needs_data:
        parser.set_defaults(needs_data=False)
    return parser


def set_run(parser: argparse.ArgumentParser, run: object) -> None:
    """Set the function of a command, and add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def add_verbs(command: argparse.ArgumentParser) -> Commands:
    """Let a command have subcommands; return the group that they are added to."""
    return command.add_subparsers(metavar="VERB", required=True)


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the option that answers the question of `terminal.confirm`."""
    parser.add_argument("--yes", action="store_true", help="don't ask")


def add_switch(
    parser: argparse.ArgumentParser, name: str, words: str, *, field: str | None = None
) -> None:
    """Add a pair of options for a field that is on or off; `field` is its name if it differs."""
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        dest=field or name,
        action=argparse.BooleanOptionalAction,
        # Then argparse sets no attribute unless the option is given, and the field stays.
        default=argparse.SUPPRESS,
        help=words,
    )


def add_limits(parser: argparse.ArgumentParser, names: Iterable[str], unset: str) -> None:
    """Add the option that sets limits by name."""
    parser.add_argument(
        "--limit",
        dest="limits",
        metavar="NAME=N",
        type=_limit,
        action="append",
        default=argparse.SUPPRESS,
        help=f"{', '.join(names)}; repeatable; NAME= {unset}",
    )


def add_settings(parser: argparse.ArgumentParser, group: str, names: Iterable[str]) -> None:
    """Add the option that sets some settings by name."""
    parser.add_argument(
        f"--{group}",
        metavar="NAME=VALUE",
        type=_setting,
        action="append",
        default=argparse.SUPPRESS,
        help=f"{', '.join(names)}; repeatable; NAME=@FILE reads a text; NAME= sets the default",
    )


def settings_given(arguments: argparse.Namespace, group: str, before: object) -> dict[str, object]:
    """Return a group of settings, changed as the options say; None unsets one."""
    known = dict(before) if isinstance(before, dict) else {}
    return known | dict(vars(arguments).get(group, ()))


def limits_given(arguments: argparse.Namespace, before: object) -> dict[str, object]:
    """Return the limits, changed as the options say; None unsets one."""
    return settings_given(arguments, "limits", before)


def flattened(record: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    """Yield the members of a record; those of a nested one as ``outer.inner``."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{member}", inner) for member, inner in value.items())
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def named_value(text: str, fault: str) -> tuple[str, str]:
    """Split NAME=VALUE, without spaces around both; `fault` is the error of other texts."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} {fault}")
    return name, value


def text_or_file(text: str) -> str:
    """Return a text, or for ``@FILE`` the text of the file; ``@-`` is standard input."""
    return _text_of(text[1:]) if text.startswith("@") else text


def text_of_file(name: str) -> str:
    """Return the text of a file, as the value of an option; ``''`` is an empty text."""
    return _text_of(name) if name else ""


def _text_of(name: str) -> str:
    try:
        return read_text(name)
    except FileRefused as error:
        raise argparse.ArgumentTypeError(f"{error.detail}; {error.remedy}") from error


def auto_archive(text: str) -> int:
    """Read XNAT's code, or its name; the model checks numbers."""
    if text.isascii() and text.isdecimal() and len(text) <= 9:
        return int(text)
    if text.lower() not in AUTO_ARCHIVE_CODES:
        known = ", ".join(AUTO_ARCHIVE_CODES)
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {known}")
    return AUTO_ARCHIVE_CODES[text.lower()]


def lines_in_words(text: str) -> str:
    """Return the number of lines of a text, in words."""
    return terminal.counted(len(text.splitlines()), "line") if text else "none"


def whole_number(text: str) -> int:
    """Read a whole number from 1."""
    # isdecimal alone takes digits of other scripts; int() refuses thousands of digits.
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1")
    return int(text)


def metrics_address(text: str) -> str:
    """Read the address of the metrics."""
    try:
        MetricsAddress.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(error.detail) from error
    return text


def metrics_network(text: str) -> str:
    """Read a network whose clients may read the metrics."""
    try:
        metrics_networks([text])
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(error.detail) from error
    return text


def seconds(text: str) -> float:
    """Read a duration of at most a day."""
    try:
        duration = float(text)
    except ValueError:
        duration = -1
    # Refuses nan too, with which every comparison is false.
    if not 0 <= duration <= 86_400:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no duration; use 0 to 86400 seconds")
    return duration


def severity(text: str) -> Severity:
    """Read the severity of events."""
    names = {"WARNING": Severity.WARNING} | {str(one): one for one in Severity}
    if text.upper() not in names:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {', '.join(Severity)}")
    return names[text.upper()]


def _limit(text: str) -> tuple[str, object]:
    """Read NAME=N; the model checks name and range."""
    name, value = named_value(text, "is not a limit; write NAME=N, such as idle_seconds=60")
    return name, int(value) if _NUMBER.fullmatch(value) else value or None


def _setting(text: str) -> tuple[str, object]:
    """Read NAME=VALUE, or NAME=@FILE for the text of a file."""
    name, value = _limit(text)
    if isinstance(value, str) and value in _SWITCHES:
        return name, _SWITCHES[value]
    return name, text_or_file(value) if isinstance(value, str) else value


_SWITCHES = {"true": True, "false": False}


_NOTHING = "nothing"
_CHOICES = (*map(str, Retain), _NOTHING)


def add_script_switch(parser: argparse.ArgumentParser, member: str, when: str) -> None:
    """Add the pair of options that switches a script.

    Args:
        parser: the command.
        member: the field of the record.
        when: a clause that says when the script runs.
    """
    words = f"run the script {when}; off keeps it"
    add_switch(parser, "script_enabled", words, field=member)


def add_profile(parser: argparse.ArgumentParser, when: str) -> None:
    """Add the options of the basic profile; `when` says when it is applied."""
    words = f"apply the basic profile of PS3.15 {when}, before any script"
    add_switch(parser, "profile_enabled", words)
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    words = f"what the profile keeps: {', '.join(Retain)}, or {_NOTHING}; repeatable; replaces all"
    add("--retain", metavar="WHAT", action="append", choices=_CHOICES, help=words)
    words = "keep dates with the profile, moved by N days; 0 takes them away again"
    add("--shift-days", metavar="N", type=int, help=words)


def with_profile(arguments: argparse.Namespace, before: object) -> dict[str, object]:
    """Return the profile, changed as the options say, as a member of the record."""
    known = dict(before) if isinstance(before, dict) else {}
    return {PROFILE: known | dict(_given(arguments))}


def _given(arguments: argparse.Namespace) -> Iterator[tuple[str, object]]:
    if "profile_enabled" in arguments:
        yield "enabled", arguments.profile_enabled
    if "retain" in arguments:
        yield "retain", [option for option in arguments.retain if option != _NOTHING]
    if "shift_days" in arguments:
        yield "shift_days", arguments.shift_days or None


TLS_FIELDS = ("tls_enabled", *TLS_FILES, "tls_client")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Add the options of TLS: the switch, and its files."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    switch = "speak TLS only; naming a certificate switches it on"
    add("--tls", dest="tls_enabled", action=argparse.BooleanOptionalAction, help=switch)
    file = partial(add, metavar="FILE", type=_full_path)
    file("--tls-certificate", help="PEM file with the certificate and its intermediate ones")
    file("--tls-key", help="PEM file with its private key, without a passphrase")
    file("--tls-ca", help="PEM file with the authorities of the callers' certificates")
    lists = "PEM file with the authorities' revocation lists (CRLs); '' asks for none"
    file("--tls-crl", help=lists)
    choices = [str(choice) for choice in ClientCertificates]
    asked = "whether callers must show a certificate (default: required)"
    add("--tls-client", choices=choices, help=asked)


def tls_given(given: Mapping[str, object]) -> dict[str, object]:
    """Return the TLS fields among the options."""
    fields = {name: given[name] for name in TLS_FIELDS if name in given}
    if fields.get("tls_certificate"):
        fields.setdefault("tls_enabled", True)
    return fields


def _full_path(text: str) -> str:
    """Return an absolute file name, because the engine runs in another directory."""
    return str(Path(text).absolute()) if text else ""
