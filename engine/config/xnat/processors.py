"""Processors in XNAT's JSON, as `/xapi/processors/site` takes and gives them (XNAT 10.2, 10.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidProcessor, Problem
from engine.model.processor import Location, Processor, ProcessorRules, parse_processor

if TYPE_CHECKING:
    from collections.abc import Mapping

STUDY_REMAPPING = "org.nrg.xnat.processors.StudyRemappingArchiveProcessor"
SITE_ANONYMIZATION = "org.nrg.xnat.processors.MizerArchiveProcessor"
"""XNAT's placeholder, which never acts: the site's script runs without it (XNAT 10.4)."""
REMAP_BY_STUDY = "remapByStudy"
_CLASSES = {STUDY_REMAPPING: REMAP_BY_STUDY}
_THEIR_CLASSES = {ours: theirs for theirs, ours in _CLASSES.items()}
_LOCATIONS = {
    "AfterDicomRead": Location.AFTER_DICOM_READ,
    "AfterProjectSet": Location.AFTER_PROJECT_SET,
    "AfterAddedToPrearchiveDatabase": Location.AFTER_SESSION_CREATED,
}
_THEIR_LOCATIONS = {ours: theirs for theirs, ours in _LOCATIONS.items()}
# id, scope, created, timestamp and disabled are missing: they are the server's own.
_NAMES = {
    "enabled": "enabled",
    "label": "label",
    "processorClass": "processor_class",
    "location": "location",
    "priority": "priority",
    "scpWhitelist": "receivers_allowed",
    "scpBlacklist": "receivers_denied",
    "projectIdsList": "projects",
    "parameters": "parameters",
}
_XNAT_ONLY = {ours: theirs for theirs, ours in _NAMES.items()}
_SCOPE = "site"


def processor_to_xnat(processor: Processor) -> dict[str, object]:
    """Return the record of a processor; classes and places that XNAT lacks have our names."""
    record = processor.to_record()
    exported: dict[str, object] = {theirs: record[ours] for theirs, ours in _NAMES.items()}
    exported["processorClass"] = their_class(processor.processor_class)
    exported["location"] = _THEIR_LOCATIONS.get(processor.location, str(processor.location))
    return {"id": processor.id, "scope": _SCOPE, **exported}


def their_class(class_id: str) -> str:
    """Return XNAT's name of a class of processors, if there is one."""
    return _THEIR_CLASSES.get(class_id, class_id)


def posted_processor(record: Mapping[str, Any], known: Processor | None) -> Processor:
    """Return the processor that a record describes.

    What only an installed class can check is left to the save.

    Args:
        record: what XNAT's ``POST`` and ``PUT`` take.
        known: the processor that it changes; absent members and null keep its values.

    Raises:
        InvalidProcessor: with every problem at once; the fields have XNAT's names.
    """
    raw: dict[str, object] = known.to_record() if known else {}
    for theirs, ours in _NAMES.items():
        if record.get(theirs) is not None:
            raw[ours] = record[theirs]
    raw["processor_class"] = _translated(raw.get("processor_class"), _CLASSES)
    raw["location"] = _translated(raw.get("location"), _LOCATIONS)
    problems = []
    if record.get("scope") not in (None, "", _SCOPE):
        shown = str(record["scope"])[:40]
        problems.append(Problem("scope", shown, "is not possible here", f"use {_SCOPE}"))
    try:
        processor = parse_processor(raw, ProcessorRules())
    except InvalidProcessor as error:
        raise InvalidProcessor(*problems, *map(in_their_words, error.problems)) from error
    if problems:
        raise InvalidProcessor(*problems)
    return processor


def in_their_words(problem: Problem) -> Problem:
    """Return a problem of a processor with XNAT's name of the field."""
    return replace(problem, field=_XNAT_ONLY.get(problem.field, problem.field))


def _translated(value: object, names: Mapping[str, str]) -> object:
    return names.get(value, value) if isinstance(value, str) else value
