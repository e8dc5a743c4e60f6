"""Records without what is nobody else's business: unknown texts become keyed hashes; pure.

What is known to be harmless is named, and everything else is hidden, so that a field that is new
is hidden until somebody has thought about it. The same text becomes the same hash under one key,
so that a reader still sees what belongs together.
"""

from __future__ import annotations

import hmac
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = frozenset((
    "ae_title", "identifier", "file_namer", "duplicates", "tls_client", "file_name_template",
    "kinds", "label", "processor_class", "location",
))  # fmt: skip
"""Names of settings whose texts are shown."""
EVENTS = frozenset((
    "at", "kind", "severity", "topic", "receiver", "calling_ae_title", "called_ae_title",
    "association", "attribute", "identifier", "plugin", "option", "version", "expires", "since",
    "source",
))  # fmt: skip
"""Names of an event's members that are shown."""
SENTENCES = frozenset(("message", "why", "reason", "remedy", "error", "instead", "what"))
"""Members of an event in words of ours, which name addresses and the like in them."""
_HIDDEN = frozenset(("parameters", "identifier_settings"))
"""Records of which everything is hidden, whatever it is."""
_HASH_CHARACTERS = 10
_SHORTEST_REPLACED = 3
_PERHAPS_ADDRESSES = re.compile(r"(?<![0-9A-Za-z.:])[0-9a-fA-F]*[.:][0-9a-fA-F.:]*")
_UIDS = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+){4,}(?![0-9])")


class Mask:
    """Hides texts under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hashed(self, text: str) -> str:
        """Return what stands for a text; nothing stands for nothing."""
        if not text:
            return ""
        digest = hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()
        return f"#{digest[:_HASH_CHARACTERS]}"

    def place(self, text: str) -> str:
        """Return what stands for an address, or another text; a port stays as it is."""
        host, colon, port = text.rpartition(":")
        if host and port.isdecimal() and not _is_address(text):
            return f"{self.hashed(host)}{colon}{port}"
        return self.hashed(text)

    def settings(self, value: object, name: str = "") -> object:
        """Return a setting, or a record of settings, without texts that are not known."""
        if isinstance(value, dict):
            if name in _HIDDEN:
                return {str(key): self.hashed(str(inner)) for key, inner in value.items()}
            return {str(key): self.settings(inner, str(key)) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.settings(inner, name) for inner in value]
        if value is None or isinstance(value, bool | int | float) or name in SETTINGS:
            return value
        text = str(value)
        lines = len(text.splitlines())
        return f"{self.hashed(text)} ({lines} lines)" if lines > 1 else self.hashed(text)

    def event(self, record: Mapping[str, object]) -> dict[str, object]:
        """Return an event's record in which addresses, UIDs, logins and the like are hidden."""
        hidden = {
            name: self.place(str(value))
            for name, value in record.items()
            if not (name in EVENTS or name in SENTENCES or value is None or _is_number(value))
        }
        sentences = {
            name: self._sentence(str(value), [str(record[other]) for other in hidden])
            for name, value in record.items()
            if name in SENTENCES
        }
        return {**record, **hidden, **sentences}

    def text(self, text: str) -> str:
        """Return a text with addresses and UIDs hidden."""
        text = _UIDS.sub(lambda found: self.hashed(found[0]), text)
        return _PERHAPS_ADDRESSES.sub(lambda found: self._hidden(found[0]), text)

    def _hidden(self, text: str) -> str:
        """Return what stands for an address, with or without a port; other texts as they are."""
        core = text.rstrip(".:")
        for host in (core, core.rpartition(":")[0]):
            if _is_address(host):
                return self.hashed(host) + text[len(host) :]
        return text

    def _sentence(self, text: str, hidden: list[str]) -> str:
        for value in sorted(hidden, key=len, reverse=True):
            if len(value) >= _SHORTEST_REPLACED:
                text = text.replace(value, self.place(value))
        return self.text(text)


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
