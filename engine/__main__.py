"""`python -m engine`: the engine's commands without the console."""

from __future__ import annotations

import sys

from engine.cli import main

sys.exit(main())
