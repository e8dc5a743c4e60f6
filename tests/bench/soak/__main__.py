"""`python -m tests.bench.soak`."""

from __future__ import annotations

import sys

from tests.bench.soak.cli import main

sys.exit(main())
