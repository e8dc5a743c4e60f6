"""Masks secrets in settings, and puts them back where an edited setting still has the mask.

Every output goes through `without_secrets`: commands, consoles, the control API and the history. An
editor therefore gets masks. What it saves goes through `with_secrets`, which replaces each mask
that is still there by its secret. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from engine.errors import Problem
from engine.model.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MASK: Final = "••••••••"
_SECRET: Final = re.compile(
    r"(^|_)(secret|token|password|passwd|passphrase|credential|credentials|authorization|"
    r"api_?key|private_key|access_key|signing_key)s?(_|$)",
    re.IGNORECASE,
)
_LOCATION: Final = re.compile(r"_(file|path|name)$", re.IGNORECASE)
_ARGUMENTS: Final = "arguments"
"""The arguments of a program, as lines or as a list: each may be a password."""
_COMMAND: Final = "command"
"""A program and its arguments in one list."""
_WEBHOOK: Final = "webhook"
"""An address of which only scheme, host and port are no secret."""
# RFC 3986 3.2.1: user and password stand before the @ of an address.
_IN_ADDRESS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
# A query may hold a token; which of its parts is one, only the server knows.
_QUERY: Final = re.compile(r"(://[^\s?]+\?)\S+")
_NOTHING: Final[tuple[object, ...]] = (None, "", (), [])


def is_secret(field: str) -> bool:
    """Tell whether a setting, such as ``webhook.api_token``, is one that is never shown."""
    # The last part names the setting; what stands before it is its group.
    member = field.rpartition(".")[2]
    # Names of plugins' settings may be written as apiToken or api-token.
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", member).replace("-", "_")
    return member == _ARGUMENTS or (bool(_SECRET.search(name)) and not _LOCATION.search(name))


def without_secrets(field: str, value: object) -> object:
    """Return a setting with every secret in it masked, also that of members and of addresses."""
    # An empty field hides nothing, and must look empty.
    if value in _NOTHING:
        return value
    if is_secret(field):
        return MASK
    if isinstance(value, dict):
        # By its own name: a member may be a secret inside of a harmless record.
        return {name: without_secrets(str(name), inner) for name, inner in value.items()}
    member = field.rpartition(".")[2]
    if isinstance(value, list | tuple):
        if member == _COMMAND:
            return type(value)((*value[:1], *([MASK] if value[1:] else [])))
        return type(value)(without_secrets(field, inner) for inner in value)
    if not isinstance(value, str):
        return value
    return _host_of(value) if member == _WEBHOOK else _masked_in_addresses(value)


def unknown_members(
    record: Mapping[str, object], known: Collection[str], message: str = "is not known"
) -> Iterator[Problem]:
    """Yield the members of a record that are no settings; one named like a secret is masked."""
    for name in record:
        if name not in known:
            shown = str(without_secrets("", without_secrets(name, record[name])))
            value = shown if len(shown) <= 40 else shown[:39] + "…"
            hint = did_you_mean(str(name), known)
            remedy = f"{hint} Else remove it" if hint else "remove it"
            yield Problem(str(name)[:40], value, message, remedy)


def with_secrets(field: str, value: object, *known: object) -> object:
    """Return a setting in which every mask is replaced by the secret that it stands for.

    A mask counts only where nothing around it was changed: the address to which a secret belongs
    can't be replaced without writing the secret again. What fits several secrets stays a mask.

    Args:
        field: what the setting is called.
        value: what an editor made of the masked setting.
        known: the settings that it was made of, with their secrets.
    """
    meant = [former for former in known if without_secrets(field, former) == value]
    # Of two settings that look the same with masks, the secrets may differ.
    if meant and all(former == meant[0] for former in meant):
        return meant[0]
    if isinstance(value, dict):
        records = [former for former in known if isinstance(former, dict)]
        return {
            name: with_secrets(str(name), inner, *(r[name] for r in records if name in r))
            for name, inner in value.items()
        }
    return value


def has_mask(value: object) -> bool:
    """Tell whether a mask is part of a text or of one in a list."""
    if isinstance(value, list | tuple):
        return any(map(has_mask, value))
    return isinstance(value, str) and MASK in value


def _host_of(address: str) -> str:
    try:
        # Both raise ValueError for texts that are no address.
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    if not parts.hostname:
        return MASK
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = f"{parts.scheme}://{host}{port}"
    return address if address.rstrip("/") == shown else f"{shown}/{MASK}"


def _masked_in_addresses(text: str) -> str:
    return _QUERY.sub(rf"\g<1>{MASK}", _IN_ADDRESS.sub(MASK, text))
