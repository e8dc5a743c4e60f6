"""Site settings of alerts: their targets, their kinds, and how often one is repeated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import InvalidSite, Problem
from engine.model.secrets import MASK, has_mask, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_TARGETS = 8
MOST_WORDS = 32
LONGEST = 2_000
REPEAT_SECONDS = range(60, 7 * 86_400 + 1)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


class AlertKind(StrEnum):
    """The subjects of alerts."""

    RECEIVER = "receiver"
    """One that should listen can't, or can again."""
    STORAGE = "storage"
    """Space runs low or out, or there is enough again."""
    SCRIPT = "script"
    """A script, a routing rule or an external program failed."""
    FORWARDING = "forwarding"
    """Objects can't be sent on, or were given up, or are sent on again."""
    SILENCE = "silence"
    """A caller sends nothing in hours in which it usually does, or sends again."""
    CERTIFICATE = "certificate"
    """One expires or can't be used, or was replaced."""
    CONFIGURATION = "configuration"
    """The configuration file is refused or accepted again, or a plugin can't be used."""


@dataclass(frozen=True, slots=True)
class AlertTarget:
    """One command or webhook that gets alerts."""

    name: str
    command: tuple[str, ...] = field(default=(), repr=False)
    """Program and arguments, run without a shell; it gets the alert as JSON on its input."""
    webhook: str = field(default="", repr=False)
    """Where the alert is posted as JSON; may contain a secret."""
    kinds: tuple[AlertKind, ...] = tuple(AlertKind)

    @property
    def shown(self) -> str:
        """Command or webhook, with possible secrets replaced by ``…``."""
        return self.masked().in_full.replace(MASK, "…")

    @property
    def in_full(self) -> str:
        """Command or webhook, secrets included."""
        return f"command {' '.join(self.command)}" if self.command else f"webhook {self.webhook}"

    def masked(self) -> AlertTarget:
        """Return the target without its secrets."""
        return target_of(without_secrets("target", self.to_record()))

    def to_record(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "command": list(self.command),
            "webhook": self.webhook,
            "kinds": [str(kind) for kind in self.kinds],
        }


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """All targets, and how often the same alert is repeated."""

    targets: tuple[AlertTarget, ...] = ()
    repeat_seconds: int = 3_600
    """The same alert is not sent again within this time."""

    @classmethod
    def parse(cls, raw: object) -> AlertSettings:
        """Return the settings that a record describes; absent members keep their default.

        Raises:
            InvalidSite: with one problem per unacceptable member.
        """
        if raw is None:
            return cls()
        problems = list(_faults(raw))
        if problems or not isinstance(raw, dict):
            raise InvalidSite(*problems)
        targets = raw.get("targets") or []
        usual = cls()
        repeat = raw.get("repeat_seconds") or usual.repeat_seconds
        return cls(tuple(map(target_of, targets)), repeat)

    def target(self, name: str) -> AlertTarget | None:
        """Return the target of a name."""
        return next((target for target in self.targets if target.name == name), None)

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        targets = [target.to_record() for target in self.targets]
        return {"repeat_seconds": self.repeat_seconds, "targets": targets}


def require_no_masks(targets: Iterable[AlertTarget]) -> None:
    """Check that no target has a mask where a secret belongs.

    Raises:
        InvalidSite: naming the field.
    """
    message, remedy = "has a mask in place of a secret", "write all of it again"
    for target in targets:
        shown = target.masked()
        if has_mask(target.webhook):
            raise InvalidSite(Problem("alerts.webhook", shown.webhook, message, remedy))
        if has_mask(target.command):
            raise InvalidSite(Problem("alerts.command", shown.command[0], message, remedy))


def target_of(raw: object) -> AlertTarget:
    """Return the target of a record that `AlertTarget.to_record` made, or one like it."""
    assert isinstance(raw, dict)
    command, kinds = raw.get("command") or [], raw.get("kinds")
    assert isinstance(command, list)
    chosen = [AlertKind(str(kind)) for kind in kinds] if isinstance(kinds, list) else AlertKind
    return AlertTarget(
        str(raw["name"]), tuple(command), str(raw.get("webhook") or ""), tuple(chosen)
    )


def _faults(raw: object) -> Iterator[Problem]:
    if not isinstance(raw, dict):
        yield Problem("alerts", "…", "is not an object", "write targets: [...]")
        return
    for name in raw.keys() - {"targets", "repeat_seconds"}:
        remedy = "use targets and repeat_seconds"
        yield Problem(f"alerts.{str(name)[:40]}", "", "is unknown", remedy)
    repeat = raw.get("repeat_seconds")
    wrong = isinstance(repeat, bool) or not isinstance(repeat, int) or repeat not in REPEAT_SECONDS
    if repeat is not None and wrong:
        remedy = f"use {REPEAT_SECONDS.start} to {REPEAT_SECONDS.stop - 1}"
        yield Problem("alerts.repeat_seconds", str(repeat)[:40], "is no such time", remedy)
    targets = raw.get("targets") or []
    if not isinstance(targets, list) or len(targets) > MOST_TARGETS:
        remedy = f"write a list of at most {MOST_TARGETS}"
        yield Problem("alerts.targets", "", "is no list of targets", remedy)
        return
    for target in targets:
        yield from _target_faults(target)
    names = [target.get("name") for target in targets if isinstance(target, dict)]
    for name in {str(name) for name in names if names.count(name) > 1}:
        yield Problem("alerts.name", name[:40], "names two targets", "choose another name")


def _target_faults(raw: object) -> Iterator[Problem]:
    if not isinstance(raw, dict):
        yield Problem("alerts.targets", "…", "is not an object", "write name: ...")
        return
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        remedy = "use 1 to 32 letters, digits, dots and hyphens"
        yield Problem("alerts.name", str(name)[:40], "is no name", remedy)
    command, webhook = raw.get("command") or [], raw.get("webhook") or ""
    # With both or neither it is not clear where an alert goes.
    if bool(command) == bool(webhook):
        remedy = "give one of them: --webhook URL or --command PROGRAM"
        has = "has both a command and a webhook" if command else "has no command and no webhook"
        yield Problem("alerts.targets", str(name)[:40], has, remedy)
    yield from _command_faults(command)
    yield from _webhook_faults(webhook)
    kinds = raw.get("kinds")
    # One by one: what is no text may have no hash.
    known = isinstance(kinds, list) and all(isinstance(k, str) and k in _KINDS for k in kinds)
    if kinds is not None and not (kinds and known):
        remedy = f"use {', '.join(AlertKind)}"
        yield Problem("alerts.kinds", str(kinds)[:80], "are no kinds of alert", remedy)


def _command_faults(command: object) -> Iterator[Problem]:
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        remedy = "write a list of program and arguments"
        yield Problem("alerts.command", "…", "is no command", remedy)
    # Only the program is shown: each argument may be a secret.
    elif len(command) > MOST_WORDS or sum(map(len, command)) > LONGEST:
        yield Problem("alerts.command", command[0][:80], "is too long", "write a script for it")
    elif command and not command[0].startswith("/"):
        remedy = "write its whole path: the service has no search path of yours"
        yield Problem("alerts.command", command[0][:80], "is no absolute path", remedy)
    elif any(not word.isprintable() for word in command):
        remedy = "remove control characters"
        yield Problem("alerts.command", command[0][:80], "is not printable", remedy)


def _webhook_faults(webhook: object) -> Iterator[Problem]:
    if not webhook:
        return
    remedy = "use such as https://alerts.hospital.example/dicom"
    text = str(webhook)
    try:
        parts = urlsplit(text)
        # Raises ValueError beyond 65535; urlsplit itself does not look at it.
        port = parts.port
    except ValueError:
        yield Problem("alerts.webhook", "…", "is no address", remedy)
        return
    sound = (
        # An address that is edited may still have its mask, which is not ASCII.
        text.replace(MASK, "").isascii()
        and text.isprintable()
        and " " not in text
        and len(text) <= LONGEST
    )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not sound:
        yield Problem(
            "alerts.webhook",
            str(without_secrets("webhook", text))[:80],
            "is no http or https address",
            remedy,
        )


_KINDS = frozenset(map(str, AlertKind))
