"""What counts as an IP address of this host in settings and in unit files."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

SCOPE: Final = re.compile(r"[0-9A-Za-z._-]{1,15}")
"""A network interface, by name or number."""


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address, with a scope such as ``%eth0`` or none."""
    _, percent, scope = text.partition("%")
    if percent and not SCOPE.fullmatch(scope):
        return False  # `ip_address` allows any text there, line breaks included
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
