"""Which settings are secrets, and how they are shown; pure."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "••••••••"
_SECRET: Final = re.compile(
    r"(^|_)(secret|token|password|passwd|passphrase|credential|credentials|authorization|"
    r"api_?key|private_key|access_key|signing_key)s?(_|$)",
    re.IGNORECASE,
)
_LOCATION: Final = re.compile(r"_(file|path|name)$", re.IGNORECASE)
_IN_ADDRESS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def is_secret(field: str) -> bool:
    """Tell whether a setting, such as ``webhook.api_token``, is one that is never shown."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field.rpartition(".")[2])
    return bool(_SECRET.search(name.replace("-", "_"))) and not _LOCATION.search(name)


def without_secrets(field: str, value: object) -> object:
    """Return a setting with every secret in it masked, also that of members and of addresses."""
    if value in (None, "", (), []):
        return value
    if is_secret(field):
        return MASK
    if isinstance(value, dict):
        return {name: without_secrets(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_secrets(field, inner) for inner in value)
    return _IN_ADDRESS.sub(MASK, value) if isinstance(value, str) else value
