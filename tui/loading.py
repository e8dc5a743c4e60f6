"""Loading code without collecting garbage meanwhile."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loading() -> Iterator[None]:
    """Hold off collections while modules are imported and what stays is built.

    Nothing of it is garbage, but all of it would be looked through again and again; afterwards
    it counts as there for good, so that no later collection holds the screen for it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
