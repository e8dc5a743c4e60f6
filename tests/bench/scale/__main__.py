"""`python -m tests.bench.scale`."""

from __future__ import annotations

import sys

from tests.bench.scale.cli import main

sys.exit(main())
