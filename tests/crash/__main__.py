"""`python -m tests.crash cuts SCENARIO STATES SEED`, or `faults OPERATION TRIES SEED`.

The process has been started with `calls.preloaded`. It prints the faults that it found, and at the
end how much was tried; its exit code says whether there were faults.
"""

from __future__ import annotations

import logging
import sys

from tests.crash.calls import Calls
from tests.crash.cuts import try_states
from tests.crash.sweep import try_faults


def main(kind: str, name: str, wanted: int, seed: int) -> int:
    logging.disable()
    attempt = {"cuts": try_states, "faults": try_faults}[kind]
    faults, tried = attempt(Calls(), name, wanted, seed)
    print(*faults, tried, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
