"""`route` and `rule`: dry runs of files, and of one rule on one value, with every step."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import actor, receiver_named, settings_of, store_of
from engine.cli.identifications import (
    identity_record,
    print_processing,
    print_steps,
    step_record,
)
from engine.cli.live import running_engine
from engine.cli.object_names import MASKED, add_show_values
from engine.cli.options import read_text, set_run
from engine.errors import EngineError, UnreadableObject
from engine.host import terminal
from engine.intake.rehearsal import RoutingDryRunResult
from engine.model.identity import (
    DEFAULT_SESSION_LABEL,
    UNASSIGNED,
    Attribute,
    element_number,
    to_label,
)
from engine.model.routing_draft import SECTIONS, drafted
from engine.routing import parse_rule, slow_risk

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from engine.intake.rehearsal import RoutingDryRun
    from engine.model.identity import Identification, Step
    from engine.model.processing import RoutingPreview
    from engine.model.receiver import Receiver
    from engine.processing.chain import Processing
    from engine.routing import Application, Rule
    from engine.state.studies import Studies


_FOUND = 1
"""Exit code: a file is unreadable, or its object would be rejected."""
_OTHERWISE = {
    Attribute.PROJECT: f"nothing: {UNASSIGNED}",
    Attribute.SUBJECT: "nothing: no subject",
    Attribute.SESSION: f"nothing: {DEFAULT_SESSION_LABEL}",
    Attribute.AUTO_ARCHIVE: "nothing: the project's setting",
}
_DIRECTLY = "goes directly into the archive, unless that has the session already"
Unreadable = tuple[str, str]
"""A file, and the reason why it can't be read."""


class NothingToTry(EngineError):
    """The command names neither files nor ``--recent``, or both."""

    title = "Nothing was tried"
    exit_code = 2


def add_route(parser: argparse.ArgumentParser) -> None:
    """Add the dry run of files."""
    set_run(parser, _route)
    parser.add_argument("files", metavar="FILE|DIR", nargs="*", help="DICOM files, or folders")
    recent = "instead of files: what arrived last at that receiver, or is in its newest sessions"
    parser.add_argument("--recent", action="store_true", help=recent)
    add_show_values(parser)
    a_name = "an id, AE:PORT or AE title"
    parser.add_argument("--receiver", metavar="RECEIVER", required=True, help=a_name)
    sections = ", ".join(f"[{name}]" for name in SECTIONS)
    draft = f"try other rules instead of the saved ones: a file with sections {sections}"
    parser.add_argument("--rules", metavar="FILE", help=draft)
    calling = "the AE title that the files are to come from, for processors that look at it"
    parser.add_argument("--calling", metavar="AE", default="", help=calling)


def _route(arguments: argparse.Namespace) -> int:
    _require_one_source(arguments)
    unreadable: list[Unreadable] = []
    if arguments.recent:
        rehearsed = recent_routes(arguments)
    else:
        with rehearsal_of(arguments) as rehearsal:
            rehearsed, unreadable = _tried(rehearsal, arguments.files, not arguments.show_values)
    if arguments.json:
        terminal.print_json(_record(rehearsed, unreadable))
    else:
        _print(rehearsed, unreadable, is_draft=arguments.rules is not None)
        if not arguments.show_values:
            terminal.say(MASKED)
    refused = any(found.draft.identity is None and not found.rejected for found in rehearsed)
    return _FOUND if unreadable or refused else 0


def _require_one_source(arguments: argparse.Namespace) -> None:
    if bool(arguments.files) is arguments.recent:
        remedy = "name files or folders, or else --recent"
        raise NothingToTry("either files or the objects that arrived last are tried", remedy)


def _tried(
    rehearsal: RoutingDryRun, names: Iterable[str], is_masked: bool
) -> tuple[list[RoutingDryRunResult], list[Unreadable]]:
    """Try every file; an unreadable one does not stop the others."""
    rehearsed: list[RoutingDryRunResult] = []
    unreadable: list[Unreadable] = []
    faults: list[OSError] = []
    for number, path in enumerate(_files(names, faults), start=1):
        name = f"file {number}" if is_masked else str(path)
        try:
            found = rehearsal.of(path)
        except UnreadableObject as error:
            unreadable.append((name, error.detail))
        else:
            rehearsed.append(found.masked(name) if is_masked else found)
    for fault in faults:
        name = "a folder" if is_masked else str(fault.filename)
        unreadable.append((name, f"can't be listed: {fault.strerror}"))
    return rehearsed, unreadable


@contextmanager
def rehearsal_of(arguments: argparse.Namespace) -> Iterator[RoutingDryRun]:
    """Yield the dry run of a command's receiver, rules and calling AE title."""
    from engine.identification.identifiers import MissingIdentifier
    from engine.identification.installed import installed_identifiers
    from engine.identification.sources import Routing  # pydicom, which takes a while
    from engine.intake.receiver_policy import ReceiverPolicy
    from engine.intake.rehearsal import RoutingDryRun

    configuration = store_of(arguments).load()
    receiver, site = receiver_named(configuration.receivers, arguments.receiver), configuration.site
    identifier = installed_identifiers().get(receiver.identifier) or MissingIdentifier(
        receiver.identifier
    )
    projects, studies = configuration.projects, _studies(arguments)
    routing = Routing.of(receiver, site.routing, projects, studies)
    with _processing(receiver) as processing:
        chain = processing.chain(receiver, configuration) if processing else None
        saved, draft = (
            ReceiverPolicy(receiver, identifier, routing, site.sessions, chain=chain),
            None,
        )
        if arguments.rules is not None:
            text = read_text(arguments.rules)
            other, elsewhere = drafted(text, receiver, site.routing, arguments.rules)
            routing = Routing.of(other, elsewhere, projects, studies)
            draft = ReceiverPolicy(other, identifier, routing, site.sessions, chain=chain)
        yield RoutingDryRun(saved, draft, processing=processing, calling_ae_title=arguments.calling)


@contextmanager
def _processing(receiver: Receiver) -> Iterator[Processing | None]:
    """Yield the processors, or None if the receiver has no custom processing."""
    if not receiver.custom_processing:
        yield None
        return
    from engine.intake.rehearsal import processing_without_engine
    from engine.processing.installed import load_processors

    with processing_without_engine(load_processors()) as processing:
        yield processing


def _studies(arguments: argparse.Namespace) -> Studies:
    from engine.state.studies import ReadOnlyStudies

    settings = settings_of(arguments)
    return ReadOnlyStudies(settings.state_file, settings.index_file)


def _files(names: Iterable[str], faults: list[OSError]) -> Iterator[Path]:
    """Yield files as named, and the files below folders in order of their names."""
    for name in names:
        if not Path(name).is_dir():
            yield Path(name)
            continue
        for folder, below, files in os.walk(name, onerror=faults.append):
            # In place: os.walk goes on by this very list.
            below.sort()
            yield from (Path(folder, file) for file in sorted(files))


def _print(
    rehearsed: list[RoutingDryRunResult], unreadable: list[Unreadable], *, is_draft: bool
) -> None:
    heads = ("CHANGE", "FILE", "PROJECT", "SUBJECT", "SESSION", "AUTO-ARCHIVE", "PATH OR REASON")
    rows = [(_change(f), f.file, *_identity_cells(f.draft), destination_of(f)) for f in rehearsed]
    first = 0 if is_draft else 1
    terminal.print_table(heads[first:], [row[first:] for row in rows])
    if len(rehearsed) == 1:
        print_processing(rehearsed[0].processing)
        print_steps(rehearsed[0].draft.trace.steps)
    elif rehearsed:
        _print_deciders(rehearsed)
    if is_draft:
        changed = sum(found.changes for found in rehearsed)
        terminal.say(f"{changed} of {terminal.counted(len(rehearsed), 'object')} would change")
    for file, reason in unreadable:
        terminal.say(f"{file}: {reason}")


def _identity_cells(found: Identification) -> tuple[object, ...]:
    identity = found.identity
    if identity is None:
        return "", "", "", ""
    return (*identity.labels, identity.auto_archive)


def destination_of(found: RoutingDryRunResult) -> str:
    """Return where a file would go, or why it would not be stored."""
    identity = found.draft.identity
    if identity is None:
        return found.rejected or f"refused: {found.draft.failure}"
    if found.filtered or found.rejected:
        return found.rejected or f"would be {found.filtered}"
    notes = [_DIRECTLY] if found.directly else []
    notes += [identity.warning] if identity.warning else []
    place = "/".join(found.place)
    return f"{place} ({'; '.join(notes)})" if notes else place


def _change(found: RoutingDryRunResult) -> str:
    """Return the attributes that would change, each as it is and as it would be."""
    if not found.changes:
        return "same"
    before, after = _identity_cells(found.saved), _identity_cells(found.draft)
    if found.draft.identity is None or found.saved.identity is None:
        return "refused" if found.draft.identity is None else "accepted"
    told = ", ".join(
        f"{attribute}: {terminal.cell_text(a) or '–'} → {terminal.cell_text(b) or '–'}"
        for attribute, a, b in zip(Attribute, before, after, strict=True)
        if a != b
    )
    return told or "elsewhere"  # masked labels of one length look alike


def _print_deciders(rehearsed: Iterable[RoutingDryRunResult]) -> None:
    rows = [(*decider, objects) for decider, objects in _deciders(rehearsed)]
    terminal.print_table(("ATTRIBUTE", "DECIDED BY", "LINE", "RULE", "ELEMENT", "OBJECTS"), rows)


def _deciders(rehearsed: Iterable[RoutingDryRunResult]) -> list[tuple[tuple[object, ...], int]]:
    """Return the number of decisions of each rule or default, by attribute, highest first."""
    counts: dict[Attribute, Counter[tuple[object, ...]]] = {a: Counter() for a in Attribute}
    for found in rehearsed:
        for attribute in Attribute:
            counts[attribute][_decider(attribute, found.deciding(attribute))] += 1
    return [decided for counter in counts.values() for decided in counter.most_common()]


def _decider(attribute: Attribute, step: Step | None) -> tuple[object, ...]:
    if step is None:
        return str(attribute), _OTHERWISE[attribute], None, "", ""
    source = f"{step.source}, failed" if step.failed else str(step.source)
    return str(attribute), source, step.line, step.rule, step.element


def _record(
    rehearsed: list[RoutingDryRunResult], unreadable: list[Unreadable]
) -> dict[str, object]:
    names = ("attribute", "source", "line", "rule", "element")
    return {
        "objects": [_object_record(found) for found in rehearsed],
        "unreadable": [{"file": file, "reason": reason} for file, reason in unreadable],
        "decided_by": [
            {**dict(zip(names, decider, strict=True)), "objects": objects}
            for decider, objects in _deciders(rehearsed)
        ],
    }


def _object_record(found: RoutingDryRunResult) -> dict[str, object]:
    return {
        "file": found.file,
        **identity_record(found.draft),
        "path": "/".join(found.place),
        "changes": found.changes,
        "saved": identity_record(found.saved),
        "rejected": found.rejected,
        "filtered": found.filtered,
        "directly": found.directly,
        "processing": [step.to_record() for step in found.processing],
        "steps": [step_record(step) for step in found.draft.trace.steps],
    }


def recent_routes(arguments: argparse.Namespace) -> list[RoutingDryRunResult]:
    """Return the dry runs of a receiver's last objects, newest first.

    Raises:
        NotFound: if no engine runs, or there is no such receiver.
    """
    configuration = store_of(arguments).load()
    receiver, site = receiver_named(configuration.receivers, arguments.receiver), configuration.site
    if arguments.rules is not None:
        text = read_text(arguments.rules)
        receiver, routing = drafted(text, receiver, site.routing, arguments.rules)
        site = replace(site, routing=routing)
    with running_engine(arguments) as engine:
        if arguments.show_values:
            found = engine.shown_routing(receiver, actor(), site)
        else:
            found = engine.preview_routing(receiver, site)
    return [_rehearsed(preview) for preview in found]


def _rehearsed(preview: RoutingPreview) -> RoutingDryRunResult:
    at = (
        f"{preview.at:%Y-%m-%d %H:%M}, as stored,"
        if preview.as_stored
        else f"{preview.at:%H:%M:%S}"
    )
    return RoutingDryRunResult(
        f"{at} from {preview.calling_ae_title}",
        preview.draft,
        preview.saved,
        (),
        preview.draft_processing,
        differs=preview.changes,
    )


"""Exit code: the rule gives no value."""


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add the command that explains a rule."""
    set_run(parser, _rule)
    parser.add_argument("rule", metavar="RULE", help="such as '(0010,0020):([^_]+)_.*:1'")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--value", metavar="TEXT", help="the element's value")
    given.add_argument("--file", metavar="FILE", help="a DICOM file that has the element")


def _rule(arguments: argparse.Namespace) -> int:
    rule = parse_rule(arguments.rule.strip())
    value = _value_in(arguments.file, rule) if arguments.file else arguments.value
    applied = rule.explain(value)
    if arguments.json:
        terminal.print_json(_rule_record(rule, value, applied))
    else:
        terminal.print_table(("RULE", rule.text), _rows(rule, applied))
    risk = slow_risk(rule)
    if risk:
        terminal.say(f"this rule may be slow: {risk}")
    return 0 if applied.result else _FOUND


def _value_in(file: str, rule: Rule) -> str | None:
    from engine.dicom.part10 import read_file  # pydicom, which takes a while

    return read_file(Path(file), last_tag=rule.tag).text(rule.tag)


def _rows(rule: Rule, applied: Application) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("element", element_number(rule.tag)),
        ("pattern", rule.pattern),
        ("group", rule.group),
    ]
    if rule.target is not None:
        rows += [("t:", rule.target), ("r:", rule.replacement)]
    cut = " (cut to 64 characters)" if applied.cut else ""
    rows += [("value", applied.value + cut), ("captured", applied.captured)]
    rows += [("result", applied.result), ("as a label", to_label(applied.result or ""))]
    if not applied.result:
        rows.append(("why not", applied.why_not or "the result is empty"))
    return rows


def _rule_record(rule: Rule, value: str | None, applied: Application) -> dict[str, object]:
    return {
        "rule": rule.text,
        "element": element_number(rule.tag),
        "pattern": rule.pattern,
        "group": rule.group,
        "target": rule.target,
        "replacement": rule.replacement,
        "value": value,
        "seen": applied.value,
        "cut": applied.cut,
        "matched": applied.matched,
        "captured": applied.captured,
        "result": applied.result,
        "label": to_label(applied.result) if applied.result else None,
        "why_not": applied.why_not,
    }
