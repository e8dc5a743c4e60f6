"""Secrets are never shown; what only names a place or a file is."""

from __future__ import annotations

import pytest

from engine.model.secrets import MASK, is_secret, without_secrets


@pytest.mark.parametrize(
    ("field", "secret"),
    [
        ("password", True),
        ("webhook.api_token", True),
        ("control.apiKey", True),
        ("client-secret", True),
        ("tls.private_key", True),
        ("tls.key", False),
        ("token_file", False),
        ("tokenizer", False),
        ("passphrase", True),
        ("whitelist", False),
    ],
)
def test_a_name_tells_whether_a_setting_is_secret(field: str, secret: bool) -> None:
    assert is_secret(field) is secret


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("password", "x", MASK),
        ("password", "", ""),
        ("password", None, None),
        ("tokens", ("a", "b"), MASK),
        ("hook", {"url": "https://h", "token": "x"}, {"url": "https://h", "token": MASK}),
        ("hooks", [{"token": "x"}], [{"token": MASK}]),
        ("url", "https://anna:x@host/path", f"https://{MASK}@host/path"),
        ("url", "https://host/a@b", "https://host/a@b"),
        ("port", 8104, 8104),
    ],
)
def test_a_secret_is_masked_wherever_it_is(field: str, value: object, shown: object) -> None:
    assert without_secrets(field, value) == shown
