"""The default site script: it relabels objects as XNAT's does, and removes nothing."""

from __future__ import annotations

from typing import Final

DEFAULT_SITE_SCRIPT: Final = """\
// Files objects under their labels. This is no de-identification: dates, physicians,
// institution, accession number, UIDs and private elements stay as they are.
version "6.1"
project != "Unassigned" ? (0008,1030) := project
(0010,0010) := subject
(0010,0020) := session
"""
"""The three statements of XNAT's default site script."""
