"""What server and clients agree on beside the methods."""

from __future__ import annotations

PREFIX = "/v1"
JSON = "application/json"
VERSION_HEADER = "dicomdock-version"
PROTOCOL_HEADER = "dicomdock-protocol"
"""The fingerprint of the methods and values that the sender knows."""
