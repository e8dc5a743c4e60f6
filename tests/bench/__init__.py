"""The benchmark: dicomdock and its peers side by side on this machine; `python -m tests.bench`.

`workloads` makes the objects and `tape` the bytes that carry them; `receivers` says how each
receiver is started, `blaster.c` sends to it, `rounds` interleaves the runs, and `report` turns them
into medians and ratios, which `bars` compares with what is wanted.
"""
