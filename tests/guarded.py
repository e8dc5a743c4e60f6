"""Shows whether a lock is held wherever what it guards is touched.

It needs no second thread and no luck: a touch without the lock is a fault, whoever comes between.
"""

from __future__ import annotations

from _thread import LockType
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def guarded(owner: object, *fields: str, by: object) -> Iterator[None]:
    """Require within the block that a lock is held at every touch of some fields of an object.

    Each field has to be touched at least once, so that a field of another name is noticed.

    Args:
        owner: whose fields they are; every thread's touches count.
        fields: their names.
        by: the lock, or a condition.
    """
    kind = type(owner)
    touched: set[str] = set()
    unguarded: set[str] = set()

    def note(name: str) -> None:
        if name in fields:
            touched.add(name)
            if not _is_held(by):
                unguarded.add(name)

    class Guarded(kind):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            note(name)
            return super().__getattribute__(name)

        def __setattr__(self, name: str, value: object) -> None:
            note(name)
            super().__setattr__(name, value)

    owner.__class__ = Guarded
    try:
        yield
    finally:
        owner.__class__ = kind
    assert unguarded == set(), "these were touched without the lock"
    assert touched == set(fields), "the others were not touched"


def _is_held(lock: Any) -> bool:
    return bool(lock.locked() if isinstance(lock, LockType) else lock._is_owned())
