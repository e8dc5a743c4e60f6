"""Words for a field that shows a mask in place of a saved secret."""

from __future__ import annotations

from engine.model.secrets import MASK, has_mask


def mask_hint(text: str) -> str:
    """Say what a mask in a field means; empty if there is none."""
    return f"{MASK} is saved and not shown; leave it to keep it" if has_mask(text) else ""
