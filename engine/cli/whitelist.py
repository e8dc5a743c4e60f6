"""`whitelist`: tests callers, reviews lines, and suggests a line for a caller."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import receiver_named, receivers_named, settings_of, store_of
from engine.cli.options import add_verb, add_verbs
from engine.errors import ConfigurationError, InvalidReceiver, InvalidWhitelistEntry, Problem
from engine.host import terminal
from engine.model.peer import AETitle
from engine.model.whitelist import (
    WhitelistEntry,
    WhitelistVerdict,
    also_admits,
    match,
    normalize_address,
    parse_whitelist,
    proposals,
    review,
)
from engine.queries.tls_files import authorities

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from engine.model.receiver import Receiver
    from engine.model.tls import PeerCertificate
    from engine.model.whitelist import Address

_FOUND = 1
"""Exit code: the caller is rejected, or the lines have findings."""
_LINES_IN_A_COMMAND = 12
_Finding = tuple[int | None, str, str, str]
"""Line, text, kind and message."""


class InvalidCaller(ConfigurationError):
    """The named caller is invalid."""

    title = "Not a caller"


def add_whitelist(command: argparse.ArgumentParser) -> None:
    """Add the commands that try and review whitelists."""
    verbs = add_verbs(command)
    test = add_verb(
        verbs, "test", _test, "check whether a caller would be accepted, and by which line"
    )
    lint = add_verb(verbs, "lint", _lint, "list questionable lines of one whitelist or of all")
    propose = add_verb(verbs, "propose", _propose, "list lines that would accept a caller")
    a_name = "an id, AE:PORT or AE title"
    test.add_argument("receiver", metavar="RECEIVER", help=a_name)
    lint.add_argument("receivers", metavar="RECEIVER", nargs="*", help=f"{a_name}; default: all")
    propose.add_argument("receiver", metavar="RECEIVER", nargs="?", help="the receiver")
    for parser in (test, propose):
        parser.add_argument("--calling", metavar="AE", required=True, help="the calling AE title")
        parser.add_argument("--ip", metavar="IP", required=True, help="the caller's address")
    shown = "PEM file with the certificate that the caller shows in the TLS handshake"
    test.add_argument("--certificate", metavar="FILE", type=Path, help=shown)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A caller at a receiver; the lines are evaluated even while the whitelist is off."""

    receiver: Receiver
    ae_title: AETitle
    address: Address
    verdict: WhitelistVerdict
    certificate: PeerCertificate | None = None

    @property
    def admitted(self) -> bool:
        """Whether the caller would pass."""
        return not self.receiver.whitelist_enabled or self.verdict.admitted_by is not None

    @property
    def line(self) -> dict[str, object] | None:
        """The line that decides, or the nearest one."""
        entry = self.verdict.admitted_by or self.verdict.nearest
        if entry is None:
            return None
        number = [line.strip() for line in self.receiver.whitelist].index(entry.text) + 1
        return {"line": number, "text": entry.text, "meaning": entry.meaning()}

    @property
    def why(self) -> str:
        """Return what decides, and what would if the whitelist were on."""
        said = self._lines_in_words()
        if self.receiver.whitelist_enabled:
            return said
        return f"the whitelist is off, so everybody may connect; if it were on: {said}"

    def _lines_in_words(self) -> str:
        if self.verdict.admitted_by:
            return f"admitted as {self.verdict.admitted_by.meaning()}"
        if not self.receiver.whitelist:
            return "the whitelist is empty, which keeps everybody out"
        if self.verdict.nearest is None:
            return self.verdict.why
        reasons = list(_reasons(self.verdict.nearest, self.ae_title, self.address))
        joint = " and" if ", but " in self.verdict.why else ", but"
        return self.verdict.why + (f"{joint} {' and '.join(reasons)}" if reasons else "")

    def to_record(self) -> dict[str, object]:
        """Return the result as JSON."""
        by_a_line = self.verdict.admitted_by is not None
        return {
            "receiver": self.receiver.label,
            "ae_title": self.ae_title,
            "address": str(self.address),
            "certificate": self.certificate and self.certificate.fingerprint,
            "whitelist_enabled": self.receiver.whitelist_enabled,
            "admitted": self.admitted,
            "admitted_by": self.line if by_a_line else None,
            "nearest": None if by_a_line else self.line,
            "why": self.why,
        }


def _test(arguments: argparse.Namespace) -> int:
    ae_title, address = _caller(arguments)
    receiver = receiver_named(store_of(arguments).expected().receivers, arguments.receiver)
    certificate = _certificate(arguments)
    verdict = _verdict(receiver, ae_title, address, certificate)
    trial = _Trial(receiver, ae_title, address, verdict, certificate)
    if arguments.json:
        terminal.print_json(trial.to_record())
    else:
        line = trial.line or {"line": None, "text": None}
        row = ("admitted" if trial.admitted else "refused", line["line"], line["text"], trial.why)
        terminal.print_table(("VERDICT", "LINE", "TEXT", "WHY"), [row])
    if not receiver.enabled:
        terminal.say(f"{receiver.label} is disabled: nobody can connect to it")
    return 0 if trial.admitted else _FOUND


def _caller(arguments: argparse.Namespace) -> tuple[AETitle, Address]:
    try:
        address = normalize_address(arguments.ip.strip())
    except ValueError as error:
        remedy = "write an address such as 10.1.2.3 or 2001:db8::1"
        problem = Problem("ip", arguments.ip[:60], "is not an address", remedy)
        raise InvalidCaller(problem) from error
    return AETitle.parse(arguments.calling, "calling"), address


def _certificate(arguments: argparse.Namespace) -> PeerCertificate | None:
    if arguments.certificate is None:
        return None
    from engine.certificates.tls_context import read_certificate  # which takes a while to load

    return read_certificate(arguments.certificate).identity


def _verdict(
    receiver: Receiver,
    ae_title: AETitle,
    address: Address,
    certificate: PeerCertificate | None = None,
) -> WhitelistVerdict:
    """Evaluate the lines; those of a whitelist that is off may be invalid."""
    try:
        return match(parse_whitelist(receiver.whitelist), ae_title, address, certificate)
    except InvalidWhitelistEntry as error:
        return WhitelistVerdict(None, None, f"the whitelist is not valid: {error.detail}")


def _reasons(entry: WhitelistEntry, ae_title: AETitle, address: Address) -> Iterator[str]:
    """Yield the reasons why a line does not match a caller."""
    if entry.ae_title is not None and entry.ae_title != ae_title:
        alike = entry.ae_title.casefold() == ae_title.casefold()
        how = "in upper and lower case" if alike else "from the caller's"
        yield f"its AE title {entry.ae_title} differs {how}"
    if not entry.includes(address):
        yield f"{address} is not in {entry.network}"


def _lint(arguments: argparse.Namespace) -> int:
    receivers = receivers_named(store_of(arguments).expected().receivers, arguments.receivers)
    index_file = settings_of(arguments).index_file
    found = [(r.label, *finding) for r in receivers for finding in _findings(r, index_file)]
    heads = ("RECEIVER", "LINE", "TEXT", "FINDING", "MESSAGE")
    if arguments.json:
        records = [dict(zip((h.lower() for h in heads), row, strict=True)) for row in found]
        terminal.print_json({"findings": records})
    else:
        terminal.print_table(heads, found)
    return _FOUND if found else 0


def _findings(receiver: Receiver, index_file: Path) -> list[_Finding]:
    """Return findings about valid lines, and the invalid lines of a whitelist that is off."""
    from engine.index.reader import read_whitelist_uses  # SQLite, which takes a while

    lines = receiver.whitelist
    invalid: list[tuple[int, str, str, str]] = []
    for number, line in enumerate(lines, start=1):
        try:
            parse_whitelist([line])
        except InvalidWhitelistEntry as error:
            invalid.append((number, line, "invalid", error.problems[0].message))
    passed_over = {number for number, *_ in invalid}
    valid = ["" if n in passed_over else line for n, line in enumerate(lines, start=1)]
    uses = read_whitelist_uses(index_file, receiver.label) if receiver.whitelist_enabled else None
    # Before the first association, every line would be reported as never used.
    odd = [(f.line, f.text, str(f.oddity), f.message) for f in review(valid, uses or None)]
    found = sorted((*invalid, *odd), key=lambda finding: finding[0])
    return [*found, *_device_certificates(receiver)]


def _device_certificates(receiver: Receiver) -> list[_Finding]:
    """Return findings about certificates of ``tls_ca`` that are no authorities."""
    try:
        devices = [one for one in authorities(receiver) if one.is_device]
    except InvalidReceiver as error:
        return [(None, receiver.tls_ca, "invalid", error.detail)]
    return [(None, receiver.tls_ca, "device", f"tls_ca: {one.meaning()}") for one in devices]


def _propose(arguments: argparse.Namespace) -> None:
    ae_title, address = _caller(arguments)
    lines = proposals(ae_title, address)
    named = arguments.receiver
    receiver = receiver_named(store_of(arguments).expected().receivers, named) if named else None
    verdict = _verdict(receiver, ae_title, address) if receiver else WhitelistVerdict(None)
    by = verdict.admitted_by
    rows = [(line.text, also_admits(line)) for line in lines]
    if arguments.json:
        offered = [{"text": text, "also_admits": others} for text, others in rows]
        record = {"receiver": receiver.label if receiver else None, "proposals": offered}
        return terminal.print_json({**record, "admitted_by": by.text if by else None})
    terminal.print_table(("LINE", "ALSO ADMITS"), rows)
    if by is not None:
        return terminal.say(f"the caller is on the whitelist already: {by.text}")
    return _say_how(receiver, lines[0]) if receiver and lines else None


def _say_how(receiver: Receiver, line: WhitelistEntry) -> None:
    """Print the command that adds a line and keeps the present ones."""
    kept = [f"--whitelist={text}" for text in (*receiver.whitelist, line.text)]
    command = shlex.join(["receivers", "edit", receiver.label, *kept])
    if len(kept) <= _LINES_IN_A_COMMAND:
        terminal.say(f"add the first with: {command}")
