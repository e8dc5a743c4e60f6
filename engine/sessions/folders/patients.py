"""Tells in words that the objects of one study name different patients, without naming them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from engine.events import counted
from engine.storage.scans import natural_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.storage.scans import Scan, StoredObject

# PS3.5 6.2: carets divide a name, = its spellings. Systems write the parts with blanks and commas,
# too.
_BETWEEN_PARTS = re.compile(r"[\s^,=]+")
_MOST_SCANS = 10


def conflicting_patients(scans: Sequence[Scan]) -> str:
    """Return that there are several patients, and in which scans; empty if there is one.

    Letter case, blanks, and how a name is divided do not count. Nor does a value that is missing:
    a script may have removed it from some objects.
    """
    ids: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for scan in scans:
        for stored in scan.objects:
            ids[stored.patient_id.strip().casefold()] += 1
            names[_plain(stored.patient_name)] += 1
    del ids[""], names[""]
    differing = [
        counted(len(found), words)
        for found, words in ((ids, "Patient ID"), (names, "name"))
        if len(found) > 1
    ]
    if not differing:
        return ""
    usual = {found.most_common(1)[0][0] for found in (ids, names) if found}
    others = [scan.id for scan in scans if any(_is_other(o, usual) for o in scan.objects)]
    shown = ", ".join(sorted(others, key=natural_order)[:_MOST_SCANS])
    more = ", …" if len(others) > _MOST_SCANS else ""
    number = max(len(ids), len(names))
    patients = "two patients" if number == 2 else f"{number} patients"
    return (
        f"{patients} in one study: {' and '.join(differing)}; most objects are of one of them,"
        f" others are in scan {shown}{more}"
    )


def _is_other(stored: StoredObject, usual: set[str]) -> bool:
    values = (stored.patient_id.strip().casefold(), _plain(stored.patient_name))
    return any(value and value not in usual for value in values)


def _plain(name: str) -> str:
    return _BETWEEN_PARTS.sub(" ", name).strip().casefold()
