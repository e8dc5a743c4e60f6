"""Anonymization: DicomEdit 6 scripts, as XNAT's site and project administrators write them.

Pure but for `edit_file`: a script is parsed and checked once (`Script.parse`) and then edits data
sets in place (`Script.apply`). Limits, UID maps, lookup tables and the clock come from outside, in
`Surroundings`; there is no network. tests/engine/anonymize/test_conformance.py pins the language.
"""

from engine.anonymize.default_script import DEFAULT_SITE_SCRIPT
from engine.anonymize.diff import Change, Difference, differences
from engine.anonymize.edit import edit_file
from engine.anonymize.errors import (
    MissingVersion,
    ScriptError,
    ScriptRuntimeError,
    ScriptTimeout,
    UneditableFile,
)
from engine.anonymize.kept_texts import left_by
from engine.anonymize.lint import Finding, Trap, lint
from engine.anonymize.lookup import LookupTable
from engine.anonymize.profile import Profile
from engine.anonymize.reading_files import read_object
from engine.anonymize.record import mark_as_deidentified, record, recorded
from engine.anonymize.run import Surroundings
from engine.anonymize.script import Outcome, Script
from engine.anonymize.uid_maps import MemoryUidMaps, UidMaps
from engine.model.anonymization import Retain

__all__ = [
    "DEFAULT_SITE_SCRIPT",
    "Change",
    "Difference",
    "Finding",
    "LookupTable",
    "MemoryUidMaps",
    "MissingVersion",
    "Outcome",
    "Profile",
    "Retain",
    "Script",
    "ScriptError",
    "ScriptRuntimeError",
    "ScriptTimeout",
    "Surroundings",
    "Trap",
    "UidMaps",
    "UneditableFile",
    "differences",
    "edit_file",
    "left_by",
    "lint",
    "mark_as_deidentified",
    "read_object",
    "record",
    "recorded",
]
