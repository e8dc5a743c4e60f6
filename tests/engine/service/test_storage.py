"""What an engine opens in its data directory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from engine.service.storage import open_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_link", [True, False], ids=["a link", "a file"])
def test_a_folder_that_was_replaced_after_the_check_is_not_opened(
    tmp_path: Path, is_link: bool
) -> None:
    place = tmp_path / "prearchive"
    if is_link:
        place.symlink_to(tmp_path)
    else:
        place.touch()
    with ExitStack() as resources, pytest.raises(NotADirectoryError):
        open_tree(place, resources)
