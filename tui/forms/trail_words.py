"""Where an object went, in words; safe text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.forms.session_words import AREA_NAMES, name_of, project_of
from tui.text import moment, safe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.view.objects import ObjectTrail, TrailStep

Fact = tuple[str, str]
MOST_STEPS = 20


def trail_facts(trail: ObjectTrail, scripts: Sequence[str], now: datetime) -> list[Fact]:
    """Return the sessions an object is in, and every time that it arrived."""
    facts = list[Fact]()
    for session in trail.sessions:
        where = AREA_NAMES[session.area].lower()
        facts.append(("session", f"{name_of(session)} in {project_of(session)}, {where}"))
    ran = ", ".join(safe(number, 20) for number in scripts)
    facts.append(("anonymized", f"script {ran}; c compares" if ran else "no script has run"))
    for step in trail.steps[-MOST_STEPS:]:
        facts += _step(step, now)
    if len(trail.steps) > MOST_STEPS:
        facts.append(("earlier", f"{len(trail.steps) - MOST_STEPS:,} more times"))
    return facts


def _step(step: TrailStep, now: datetime) -> list[Fact]:
    reason = f": {safe(step.reason)}" if step.reason else ""
    return [
        ("received", moment(step.at, now)),
        ("  by", f"{safe(step.receiver)} ← {safe(step.calling_ae_title)}"),
        ("  outcome", f"{safe(step.state)}, answered 0x{step.status:04X}{reason}"),
        *([("  file", safe(step.file))] if step.file else []),
    ]
