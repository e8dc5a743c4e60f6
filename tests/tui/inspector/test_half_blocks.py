"""Pixels in cells, windows by name and by hand."""

import pytest

from engine.api.objects import Thumbnail, Window
from tui.inspector.image import (
    CT_WINDOWS,
    OWN,
    Blocks,
    half_blocks,
    image_words,
    moved,
    window_words,
    windows_for,
)

BLACK, GREY, RED = (0, 0, 0), (128, 128, 128), (255, 0, 0)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Thumbnail(2, 2, 1, bytes([0, 0, 128, 128])), [[Blocks(2, BLACK, GREY)]]),
        (
            Thumbnail(2, 3, 1, bytes([0, 128, 0, 128, 0, 0])),
            [[Blocks(1, BLACK, BLACK), Blocks(1, GREY, GREY)], [Blocks(2, BLACK, None)]],
        ),
        (Thumbnail(1, 2, 3, bytes([255, 0, 0, 0, 0, 0])), [[Blocks(1, RED, BLACK)]]),
        (Thumbnail(1, 2, 3, b"\xff"), [[Blocks(1, BLACK, BLACK)]]),
        (Thumbnail(), []),
    ],
)
def test_two_rows_of_pixels_make_one_line(image: Thumbnail, expected: list[list[Blocks]]) -> None:
    assert half_blocks(image) == expected


def test_only_a_ct_has_windows_by_name() -> None:
    assert windows_for("CT Image Storage") == (OWN, *CT_WINDOWS)
    assert windows_for("MR Image Storage") == (OWN,)


@pytest.mark.parametrize(
    ("centre", "width", "expected"),
    [
        (1, 0, Window(48, 80)),
        (-1, 0, Window(32, 80)),
        (0, 1, Window(40, 88)),
        (0, -1, Window(40, 72)),
    ],
)
def test_a_window_moves_in_steps_of_its_width(centre: int, width: int, expected: Window) -> None:
    assert moved(Window(40, 80), centre, width) == expected


def test_a_window_never_becomes_narrower_than_one_value() -> None:
    assert moved(Window(0, 1), 0, -5).width == 1


def test_size_frame_and_window_are_said() -> None:
    image = Thumbnail(
        1, 1, 1, b"\0", frame=2, frames=9, columns=512, rows=256, window=Window(4.5, 80)
    )
    assert image_words(image) == "frame 2/9   512×256"
    assert window_words(image, "brain") == "brain W80 C4.5"
    assert window_words(Thumbnail(samples=3), "own") == "colours"
