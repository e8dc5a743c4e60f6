"""Where metrics may be read."""

from __future__ import annotations

import pytest

from engine.errors import ConfigurationError
from engine.model.peer import MetricsAddress, metrics_networks


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1:9404", "127.0.0.1", 9404),
        ("localhost:9404", "127.0.0.1", 9404),
        ("[::1]:9404", "::1", 9404),
        ("9404", "127.0.0.1", 9404),
        ("127.8.8.8:0", "127.8.8.8", 0),
        ("0.0.0.0:9404", "0.0.0.0", 9404),
        ("[::]:9404", "::", 9404),
    ],
)
def test_addresses_are_taken(text: str, address: str, port: int) -> None:
    assert MetricsAddress.parse(text) == (address, port)
    assert MetricsAddress.parse(text).is_loopback == (address in {"127.0.0.1", "127.8.8.8", "::1"})


@pytest.mark.parametrize("text", ["", "[::1]", "host:1", "127.0.0.1", "1.2:3", "70000"])
def test_others_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MetricsAddress.parse(text)
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "10.1.2.3/24", "host", "10.1.2.0/33"])
def test_what_is_no_network_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no network|has bits behind") as caught:
        metrics_networks(["10.0.0.7", text])
    assert caught.value.remedy == "use such as 10.1.2.0/24"
