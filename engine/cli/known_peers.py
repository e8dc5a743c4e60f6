"""`peers`: the AEs that the engine may call by their AE title, such as with a report."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

from engine.cli.context import actor, store_of
from engine.cli.options import add_switch, add_verb, add_verbs, add_yes
from engine.cli.peers import add_calling, deadlines_of, print_echo
from engine.cli.sending import NOT_ACCEPTED
from engine.dimse.commands import SUCCESS
from engine.errors import NotFound
from engine.host import terminal
from engine.model.known_peer import KnownPeer, parse_known_peer

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = {
    "host": "name or address",
    "port": "TCP port",
    "tls_ca": "PEM file with the peer's authorities; '' for the system's",
    "tls_certificate": "PEM file with our certificate, if the peer asks for one",
    "tls_key": "PEM file with its key",
}
_SWITCHES = {
    "tls_enabled": "speak TLS with the peer",
    "tls_check_name": "require that the peer's certificate is for its host",
}


def add_peers(command: argparse.ArgumentParser) -> None:
    """Add the commands that list, change and test known peers."""
    verbs = add_verbs(command)
    add_verb(verbs, "list", _list, "list all peers")
    add = add_verb(verbs, "add", _add, "add a peer", needs_data=False)
    edit = add_verb(verbs, "edit", _edit, "change the given fields of a peer")
    delete = add_verb(verbs, "delete", _delete, "remove a peer")
    echo = add_verb(verbs, "echo", _echo, "test the connection to a peer (C-ECHO)")
    for parser in (add, edit, delete, echo):
        parser.add_argument("ae_title", metavar="AE", help="the AE title of the peer")
    for parser in (add, edit):
        _add_fields(parser, is_new=parser is add)
    add_yes(delete)
    add_calling(echo, tls=False)


def _add_fields(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Add one option per field; fields without their option keep their value."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    for name, words in _FIELDS.items():
        required = is_new and name in {"host", "port"}
        add(f"--{name.replace('_', '-')}", metavar="VALUE", required=required, help=words)
    for name, words in _SWITCHES.items():
        add_switch(parser, name, words)


def _list(arguments: argparse.Namespace) -> None:
    configuration = store_of(arguments).load()
    if arguments.json:
        records = [peer.to_record() for peer in configuration.peers]
        return terminal.print_json({"revision": configuration.revision, "peers": records})
    return _print(configuration.peers)


def _add(arguments: argparse.Namespace) -> None:
    _save(arguments, "added", None)


def _edit(arguments: argparse.Namespace) -> None:
    _save(arguments, "saved", store_of(arguments).load().peer(arguments.ae_title))


def _save(arguments: argparse.Namespace, verb: str, seen: KnownPeer | None) -> None:
    """Save a peer, changed as the options say; `seen` is as it was read before."""
    given = vars(arguments)
    fields = {name: given[name] for name in (*_FIELDS, *_SWITCHES) if name in given}
    record = seen.to_record() if seen else {"ae_title": arguments.ae_title}
    peer = parse_known_peer(record | fields)
    if peer.tls is not None:
        # Slow to import, and rarely needed.
        from engine.commitment.peers import require_tls_files

        require_tls_files(peer)
    configuration = store_of(arguments).save_peer(peer, actor(), replacing=seen)
    if arguments.json:
        saved = configuration.peer(peer.ae_title).to_record()
        return terminal.print_json({"revision": configuration.revision, "peer": saved})
    _print([peer])
    return terminal.say(f"{verb} peer {peer.ae_title} (revision {configuration.revision})")


def _delete(arguments: argparse.Namespace) -> None:
    store, title = store_of(arguments), arguments.ae_title
    store.load().peer(title)
    terminal.confirm(f"Delete peer {title}?", already=arguments.yes)
    configuration = store.delete_peer(title, actor())
    if arguments.json:
        return terminal.print_json({"revision": configuration.revision, "deleted": title})
    return terminal.say(f"deleted peer {title} (revision {configuration.revision})")


def _echo(arguments: argparse.Namespace) -> int:
    from engine.commitment.peers import peer_to_call
    from engine.dimse.scu import echo_peer

    configuration = store_of(arguments).load()
    # A destination of forward copies is a peer, too.
    peer = peer_to_call(configuration, arguments.ae_title, arguments.calling)
    if peer is None:
        remedy = "list them with: peers list"
        raise NotFound(f"there is no peer {arguments.ae_title[:40]}", remedy)
    started = time.monotonic()
    status = echo_peer(peer, deadlines_of(arguments))
    print_echo(arguments, peer, status, started)
    return 0 if status == SUCCESS else NOT_ACCEPTED


def _print(peers: Iterable[KnownPeer]) -> None:
    heads = ("AE TITLE", "HOST", "PORT", "TLS")
    rows = [(p.ae_title, p.host, p.port, "on" if p.tls_enabled else "off") for p in peers]
    terminal.print_table(heads, rows)
