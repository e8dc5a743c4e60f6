"""Work on many files: on all cores of this machine, or on a Dask cluster (ADR 0020).

In: files and folders, or URLs of fsspec. Out: what the job makes of each file, and a report with
which an interrupted job goes on. A job is what is done with one file (`anonymizing`). Read
`coordinator` first; `walk` finds the files, `executors` and `cluster` run the job, `places` reads
and writes.
"""
