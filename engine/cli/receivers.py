"""`receivers`: the storage SCPs of the engine."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.cli.context import (
    actor,
    installed_file_namers,
    installed_identifiers,
    receiver_named,
    say_few_descriptors,
    shown,
    store_of,
)
from engine.cli.live import add_port_verbs
from engine.cli.options import (
    add_limits,
    add_switch,
    add_tls,
    add_verb,
    add_verbs,
    add_yes,
    limits_given,
    named_value,
    text_or_file,
    tls_given,
)
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.anonymization import stored_as_received
from engine.model.limits import RECEIVER_LIMITS
from engine.model.receiver import ROUTING_FIELDS, Receiver, ReceiverRules, parse_receiver
from engine.model.site import DuplicatePolicy
from engine.queries.tls_files import callers_record, certificate_record, tls_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.config.store import ConfigurationStore
    from engine.model.configuration import Configuration

_SWITCHES = {
    "custom_processing": "run archive processors",
    "direct_archive": "skip the prearchive",
    "direct_archive_append": "skip what an archived session has already; off replaces it",
    "anonymization": "run the site's script on receipt",
    "whitelist_enabled": "admit only callers on the whitelist",
    "routing_enabled": "use the routing rules",
    "storage_commitment": "answer requests for storage commitment",
}
_NAMED_FIELDS = (
    "ae_title",
    "port",
    "bind_address",
    "enabled",
    "identifier",
    "file_namer",
    "duplicates",
)
_COLUMNS = (
    "id",
    "ae_title",
    "port",
    "enabled",
    "custom_processing",
    "direct_archive",
    "anonymization",
    "whitelist_enabled",
    "routing_enabled",
    "tls_enabled",
    "identifier",
    "bind_address",
)


def add_receivers(command: argparse.ArgumentParser) -> None:
    """Add the commands that list and change receivers."""
    verbs = add_verbs(command)
    # Before the first start of an engine they show, and change, the receiver that it will make.
    add_verb(verbs, "list", _list, "list all receivers", needs_data=False)
    added = add_verb(verbs, "add", _add, "add a receiver", needs_data=False)
    _add_fields(added, is_new=True)
    edit = add_verb(verbs, "edit", _edit, "change the given fields of a receiver", needs_data=False)
    _add_fields(edit, is_new=False)
    enable = add_verb(verbs, "enable", _switch, "enable a receiver", needs_data=False)
    enable.set_defaults(enabled=True)
    disable = add_verb(verbs, "disable", _switch, "disable a receiver", needs_data=False)
    disable.set_defaults(enabled=False)
    add_port_verbs(verbs)
    delete = add_verb(verbs, "delete", _delete, "remove a receiver")
    add_yes(delete)
    for parser in (edit, enable, disable, delete):
        parser.add_argument("receiver", metavar="RECEIVER", help="an id, AE:PORT or AE title")


def _add_fields(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Add one option per field of a receiver; fields without their option keep their value."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    policies = f"{', '.join(DuplicatePolicy)}; '' for the site's"
    add("--duplicates", metavar="POLICY", help=f"for a SOP instance with other content: {policies}")
    add("--ae-title", metavar="AE", required=is_new, help="the called AE title")
    add("--port", metavar="N", required=is_new, help="the TCP port")
    add("--bind-address", metavar="ADDRESS", help="where to listen; '' for the site's choice")
    if is_new:  # later the verbs enable and disable do it
        add_switch(parser, "enabled", "whether it is enabled (default: yes)")
    add(
        "--identifier",
        metavar="ID",
        help="the identifier of project, subject and session, see: plugins",
    )
    told = "a setting of the identifier, such as project=NEURO-01; repeatable; NAME= removes it"
    add("--identifier-setting", dest="identifier_settings", metavar="NAME=VALUE", type=_setting,
        action="append", help=told)  # fmt: skip
    add(
        "--file-namer",
        metavar="ID",
        help="the file namer, see: plugins; '' for the site's template",
    )
    for name, words in _SWITCHES.items():
        add_switch(parser, name, words)
    _add_texts(parser)
    add_tls(parser)
    add_limits(parser, RECEIVER_LIMITS, "removes it, so that the site's applies")


def _add_texts(parser: argparse.ArgumentParser) -> None:
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    entry = (
        "AE title, address, network or AE@address, then #san:NAME, #san-uri:URI, "
        "#san-email:ADDRESS or #sha256:FINGERPRINT for a certificate; repeat for more; replaces "
        "all lines; @FILE reads lines, '' removes all"
    )
    add("--whitelist", metavar="LINE", type=text_or_file, action="append", help=entry)
    for name in ROUTING_FIELDS:
        option = f"--{name.replace('_', '-')}"
        add(option, metavar="TEXT", type=text_or_file, help="rules, or @FILE with rules")


def _setting(text: str) -> tuple[str, str]:
    """Read NAME=VALUE; the identifier checks both."""
    return named_value(text, "is not a setting; write NAME=VALUE, such as project=NEURO-01")


def _list(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    configuration = store.expected()
    if arguments.json:
        records = [receiver_record(receiver) for receiver in configuration.receivers]
        terminal.print_json({"revision": configuration.revision, "receivers": records})
        return
    _print(configuration.receivers)
    if configuration.receivers and not store.load().receivers:
        first = configuration.receivers[0].label
        terminal.say(f"the first start adds {first}, unless a receiver is added before")


def _add(arguments: argparse.Namespace) -> None:
    _save(arguments, "added", store_of(arguments).load(), None)


def _edit(arguments: argparse.Namespace) -> None:
    _save(arguments, "saved", *_named(store_of(arguments), arguments))


def _named(
    store: ConfigurationStore, arguments: argparse.Namespace
) -> tuple[Configuration, Receiver]:
    """Return the configuration and the receiver that is to be changed."""
    expected = store.expected()
    receiver = receiver_named(expected.receivers, arguments.receiver)
    # Before the first start no file has it yet.
    known = expected if store.load().receivers else store.create_default(actor())
    return known, known.receiver(receiver.id)


def _save(
    arguments: argparse.Namespace, verb: str, before: Configuration, seen: Receiver | None
) -> None:
    """Save a receiver, changed as the options say; `seen` is as it was read before."""
    record = seen.to_record() if seen else {}
    identifiers = installed_identifiers()
    fields = _given_fields(arguments, record)
    rules = ReceiverRules(
        before.site,
        identifiers,
        before.receivers,
        before.projects,
        # Only if one is chosen: it loads the code of plugins.
        installed_file_namers() if fields.get("file_namer") else None,
    )
    receiver = parse_receiver(record | fields, rules)
    saved = store_of(arguments, identifiers).save_receiver(receiver, actor(), replacing=seen)
    _report(arguments, verb, *saved)
    if receiver.whitelist and not receiver.whitelist_enabled:
        terminal.say("the whitelist is kept but off; --whitelist-enabled puts it in force")
    for note in (*tls_notes(saved[1], SystemClock().now()), *_warnings(*saved)):
        terminal.say(note)
    say_few_descriptors(saved[0])


def _warnings(configuration: Configuration, receiver: Receiver) -> Iterator[str]:
    """Say what may not be meant, though it is allowed."""
    in_force = configuration.has_anonymization
    why = stored_as_received(wanted=receiver.anonymization, in_force=in_force)
    if why is not None:
        yield f"WARNING: {why}: {receiver.label} stores all that identifies a patient"
    if receiver.direct_archive_append and not configuration.site.direct_archive_append:
        yield (
            "WARNING: the append-only mode has no effect while the site has it off;"
            " see: site set --direct-archive-append"
        )
    if receiver.custom_processing and not configuration.processors_of(receiver):
        yield "WARNING: custom processing is on, but no processor sees its objects"


def _given_fields(arguments: argparse.Namespace, before: Mapping[str, object]) -> dict[str, object]:
    given = vars(arguments)
    names = (*_NAMED_FIELDS, *_SWITCHES, *ROUTING_FIELDS)
    fields = {name: given[name] for name in names if name in given}
    if "whitelist" in given:
        fields["whitelist"] = [line for text in given["whitelist"] for line in text.splitlines()]
    fields["limits"] = limits_given(arguments, before.get("limits"))
    fields["identifier_settings"] = _settings(given, before)
    return fields | tls_given(given)


def _settings(given: Mapping[str, Any], before: Mapping[str, object]) -> dict[str, str]:
    """Return the settings of the identifier; another identifier begins without any."""
    known = before.get("identifier_settings")
    same = given.get("identifier", before.get("identifier")) == before.get("identifier")
    kept = dict(known) if isinstance(known, dict) and same else {}
    return kept | dict(given.get("identifier_settings", ()))


def _switch(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    _, receiver = _named(store, arguments)
    verb = "enabled" if arguments.enabled else "disabled"
    _report(arguments, verb, *store.set_enabled(receiver.id, arguments.enabled, actor()))


def _delete(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    named = receiver_named(store.expected().receivers, arguments.receiver)
    terminal.confirm(f"Delete receiver {named.label}?", already=arguments.yes)
    _, receiver = _named(store, arguments)
    _report(arguments, "deleted", store.delete_receiver(receiver.id, actor()), receiver)


def _report(
    arguments: argparse.Namespace, verb: str, configuration: Configuration, receiver: Receiver
) -> None:
    if arguments.json:
        record = receiver_record(receiver)
        return terminal.print_json({"revision": configuration.revision, "receiver": record})
    _print([receiver])
    return terminal.say(f"{verb} {receiver.label}, revision {configuration.revision}")


def receiver_record(receiver: Receiver, *, secrets: bool = False) -> dict[str, object]:
    """Return a receiver as JSON, with its label and the facts of its TLS files."""
    record = {**shown(receiver.to_record(), secrets=secrets), "label": receiver.label}
    certificate = certificate_record(receiver, SystemClock().now())
    return {**record, "certificate": certificate, "callers": callers_record(receiver)}


def _print(receivers: Iterable[Receiver]) -> None:
    rows = [
        (*(_cell(receiver, name) for name in _COLUMNS), _limits_in_words(receiver))
        for receiver in receivers
    ]
    heads = [name.upper().replace("_ENABLED", "").replace("_", " ") for name in _COLUMNS]
    terminal.print_table([*heads, "LIMITS"], rows)


def _cell(receiver: Receiver, name: str) -> object:
    settings = shown(dict(receiver.identifier_settings), secrets=False)
    told = [f"{key}={value}" for key, value in settings.items()]
    value = getattr(receiver, name)
    return f"{value} ({', '.join(told)})" if name == "identifier" and told else value


def _limits_in_words(receiver: Receiver) -> str:
    return ", ".join(f"{name}={number}" for name, number in receiver.limits)
