"""`senders`: who sends to the running engine, and how much."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.cli.live import running_engine
from engine.cli.options import add_verb, add_verbs, whole_number
from engine.host import terminal

if TYPE_CHECKING:
    import argparse

_HOURS_OF_A_DAY = 24


def add_senders(command: argparse.ArgumentParser) -> None:
    """Add the commands that show who sends."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list, "list senders, the last heard first")
    listed.add_argument("text", metavar="TEXT", nargs="?", default="",
                        help="part of the AE title, address or implementation")  # fmt: skip
    listed.add_argument("--limit", type=whole_number, default=100, metavar="N",
                        help="how many at most (default: 100)")  # fmt: skip
    show = add_verb(verbs, "show", _show, "show a sender, and what came from it by hour")
    show.add_argument("ae_title", metavar="AE", help="its AE title")
    show.add_argument("address", metavar="ADDRESS", help="its address, without the port")
    show.add_argument("--week", action="store_true", help="of seven days, not of one")


def _list(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        page = engine.senders.list(text=arguments.text, limit=arguments.limit)
    if arguments.json:
        records = [asdict(sender) for sender in page.senders]
        return terminal.print_json({"senders": records, "total": page.total})
    heads = ("CALLER", "ADDRESS", "LAST SEEN", "OBJECTS", "FAILED", "REJECTED", "LAST ERROR")
    rows = [
        (s.calling_ae_title, s.address, s.last_seen, s.objects, s.failed, s.rejected,
         s.last_error or s.last_rejection)
        for s in page.senders
    ]  # fmt: skip
    return terminal.print_table(heads, rows)


def _show(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        detail = engine.senders.detail(arguments.ae_title, arguments.address)
    sender = detail.sender
    hours = detail.hours if arguments.week else detail.hours[-_HOURS_OF_A_DAY:]
    if arguments.json:
        record = asdict(sender) | {"state": str(sender.state), "receivers": detail.receivers}
        return terminal.print_json(record | {"hours": [asdict(hour) for hour in hours]})
    told = [(n, v) for n, v in asdict(sender).items() if n not in {"day", "refused_contexts"}]
    told += [("refused context", one) for one in sender.refused_contexts]
    told += [("called", one) for one in detail.receivers]
    terminal.print_table(("SENDER", f"{sender.calling_ae_title}@{sender.address}"), told)
    rows = [(h.begins_at, h.objects, h.failed, f"{h.bytes / 1e6:.1f}") for h in hours if h.objects]
    return terminal.print_table(("HOUR", "OBJECTS", "FAILED", "MB"), rows)
