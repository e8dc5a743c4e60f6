"""What a mask hides, and what it leaves."""

from __future__ import annotations

import pytest

from engine.app.support_bundle import Mask

MASK = Mask(b"key")


def test_the_same_text_has_the_same_hash_under_one_key_only() -> None:
    assert MASK.hashed("anna") == MASK.hashed("anna") != MASK.hashed("bert")
    assert Mask(b"other").hashed("anna") != MASK.hashed("anna")
    assert MASK.hashed("") == ""
    assert MASK.place("10.1.2.3:104") == f"{MASK.hashed('10.1.2.3')}:104"
    assert MASK.place("fe80::1") == MASK.hashed("fe80::1")


def test_of_settings_only_known_texts_are_left() -> None:
    record = {
        "ae_title": "CT1",
        "port": 104,
        "whitelist": ["CT1@10.1.0.0/16"],
        "site_routing": "(0010,0020):(.*)\n(0010,0010):(.*)",
        "identifier_settings": {"subject": "Geheim", "number": 7},
        "new_field": "Geheim",
        "tls_key": None,
    }
    masked = MASK.settings(record)
    assert isinstance(masked, dict)
    assert (masked["ae_title"], masked["port"], masked["tls_key"]) == ("CT1", 104, None)
    assert masked["site_routing"].endswith("(2 lines)")
    assert masked["identifier_settings"] == {
        "subject": MASK.hashed("Geheim"),
        "number": MASK.hashed("7"),
    }
    assert "Geheim" not in str(masked)
    assert "10.1" not in str(masked)


def test_an_event_keeps_its_sentence_without_addresses_uids_and_logins() -> None:
    record: dict[str, object] = {
        "kind": "ConfigurationApplied",
        "by": "anna from 10.9.8.7",
        "message": "applied, changed by anna from 10.9.8.7, at 1.2.840.113619.2.55 [fe80::1]:104",
        "receiver": "XNAT:8104",
        "revision": 3,
        "nothing": None,
    }
    masked = MASK.event(record)
    assert (masked["receiver"], masked["revision"], masked["nothing"]) == ("XNAT:8104", 3, None)
    for secret in ("anna", "10.9.8.7", "1.2.840", "fe80"):
        assert secret not in str(masked)
    assert "applied, changed by #" in str(masked["message"])


@pytest.mark.parametrize(
    "text", ["rejected (1/1/7)", "took 1.5 s", "engine 0.1.0 started", "at 12:30:15", "A-0412"]
)
def test_other_numbers_stay(text: str) -> None:
    assert MASK.text(text) == text
