"""What a worker process of `inspection` runs: each kind of job loads only what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.inspection.job import HeaderJob, TrialJob

if TYPE_CHECKING:
    from engine.inspection.job import Job, Result


def run(job: Job) -> Result:
    """Do a job; what is wrong with the object is in the result."""
    if isinstance(job, TrialJob):
        from engine.inspection.trial import try_out

        return try_out(job)
    if isinstance(job, HeaderJob):
        from engine.inspection.header_rows import read

        return read(job)
    from engine.inspection.thumbnail import thumbnail

    return thumbnail(job)
