"""Where metrics are read over HTTP: on this machine only, for nobody is asked who he is."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

from engine.errors import ConfigurationError, Problem

_PLACE = re.compile(r"(?:(\[[0-9a-fA-F:]+\]|[0-9.]+|localhost):)?([0-9]{1,5})")


class MetricsAddress(NamedTuple):
    """Where the metrics are read."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> MetricsAddress:
        """Read ``127.0.0.1:9404``, ``[::1]:9404`` or a port alone.

        Raises:
            ConfigurationError: if it is none of these, or not on the loopback.
        """
        found = _PLACE.fullmatch(text)
        if not found or not int(found[2]) <= 65535:
            raise _wrong(text, "is no address with a port", "use such as 127.0.0.1:9404")
        name = (found[1] or "127.0.0.1").strip("[]")
        try:
            address = ip_address("127.0.0.1" if name == "localhost" else name)
        except ValueError as error:
            raise _wrong(text, "is no address", "use such as 127.0.0.1:9404") from error
        if not address.is_loopback:
            remedy = "listen on 127.0.0.1 behind a proxy that asks who is there"
            raise _wrong(text, "is not on the loopback, and anybody could read there", remedy)
        return cls(str(address), int(found[2]))


def _wrong(text: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem("metrics", text[:60], message, remedy))
