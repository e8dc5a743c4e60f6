"""Where metrics may be read."""

from __future__ import annotations

import pytest

from engine.errors import ConfigurationError
from engine.model.peer import MetricsAddress


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1:9404", "127.0.0.1", 9404),
        ("localhost:9404", "127.0.0.1", 9404),
        ("[::1]:9404", "::1", 9404),
        ("9404", "127.0.0.1", 9404),
        ("127.8.8.8:0", "127.8.8.8", 0),
    ],
)
def test_addresses_of_this_machine_are_taken(text: str, address: str, port: int) -> None:
    assert MetricsAddress.parse(text) == (address, port)


@pytest.mark.parametrize(
    "text", ["", "0.0.0.0:9404", "[::]:9404", "10.0.0.1:1", "host:1", "127.0.0.1", "1.2:3", "70000"]
)
def test_others_are_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MetricsAddress.parse(text)
    assert caught.value.remedy
