"""Tests, and `reject`, which drops the object (dicomedit 9.2, 9.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import Argument, Function
from engine.anonymize.language.paths import Path
from engine.anonymize.language.values import FALSE, TRUE, VOID, Void, boolean, flattened, is_true
from engine.anonymize.run import Rejected

if TYPE_CHECKING:
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


def _is_present(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    paths = list(flattened(arguments))
    # A path in a variable has been read: its text is the value of the element (dicomedit 4.1).
    if not all(isinstance(path, Path) for path in paths):
        raise StatementFailure(
            "isPresent takes tag paths, not their text", "write the path without quotes"
        )
    return boolean(all(run.locate(path) is not None for path in paths if isinstance(path, Path)))


def _true(_run: ScriptRun, _arguments: tuple[Value, ...]) -> str:
    return TRUE


def _false(_run: ScriptRun, _arguments: tuple[Value, ...]) -> str:
    return FALSE


def _reject(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    # dicomedit 9.7. A relabelling ignores it: the object is in the archive already.
    wanted = not arguments or is_true(run.text(arguments[0]) or "")
    if wanted and not run.script_context.ignore_rejection:
        raise Rejected
    return VOID


FUNCTIONS: Final = {
    "isPresent": Function(_is_present, 1, None, (Argument.ONE_PATH,)),
    # dicomedit 9.2: arguments are ignored.
    "true": Function(_true, 0, None, (Argument.ANY,)),
    "false": Function(_false, 0, None, (Argument.ANY,)),
    "reject": Function(_reject, 0, 1),
}
