"""What is said about a whitelist while it is typed, and about a caller that is tried."""

import pytest

from tui.widgets.whitelist import CallerState, CallerVerdict, caller_verdict, line_verdicts

LINES = ("", "MR_PRISMA", "MR_SKYRA@10.4.7.0/24", "10.4.7.300", "10.4.1.9")


@pytest.mark.parametrize(
    ("lines", "odd"),
    [
        (("CT1", "CT1@10.4.1.9"), (2, "has no effect: line 1 lets in all that it does")),
        (("10.4.1.9", "10.4.1.9/32"), (2, "means the same as line 1")),
        (("0.0.0.0/0",), (1, "matches every IPv4 address")),
        (("10411",), (1, "is an AE title of digits; XNAT reads it as an address")),
        (("10.4.7.300", "0.0.0.0/0"), (2, "matches every IPv4 address")),
        (("A", "A", "A@10.4.1.9"), (3, "has no effect: line 1 lets in all that it does")),
    ],
)
def test_odd_lines_are_noted_among_good_and_bad_ones(
    lines: tuple[str, ...], odd: tuple[int, str]
) -> None:
    found = [(n, v.words) for n, v in enumerate(line_verdicts(lines), 1) if v.state == "odd"]
    assert found == [odd]


def test_a_repeated_line_is_called_that_and_not_a_duplicate() -> None:
    assert [verdict.state for verdict in line_verdicts(("CT1", "CT1"))] == ["good", "repeated"]


@pytest.mark.parametrize(
    ("ae_title", "address", "state", "words"),
    [
        ("MR_SKYRA", "10.4.7.9", "admitted", "admitted by line 3: MR_SKYRA@10.4.7.0/24"),
        ("MR_PRISMA", "2001:db8::1", "admitted", "admitted by line 2: MR_PRISMA"),
        ("ANY", "::ffff:10.4.1.9", "admitted", "admitted by line 5: 10.4.1.9"),
        (
            "MR_SKYRA",
            "10.4.8.9",
            "refused",
            "refused; nearest is line 3: MR_SKYRA@10.4.7.0/24",
        ),
        ("QQ", "1.2.3.4", "refused", "refused; no line is like it"),
        ("", "10.4.7.9", "unknown", "type both: would such a caller be admitted?"),
        ("A", " ", "unknown", "type both: would such a caller be admitted?"),
        ("A" * 17, "1.2.3.4", "wrong", "the AE title is longer than 16 characters (17)"),
        ("A", "10.4.7", "wrong", "10.4.7 is not an address"),
    ],
)
def test_a_caller_that_is_tried_is_decided_by_a_numbered_line(
    ae_title: str, address: str, state: str, words: str
) -> None:
    verdict = caller_verdict(LINES, ae_title, address)
    assert (verdict.state.value, verdict.words) == (state, words)


def test_a_caller_that_needs_its_certificate_too_is_told_so() -> None:
    lines = ["MR1", "CT1@10.4.0.0/16#san:ct1.hospital.example"]
    assert caller_verdict(lines, "CT1", "10.4.1.9") == CallerVerdict(
        CallerState.ADMITTED, f"admitted by line 2 with that certificate: {lines[1]}"
    )
    assert caller_verdict(lines, "CT1", "10.5.1.9").state is CallerState.REFUSED
