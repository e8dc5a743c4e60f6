"""Runs a job in a worker process of `inspection`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.inspection.job import HeaderJob, TrialJob

if TYPE_CHECKING:
    from engine.inspection.job import Job, Result


def run(job: Job) -> Result:
    """Run a job; problems of the object are in the result, not raised."""
    # Imported here: each kind of job loads only what it needs, so that its process starts fast.
    if isinstance(job, TrialJob):
        from engine.inspection.trial import try_out

        return try_out(job)
    if isinstance(job, HeaderJob):
        from engine.inspection.header_rows import read

        return read(job)
    from engine.inspection.thumbnail import thumbnail

    return thumbnail(job)
