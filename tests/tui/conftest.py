"""What tests of the console get: fewer searches for garbage, of which an application is full."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_OBJECTS_BEFORE_A_SEARCH = 100_000
"""A hundred times the usual: the searches took a quarter of the time of these tests."""


@pytest.fixture(autouse=True)
def _fewer_searches_for_garbage() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS_BEFORE_A_SEARCH, *usual[1:])
    yield
    gc.set_threshold(*usual)
