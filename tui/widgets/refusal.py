"""What is said inside a dialog when the engine refuses to save."""

from __future__ import annotations

from engine.errors import EngineError
from tui.text import safe


def refusal_words(outcome: object, verb: str = "saved") -> str:
    """Return title, detail and remedy of an error, in one or two lines of safe text."""
    if not isinstance(outcome, EngineError):
        return safe(f"✗ Not {verb}: an unexpected error ({type(outcome).__name__}: {outcome})")
    said_already = outcome.detail.casefold().startswith(outcome.title.casefold())
    said = outcome.detail if said_already else f"{outcome.title}: {outcome.detail}"
    remedy = "" if outcome.remedy in outcome.detail else f"\n→ {outcome.remedy}"
    return "\n".join(map(safe, f"✗ {said[:1].upper()}{said[1:]}{remedy}".splitlines()))
