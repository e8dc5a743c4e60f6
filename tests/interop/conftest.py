"""One engine for all that a module only throws at it; its clock goes on between two tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.peers.dock import Dock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=[0, 2], ids=["one process", "receiving processes"])
def _lasting_dock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dock]:
    own = {"receiving_processes": request.param}
    with Dock(tmp_path_factory.mktemp("lasting") / "data", own) as dock:
        yield dock


@pytest.fixture
def same_dock(_lasting_dock: Dock) -> Iterator[Dock]:
    """Give an engine that other tests of the module have used and will use."""
    with _lasting_dock.lent() as dock:
        yield dock
