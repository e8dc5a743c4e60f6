"""Runs the `dicomdock` command as `python -m tui`."""

from __future__ import annotations

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # `-m` puts the current directory there, whose files may be anybody's

from tui.cli import main

sys.exit(main())
