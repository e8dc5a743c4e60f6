"""Text for the screen: nothing invisible, nothing too wide, numbers as people read them."""

from datetime import timedelta

import pytest
from rich.cells import cell_len

from tests.fakes import NOW
from tui.text import (
    age,
    count,
    cut,
    cut_middle,
    duration,
    exact_size,
    fit,
    megabytes,
    moment,
    safe,
    size,
    size_in,
    sparkline,
    sparkrows,
)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("CT_SCANNER_1", "CT_SCANNER_1"),
        ("\x1b[2J", "␛[2J"),
        ("a\r\nb\tc", "a␍␊b␉c"),
        ("\x7f", "␡"),
        ("\x9b31m", "⟨009B⟩31m"),
        ("abc\u202edcba", "abc⟨202E⟩dcba"),
        ("zero\u200bwidth", "zero⟨200B⟩width"),
        ("soft\u00adhyphen", "soft⟨00AD⟩hyphen"),
        ("\udce9", "⟨DCE9⟩"),
        ("\u2028", "⟨2028⟩"),
        ("a\ufe0f", "a⟨FE0F⟩"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("Müller^Jürgen", "Müller^Jürgen"),
        ("山田", "山田"),
    ],
)
def test_invisible_and_steering_characters_are_shown_as_what_they_are(
    hostile: str, shown: str
) -> None:
    assert safe(hostile) == shown


def test_a_pile_of_combining_marks_does_not_grow_out_of_its_cell() -> None:
    assert safe("e" + "\u0301" * 5) == "e\u0301\u0301" + "⟨0301⟩" * 3


@pytest.mark.parametrize("text", ["CT", "CT_SCANNER_NUMBER_1", "山田太郎先生", "", "a\u0301" * 20])
@pytest.mark.parametrize("width", [1, 2, 7, 16])
def test_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width


def test_names_that_begin_alike_are_cut_in_their_middle() -> None:
    uid = "1.2.826.0.1.3680043.8.498.101-0007.dcm"
    assert cut_middle(uid, 16) == "1.2.…01-0007.dcm"
    assert fit("日" * 9, 10, middle=True) == "日…日日日 "
    assert [cut_middle("ab", 2), cut_middle("abc", 2), cut_middle("abc", 0)] == ["ab", "a…", ""]


def test_a_cut_text_ends_with_an_ellipsis_and_never_splits_a_wide_character() -> None:
    assert cut("山田太郎", 6) == "山田…"
    assert cut("MR_RESEARCH", 6) == "MR_RE…"
    assert cut("MR", 0) == ""


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "2 kB"), (61_800_000, "61.8 MB"), (13.4e9, "13.4 GB")],
)
def test_sizes_have_the_unit_that_keeps_them_short(size_bytes: float, shown: str) -> None:
    assert size(size_bytes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (41, "41 s"), (125, "2 min 05 s"), (11_100, "3 h 05 min"), (180_000, "2 d 2 h")],
)
def test_durations_have_at_most_two_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_numbers_are_grouped() -> None:
    assert count(48211) == "48,211"
    assert megabytes(31_600_000) == "31.6"


def test_a_time_today_is_shown_as_such_and_an_older_one_by_its_age() -> None:
    assert age(NOW, NOW) == "14:03:22"
    assert age(NOW - timedelta(days=2), NOW) == "2d ago"
    assert age(None, NOW) == "never"
    assert moment(NOW - timedelta(days=1), NOW) == "2026-08-23 14:03"


def test_a_chart_has_its_newest_second_at_the_right_and_one_scale() -> None:
    assert sparkrows((0, 4, 8), 3, 1, 8) == [" ▄█"]
    assert sparkline((0, 1, 4, 8, 9), 5, 8) == " ▁▄▇▇"  # lines below each other stay apart
    assert sparkrows((0, 4, 8), 2, 2, 8) == [" █", "██"]
    assert sparkrows((), 3, 1, 8) == [""]
    assert sparkrows((1, 1), 2, 1, 0) == ["  "]


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (12345, "12345 B"), (20_000, "20 kB"), (16_384, "16 KiB"), (2**28, "256 MiB"),
     (500_000_000, "500 MB"), (2**50, "1 PiB")],
)  # fmt: skip
def test_a_size_is_shown_exactly_and_read_back(size_bytes: int, words: str) -> None:
    assert exact_size(size_bytes) == words
    assert size_in(f" {words.replace(' ', '').lower()} ") == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "5 XB", "-5", "1.5 GB", "\u0665 MB", "5 M B"])
def test_what_is_no_size_stays_text(text: str) -> None:
    assert size_in(text) == text
