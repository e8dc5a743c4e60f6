"""What a C-STORE status means for whoever sends."""

from __future__ import annotations

import pytest

from engine.dimse.commands import RetryDecision, is_peer_full, retry_decision, status_in_words

DONE, RETRY, GIVE_UP = RetryDecision.DONE, RetryDecision.RETRY, RetryDecision.GIVE_UP


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (0x0000, DONE, "0x0000 (success)"),
        (0xB000, DONE, "0xB000 (stored with a warning)"),
        (0xB006, DONE, "0xB006 (stored with a warning)"),
        (0xB007, DONE, "0xB007 (stored with a warning)"),
        (0x0107, DONE, "0x0107 (stored with a warning)"),
        (0xA700, RETRY, "0xA700 (out of resources)"),
        (0xA702, RETRY, "0xA702 (out of resources)"),
        (0x0110, RETRY, "0x0110 (processing failure)"),
        (0x0213, RETRY, "0x0213 (out of resources)"),
        (0xFE00, RETRY, "0xFE00 (cancelled)"),
        (0xC000, RETRY, "0xC000 (cannot understand)"),
        (0xC123, RETRY, "0xC123 (cannot understand)"),
        (0x1234, RETRY, "0x1234 (unknown status)"),
        (0xA900, GIVE_UP, "0xA900 (data set does not match its SOP class)"),
        (0x0111, GIVE_UP, "0x0111 (it has the SOP instance with other content)"),
        (0x0117, GIVE_UP, "0x0117 (an invalid SOP instance UID)"),
        (0x0122, GIVE_UP, "0x0122 (the SOP class is not supported)"),
        (0x0124, GIVE_UP, "0x0124 (not authorized)"),
    ],
)
def test_every_kind_of_status_has_a_verdict_and_words(
    status: int, verdict: RetryDecision, words: str
) -> None:
    assert retry_decision(status) is verdict
    assert status_in_words(status) == words


def test_a_full_peer_is_known_by_its_status() -> None:
    assert [s for s in (0xA700, 0xA7FF, 0x0213, 0x0110, 0xC000, 0xA900) if is_peer_full(s)] == [
        *(0xA700, 0xA7FF, 0x0213)
    ]
