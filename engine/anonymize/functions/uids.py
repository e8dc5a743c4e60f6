"""Functions that make UIDs (dicomedit 9.3)."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import Argument, Function, change_each, paths_in
from engine.anonymize.language.values import VOID, Void
from engine.dicom.uid_hash import UUID_ROOT, hash_uid

if TYPE_CHECKING:
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun

_ROOT = re.compile(r"[0-9]+(\.[0-9]+)*")
# A root, a dot and 39 digits of 128 bits make 64 characters (PS3.5 9.1).
_LONGEST_ROOT: Final = 24
_MAP_UID: Final = "mapUID"
_MAP_REFERENCED: Final = "mapReferencedUIDs"


def _hash_uid(run: ScriptRun, arguments: tuple[Value, ...]) -> str | None:
    text = run.text(arguments[0])
    # dicomedit 4.4: null in, null out: what is absent is not created.
    return None if text is None else hash_uid(text)


def _hash_uid_list(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    change_each(run, paths_in(arguments), hash_uid)
    return VOID


def _new_uid(run: ScriptRun, _arguments: tuple[Value, ...]) -> str:
    drawn = run.script_context.draw("").to_bytes(16, "big")
    return f"{UUID_ROOT}{uuid.UUID(bytes=drawn, version=4).int}"


def _map_uid(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    # As in XNAT, the value comes first, and null is a value like any other (dicomedit 9.3).
    value, root = run.text(arguments[0]), run.needed(arguments[1])
    return _mapped(run, _MAP_UID, value, root)


def _map_referenced_uids(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    root = run.needed(arguments[0])
    if len(root) > _LONGEST_ROOT or not _ROOT.fullmatch(root):
        remedy = f"write digits and dots, at most {_LONGEST_ROOT} characters"
        raise StatementFailure("the root of mapReferencedUIDs is no UID root", remedy)
    change_each(
        run, paths_in(arguments[1:]), lambda text: _mapped(run, _MAP_REFERENCED, text, root)
    )
    return VOID


def _mapped(run: ScriptRun, scope: str, value: str | None, root: str) -> str:
    around = run.script_context
    made_for = f"{scope}{'' if value is None else f'/{value}'}"
    return around.uid_maps.uid_for(scope, value, lambda: f"{root}.{around.draw(made_for)}")


FUNCTIONS: Final = {
    # A second argument, the algorithm, is ignored as in XNAT (dicomedit 9.3).
    "hashUID": Function(_hash_uid, 1, 2),
    "hashUIDList": Function(_hash_uid_list, 0, None, (Argument.PATHS,)),
    "newUID": Function(_new_uid, 0, 0),
    "mapUID": Function(_map_uid, 2, 2),
    "mapReferencedUIDs": Function(_map_referenced_uids, 2, None, (Argument.TEXT, Argument.PATHS)),
}
