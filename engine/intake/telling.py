"""What an object says of its patient, as far as its header is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identifying import (
    IdentifyingValue,
    IdentifyingValues,
    is_private,
    is_telling,
)

if TYPE_CHECKING:
    from engine.intake.header import HeaderView


def identifying_values(header: HeaderView) -> IdentifyingValues:
    """Return the values by which an object's patient may be known; those in items are not read."""
    return IdentifyingValues(
        IdentifyingValue(text, vr, is_private(tag))
        for tag, vr, text in header.elements()
        if text.isprintable() and is_telling(tag, vr)
    )
