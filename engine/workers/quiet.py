"""Set-up that all worker processes share: no output to the terminal, no signals from it."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from contextlib import suppress
from pathlib import Path


def detach_from_terminal() -> None:
    """Leave the terminal and its signals to the parent; what libraries print may be values."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    os.umask(0o077)
    # One object at a time needs one thread; NumPy's library reserves memory for each of all cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with suppress(OSError):  # where memory is short, it is a worker that ends
        Path("/proc/self/oom_score_adj").write_text("500")
    logging.disable()
    warnings.simplefilter("ignore")
