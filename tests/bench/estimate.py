"""What a machine could receive, computed from measured slopes; `python -m tests.bench.estimate`.

It prints the tables of docs/developers/estimate.md, which says where the slopes come from.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

CORES = (1, 16, 64)
NETWORK_MB_PER_SECOND = 1180.0
"""10 GbE: 1250 MB/s less 5.6 % for the heads of Ethernet, IP and TCP with 1500-byte packets."""
MAIN_US = 46.0
"""CPU time of the engine's own process for each object that another process receives."""
FLUSHES = 2
"""For each object with durability `full`: its file, and the folder that it is named in."""
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object."""

    name: str
    megabytes: float


@dataclass(frozen=True, slots=True)
class Path:
    """One way of an object, and the CPU time in microseconds that it costs: CT, MR, small."""

    name: str
    costs_us: tuple[float, float, float]

    def us(self, kind: Kind) -> float:
        """Return the CPU time of one object in microseconds."""
        return self.costs_us[KINDS.index(kind)]

    @property
    def us_per_megabyte(self) -> float:
        """The part that grows with the size: what a CT image costs more than a small object."""
        most, *_, least = KINDS
        return (self.us(most) - self.us(least)) / (most.megabytes - least.megabytes)


@dataclass(frozen=True, slots=True)
class Disk:
    """What a disk does in a second, with many writers side by side."""

    name: str
    flushes: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many objects a second, and what limits them."""

    objects: float
    limit: str


KINDS = (Kind("CT", 0.531), Kind("MR", 0.133), Kind("small", 0.003))
PATHS = (
    Path("plain", (760, 333, 273)),
    Path("script", (4130, 2750, 3460)),
    Path("full", (1520, 1017, 775)),
)
"""Measured in 2026: the least of several runs with 4 associations, on 2 cores with other work."""
DISKS = (
    Disk("spinning disk", 100, 150),
    Disk("SATA SSD", 2_000, 450),
    Disk("NVMe SSD", 10_000, 2_000),
    Disk("NVMe, safe cache", 50_000, 3_000),
)


def by_cores(kind: Kind, path: Path, cores: int) -> Estimate:
    """Return what the processors and 10 GbE admit."""
    found = [
        Estimate(1e6 * cores / (path.us(kind) + (MAIN_US if cores > 1 else 0)), "cores"),
        Estimate(NETWORK_MB_PER_SECOND / kind.megabytes, "network"),
    ]
    # One process writes all rows and keeps all sessions: the part that more cores do not speed up.
    if cores > 1:
        found.append(Estimate(1e6 / MAIN_US, "main process"))
    return min(found, key=lambda each: each.objects)


def by_disk(kind: Kind, disk: Disk) -> Estimate:
    """Return what a disk admits with durability `full`, if flushes are not shared."""
    flushing = Estimate(disk.flushes / FLUSHES, "flushes")
    writing = Estimate(disk.megabytes / kind.megabytes, "bandwidth")
    return min(flushing, writing, key=lambda each: each.objects)


def tables() -> str:
    """Return all tables in Markdown."""
    slopes = _table(
        ("path", *(f"{kind.name}, µs" for kind in KINDS), "of it µs a MB"),
        [
            (path.name, *(_whole(path.us(kind)) for kind in KINDS), _whole(path.us_per_megabyte))
            for path in PATHS
        ],
    )
    cores = _table(
        ("object", "path", *(f"{n} core{'s' * (n > 1)}" for n in CORES), "MB/s", "million a day"),
        [
            _cores_row(kind, path, [by_cores(kind, path, n) for n in CORES])
            for kind in KINDS
            for path in PATHS
        ],
    )
    disks = _table(
        ("disk", "flushes/s", "MB/s", *(kind.name for kind in KINDS)),
        [
            (
                *(disk.name, _whole(disk.flushes), _whole(disk.megabytes)),
                *(_shown(by_disk(kind, disk)) for kind in KINDS),
            )
            for disk in DISKS
        ],
    )
    return f"{slopes}\n\n{cores}\n\n{disks}"


def _cores_row(kind: Kind, path: Path, found: list[Estimate]) -> tuple[str, ...]:
    most = found[-1].objects
    return (
        kind.name,
        path.name,
        *map(_shown, found),
        _whole(most * kind.megabytes),
        _whole(most * _DAY_SECONDS / 1e6),
    )


def _shown(estimate: Estimate) -> str:
    return f"{_whole(estimate.objects)} ({estimate.limit})"


def _whole(number: float) -> str:
    return f"{float(f'{number:.2g}'):,.0f}"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
