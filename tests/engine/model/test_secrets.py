"""Secrets are never shown; what only names a place or a file is."""

from __future__ import annotations

import pytest

from engine.model.secrets import MASK, has_mask, is_secret, with_secrets, without_secrets


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
        ("parameters.arguments", True),
        ("arguments_allowed", False),
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
        ("url", "see https://host/a?key=x too", f"see https://host/a?{MASK} too"),
        ("what", "why? because", "why? because"),
        ("webhook", "https://anna:x@host:8443/hooks/T0KEN?a=b", f"https://host:8443/{MASK}"),
        ("webhook", "https://anna:x@host", f"https://host/{MASK}"),
        ("webhook", "https://host", "https://host"),
        ("webhook", "https://host/", "https://host/"),
        ("webhook", "http://[::1]:80/x", f"http://[::1]:80/{MASK}"),
        ("webhook", "https://host:99999/x", MASK),
        ("webhook", "T0KEN", MASK),
        ("webhook", f"https://host/{MASK}", f"https://host/{MASK}"),
        ("command", ("/bin/page", "-p", "x"), ("/bin/page", MASK)),
        ("command", ["/bin/page", MASK], ["/bin/page", MASK]),
        ("command", ("/bin/page",), ("/bin/page",)),
        ("arguments", "-p\nx", MASK),
        (
            "alerts.targets",
            ({"name": "ops", "webhook": "https://host/T0KEN", "command": []},),
            ({"name": "ops", "webhook": f"https://host/{MASK}", "command": []},),
        ),
        ("port", 8104, 8104),
    ],
)
def test_a_secret_is_masked_wherever_it_is(field: str, value: object, shown: object) -> None:
    assert without_secrets(field, value) == shown


HOOK = "https://anna:x@host/T0KEN"
OTHER = "https://host/another"


@pytest.mark.parametrize(
    ("field", "value", "known", "meant"),
    [
        ("token", MASK, ("x",), "x"),
        ("token", "y", ("x",), "y"),
        ("token", MASK, (), MASK),
        ("webhook", f"https://host/{MASK}", (HOOK,), HOOK),
        ("webhook", f"https://evil/{MASK}", (HOOK,), f"https://evil/{MASK}"),
        ("webhook", f"https://host/{MASK}", (HOOK, OTHER), f"https://host/{MASK}"),
        ("webhook", f"https://host/{MASK}", (HOOK, HOOK), HOOK),
        ("command", ["/bin/page", MASK], (["/bin/page", "a", "b"],), ["/bin/page", "a", "b"]),
        ("command", ["/bin/evil", MASK], (["/bin/page", "a"],), ["/bin/evil", MASK]),
        (
            "target",
            {"name": "new", "webhook": f"https://host/{MASK}"},
            ({"name": "old", "webhook": HOOK},),
            {"name": "new", "webhook": HOOK},
        ),
    ],
)
def test_a_mask_stands_for_the_secret_that_it_hides_and_for_no_other_place(
    field: str, value: object, known: tuple[object, ...], meant: object
) -> None:
    assert with_secrets(field, value, *known) == meant


def test_a_mask_is_found_in_texts_and_lists() -> None:
    assert has_mask(f"https://host/{MASK}")
    assert has_mask(("/bin/page", MASK))
    assert not has_mask(("/bin/page", "-p", 7))
