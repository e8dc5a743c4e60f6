"""`selftest`: does a receiver take what its callers send, and where does it go?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import receiver_named, settings_of, store_of
from engine.cli.options import set_run
from engine.clock import SystemClock
from engine.model.ae_title import AETitle

if TYPE_CHECKING:
    import argparse


def add_selftest(parser: argparse.ArgumentParser) -> None:
    """Add the command that sends a marked object to a receiver and removes it again."""
    set_run(parser, _selftest)
    parser.add_argument("receiver", metavar="RECEIVER", help="AE:PORT, id or AE title")
    parser.add_argument("--as", dest="calling", required=True, metavar="AE",
                        help="the AE title to call with, as a scanner would")  # fmt: skip


def _selftest(arguments: argparse.Namespace) -> int:
    from engine.selftest.run import SelfTest

    calling = AETitle.parse(arguments.calling, "as")
    configuration = store_of(arguments).load()
    receiver = receiver_named(configuration, arguments.receiver)
    test = SelfTest(settings_of(arguments), configuration, receiver, calling, SystemClock())
    found = list(test.run())
    bad = [step for step in found if not step.is_good]
    if arguments.json:
        steps = [asdict(step) for step in found]
        terminal.print_json({"receiver": receiver.label, "ok": not bad, "steps": steps})
    else:
        rows = [(f.step, "ok" if f.is_good else "FAILED", f.detail) for f in found]
        terminal.print_table(("STEP", "RESULT", "WHAT"), rows)
        for step in bad:
            if step.remedy:
                terminal.say(f"{step.step}: {step.remedy}")
    return max((step.exit_code for step in bad), default=0)
