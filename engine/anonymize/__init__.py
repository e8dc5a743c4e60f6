"""Anonymization: DicomEdit 6 scripts, as XNAT's site and project administrators write them.

Pure but for `edit_file`: a script is parsed and checked once (`Script.parse`) and then edits data
sets in place (`Script.apply`). Limits, UID maps, lookup tables and the clock come from outside, in
`ScriptContext`; there is no network. tests/engine/anonymize/test_conformance.py pins the language.
"""

from engine.anonymize.diff import ElementChangeKind, ElementDifference, differences, texts_kept_by
from engine.anonymize.edit import edit_file
from engine.anonymize.errors import (
    MissingVersion,
    ScriptError,
    ScriptRuntimeError,
    ScriptTimeout,
    UneditableFile,
)
from engine.anonymize.files.reading import read_object
from engine.anonymize.language.lint import LintFinding, Trap, lint
from engine.anonymize.profile import Profile
from engine.anonymize.record import mark_as_deidentified, record, recorded
from engine.anonymize.run import LookupTable, MemoryUidMaps, ScriptContext, UidMaps
from engine.anonymize.script import DEFAULT_SITE_SCRIPT, Script, ScriptOutcome
from engine.model.anonymization import Retain

__all__ = [
    "DEFAULT_SITE_SCRIPT",
    "ElementChangeKind",
    "ElementDifference",
    "LintFinding",
    "LookupTable",
    "MemoryUidMaps",
    "MissingVersion",
    "Profile",
    "Retain",
    "Script",
    "ScriptContext",
    "ScriptError",
    "ScriptOutcome",
    "ScriptRuntimeError",
    "ScriptTimeout",
    "Trap",
    "UidMaps",
    "UneditableFile",
    "differences",
    "edit_file",
    "lint",
    "mark_as_deidentified",
    "read_object",
    "record",
    "recorded",
    "texts_kept_by",
]
