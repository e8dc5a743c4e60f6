"""What is sent in a run, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.sender import Blast
    from tests.bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and how."""

    workload: Workload
    associations: int
    pdu_bytes: int
    """Longest PDU that the sender sends; the receiver's own limit holds as well."""
    scale: float = 1.0
    single: bool = False
    """One association per object."""

    @property
    def objects(self) -> int:
        """How many objects one run sends."""
        return self.workload.count(self.associations, self.scale)


@dataclass(frozen=True, slots=True)
class Run:
    """One receiver in one round."""

    receiver: str
    round: int
    blast: Blast
    cpu_seconds: float
    """Of the receiver, until the work that it queued is done as well."""
    peak_mb: float
    """Of its processes together."""
    stored: int
    """What it kept, counted after it was stopped."""

    @property
    def objects_per_second(self) -> float:
        """The rate of confirmed objects."""
        return self.blast.objects / self.blast.seconds

    @property
    def mb_per_second(self) -> float:
        """The rate of data set bytes, in megabytes."""
        return self.blast.bytes / self.blast.seconds / 1e6

    @property
    def cpu_seconds_per_gb(self) -> float:
        """What a gigabyte costs the receiver."""
        return self.cpu_seconds / (self.blast.bytes / 1e9)

    @property
    def cpu_us_per_object(self) -> float:
        """What an object costs the receiver, in microseconds."""
        return 1e6 * self.cpu_seconds / self.blast.objects

    @property
    def sender_us_per_object(self) -> float:
        """What an object costs the sender, in microseconds."""
        return 1e6 * self.blast.sender_cpu_seconds / self.blast.objects


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A run that does not count."""

    receiver: str
    round: int
    trouble: str


def judged(run: Run, case: Case) -> Run | Spoilt:
    """Let a run count if every object was confirmed, and kept."""
    confirmed = run.blast.objects
    if run.blast.failure or confirmed < case.objects:
        trouble = f"{confirmed} of {case.objects} objects confirmed: {run.blast.failure}"
    elif run.stored != confirmed:
        trouble = f"{confirmed} objects confirmed, {run.stored} stored"
    else:
        return run
    return Spoilt(run.receiver, run.round, trouble)
