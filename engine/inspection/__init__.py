"""Headers, images and script trials of single objects, read in a process of their own.

In: a file or a header, as a job of `job`. Out: rows of elements, a small image, or what a script
changed; nothing is masked yet (`engine.queries.objects` does that). Read `job` first, then `run`.
"""
