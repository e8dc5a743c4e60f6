"""Which folders sessions have or are about to get; inside a transaction that stays so.

The disk does not tell: a session has its row before its folder, and its plan before it moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_CLAIMED = (
    "SELECT 1 FROM sessions WHERE folder = ?1 AND id IS NOT ?2"
    " UNION ALL SELECT 1 FROM operations WHERE plan IS NOT NULL AND session IS NOT ?2"
    " AND json_extract(plan, '$.folder') = ?1 LIMIT 1"
)


def is_claimed(connection: sqlite3.Connection, folder: str, but: int | None = None) -> bool:
    """Tell whether a folder is a session's, or will be once its plan is carried out.

    Args:
        connection: the index.
        folder: relative to its area; no two areas have one of the same name.
        but: a session that does not count.
    """
    return connection.execute(_CLAIMED, (folder, but)).fetchone() is not None
