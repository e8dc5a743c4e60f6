"""The bars: how many times as fast as each peer dicomdock must be, and what else it must keep to.

A ratio holds for durability `none` on a tmpfs, except the one for `full`, which holds on a disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.report import Summary
    from tests.bench.runs import Case

_RATIOS: dict[str, dict[str, tuple[float, ...]]] = {
    "ct": {
        "storescp-best": (0.95, 1.0, 0.9),
        "storescp": (1.3, 2.0, 1.7),
        "orthanc": (6, 6, 5),
        "pynetdicom": (7, 7, 13),
    },
    "mr": {
        "storescp-best": (0.9, 0.75, 0.7),
        "storescp": (1.2, 2.0, 1.4),
        "orthanc": (5, 5.5, 4),
        "pynetdicom": (11, 8, 8),
    },
    "small": {
        "storescp-best": (0.8, 0.5, 0.5),
        "storescp": (1.6, 2.6, 2.2),
        "orthanc": (10, 9, 7),
        "pynetdicom": (14, 9, 6),
    },
    "j2k": {
        "storescp-best": (0.9, 0.65, 0.7),
        "storescp": (1.6, 2.0, 1.7),
        "orthanc": (8, 6, 5),
        "pynetdicom": (10, 8, 12),
    },
    "large": {
        "storescp-best": (1.4, 1.0),
        "storescp": (2.6, 3.0),
        "orthanc": (8, 4),
        "pynetdicom": (3.5, 4.5),
    },
    "single": {
        "storescp-best": (1.5, 1.5),
        "storescp": (0.5, 0.5),
        "orthanc": (1.2, 0.8),
        "pynetdicom": (15, 15),
    },
}
_ASSOCIATIONS = (1, 4, 16)
_SCRIPT_RATIOS = {"storescp": 0.8, "orthanc": 2.0}
"""With a script of 20 edits, beside peers that do nothing to what they store: CT, four
associations."""
_DISK_LIMIT_RATIO = 0.95
"""Of what the disk allows, with durability `full`."""
LARGE_PEAK_MB = 220.0
"""Of all processes of the engine, four of which receive."""
CT_P99_MS = 8.0


def ratio_bar(case: Case, peer: str, durability: str) -> float | None:
    """Return how many times as fast as a peer dicomdock must be; None if that is not said."""
    if case.associations not in _ASSOCIATIONS:
        return None
    if durability != "none":
        is_barred = durability == "full" and peer == "disk-limit" and not case.single
        return _DISK_LIMIT_RATIO if is_barred else None
    bars = _RATIOS["single" if case.single else case.workload.name].get(peer, ())
    place = _ASSOCIATIONS.index(case.associations)
    return bars[place] if place < len(bars) else None


def script_bar(case: Case, peer: str, durability: str) -> float | None:
    """Return how many times as fast as a peer dicomdock must be while it runs a script."""
    is_ct_4 = case.workload.name == "ct" and case.associations == 4 and not case.single
    return _SCRIPT_RATIOS.get(peer) if is_ct_4 and durability == "none" else None


def missed_limits(case: Case, ours: Summary) -> list[str]:
    """Return what dicomdock should keep to by itself and does not, in words."""
    missed = []
    if case.workload.name == "large" and ours.peak_mb >= LARGE_PEAK_MB:
        missed.append(f"peak memory {ours.peak_mb:.0f} MB, bar < {LARGE_PEAK_MB:.0f} MB")
    is_ct_4 = case.workload.name == "ct" and case.associations == 4
    if is_ct_4 and ours.p99_ms > CT_P99_MS:
        missed.append(f"p99 {ours.p99_ms:.1f} ms, bar ≤ {CT_P99_MS:.0f} ms")
    return missed
