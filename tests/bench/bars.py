"""The bars: how many times as fast as each peer dicomdock must be, and what else it must keep to.

A ratio holds for durability `none` on a tmpfs, except the one for `full`, which holds on a disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.report import Summary
    from tests.bench.runs import Case

_RATIOS: dict[str, dict[str, tuple[float, ...]]] = {
    "ct": {"storescp": (1.2, 1.7, 1.5), "orthanc": (5, 5, 4), "pynetdicom": (7, 7, 13)},
    "mr": {"storescp": (1.0, 1.4, 0.9), "orthanc": (4.5, 4, 2.5), "pynetdicom": (11, 8, 8)},
    "small": {"storescp": (1.1, 1.4, 0.9), "orthanc": (7, 5, 3.5), "pynetdicom": (14, 9, 6)},
    "j2k": {"storescp": (1.3, 2.0, 1.5), "orthanc": (6, 6, 5), "pynetdicom": (10, 8, 12)},
    "large": {"storescp": (1.6, 2.3), "orthanc": (8, 3.5), "pynetdicom": (3.5, 4.5)},
    "single": {"orthanc": (0.6, 0.4), "pynetdicom": (15, 15)},
}
_ASSOCIATIONS = (1, 4, 16)
_SCRIPT_RATIO = 1.0
"""With a script of 20 edits, beside Orthanc without any: CT, four associations."""
_FULL_RATIO = 3.0
LARGE_PEAK_MB = 110.0
CT_P99_MS = 8.0


def ratio_bar(case: Case, peer: str, durability: str) -> float | None:
    """Return how many times as fast as a peer dicomdock must be; None if that is not said."""
    if case.associations not in _ASSOCIATIONS:
        return None
    if durability != "none":
        return _FULL_RATIO if peer == "orthanc" and not case.single else None
    bars = _RATIOS["single" if case.single else case.workload.name].get(peer, ())
    place = _ASSOCIATIONS.index(case.associations)
    return bars[place] if place < len(bars) else None


def script_bar(case: Case, peer: str, durability: str) -> float | None:
    """Return how many times as fast as a peer dicomdock must be while it runs a script."""
    is_ct_4 = case.workload.name == "ct" and case.associations == 4 and not case.single
    return _SCRIPT_RATIO if is_ct_4 and peer == "orthanc" and durability == "none" else None


def missed_limits(case: Case, ours: Summary) -> list[str]:
    """Return what dicomdock should keep to by itself and does not, in words."""
    missed = []
    if case.workload.name == "large" and ours.peak_mb >= LARGE_PEAK_MB:
        missed.append(f"peak memory {ours.peak_mb:.0f} MB, bar < {LARGE_PEAK_MB:.0f} MB")
    is_ct_4 = case.workload.name == "ct" and case.associations == 4
    if is_ct_4 and ours.p99_ms > CT_P99_MS:
        missed.append(f"p99 {ours.p99_ms:.1f} ms, bar ≤ {CT_P99_MS:.0f} ms")
    return missed
