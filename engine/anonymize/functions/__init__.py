"""All functions of the language by name, with their checks of arguments (dicomedit 9.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.functions import conditions, dates, elements, strings, uids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.anonymize.functions.function import Function

FUNCTIONS: Final[Mapping[str, Function]] = {
    **strings.FUNCTIONS,
    **conditions.FUNCTIONS,
    **uids.FUNCTIONS,
    **dates.FUNCTIONS,
    **elements.FUNCTIONS,
}
