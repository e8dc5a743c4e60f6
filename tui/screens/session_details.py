"""What copying a session yields: lines and values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tui.forms.session_words import history_lines, name_of, session_facts
from tui.text import count, fit, safe, size
from tui.widgets.row_details import LABEL_WIDTH, Details
from tui.widgets.sessions_table import look_of

if TYPE_CHECKING:
    from datetime import datetime

    from engine.view.sessions import SessionDetail


def session_details(detail: SessionDetail, now: datetime) -> Details:
    """Return what is known about a session."""
    facts = session_facts(detail, now)
    scans = [
        (
            f"scan {safe(scan.id)}",
            f"{safe(scan.modality)} {safe(scan.description)}, {count(scan.objects)} objects,"
            f" {size(scan.bytes)}",
        )
        for scan in detail.scans
    ]
    parts = (facts, scans, history_lines(detail, now))
    text = "\n\n".join(
        "\n".join(f"{fit(name, LABEL_WIDTH)} {value}" for name, value in part) for part in parts
    )
    title = f"{name_of(detail.session)} · {look_of(detail.session)}"
    return Details(title, text, asdict(detail))
