"""Words for a script that is being written: its findings by line, and what it does to an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.site_script import SITE_SCRIPT
from engine.view.objects import RowChange
from engine.view.scripts import FindingKind, TrialOutcome
from tui.forms.settings_form import Remark
from tui.text import clock, counted, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.view.objects import RecentObject
    from engine.view.scripts import EditedRow, LeftText, ScriptFinding, ScriptPreview

NO_OBJECTS = "no object is in memory to try it on; the next one that arrives can be used"
MAX_ROWS = 200
"""Of the elements that change: more are only counted."""
MAX_SAID = 6
"""Findings that are said in full below the text."""
_GLYPHS = {
    RowChange.CHANGED: "~",
    RowChange.REMOVED: "-",
    RowChange.ADDED: "+",
    RowChange.EQUAL: " ",
}


@dataclass(frozen=True, slots=True)
class RowWords:
    """One element before and after, safe to show."""

    glyph: str
    element: str
    before: str
    after: str
    change: RowChange


def problem_of(finding: ScriptFinding) -> Problem:
    """Return a finding as a problem of the script's field."""
    where = (finding.line, finding.column)
    return Problem(SITE_SCRIPT, "", safe(finding.message), safe(finding.remedy), *where)


def errors(findings: Sequence[ScriptFinding]) -> tuple[Problem, ...]:
    """Return what keeps the text from being a script."""
    return tuple(problem_of(f) for f in findings if f.kind is FindingKind.ERROR)


def finding_remarks(text: str, findings: Sequence[ScriptFinding]) -> tuple[Remark, ...]:
    """Return one remark for each line of a script."""
    remarks = [Remark()] * (text.count("\n") + 1)
    for finding in reversed(findings):
        wrong = finding.kind is FindingKind.ERROR
        at = min(max(finding.line, 1), len(remarks)) - 1
        said = f"{'✗' if wrong else '!'} {finding.message}"
        remarks[at] = Remark(said, is_wrong=wrong, is_warning=not wrong)
    return tuple(remarks)


def findings_in_words(
    findings: Sequence[ScriptFinding], left: Sequence[LeftText], text: str
) -> str:
    """Say below the text what the linter found, in full, and what the script leaves; safe text."""
    names = ", ".join(safe(f"{one.name} {one.path}") for one in left)
    remark = f"neither this script nor the basic profile removes: {names}" if names else ""
    return "\n".join(filter(None, (_traps_in_words(findings, text), remark)))


def _traps_in_words(findings: Sequence[ScriptFinding], text: str) -> str:
    traps = [f for f in findings if f.kind is FindingKind.TRAP]
    if not traps:
        return "✓ the script is valid" if text.strip() and not findings else ""
    said = [f"! line {f.line}: {safe(f.message)}; {safe(f.remedy)}" for f in traps[:MAX_SAID]]
    more = len(traps) - MAX_SAID
    return "\n".join([*said, *([f"! and {counted(more, 'more remark')}"] if more > 0 else [])])


def object_title(recent: RecentObject) -> str:
    """Say which object a script is tried on."""
    where = " / ".join(safe(part) for part in (recent.project, recent.label) if part)
    filed = f", filed in {where}" if where else ""
    kind = safe(recent.modality or recent.sop_class)
    received = "as received" if recent.as_received else "as stored"
    return f"{clock(recent.at)} {kind} from {safe(recent.calling_ae_title)}, {received}{filed}"


def row_words(row: EditedRow) -> RowWords:
    """Return one element in words; a value that is hidden says so by its dots."""
    path = safe(row.path)
    element = f"{path} {safe(row.keyword)}".rstrip()
    before = "–" if row.before is None else safe(row.before) or "(empty)"
    after = "–" if row.after is None else safe(row.after) or "(empty)"
    return RowWords(_GLYPHS[row.change], element, before, after, row.change)


def outcome_words(preview: ScriptPreview) -> str:
    """Say what became of the object; empty if it was edited and something changed."""
    remedy = f"; {safe(preview.remedy)}" if preview.remedy else ""
    line = f"line {preview.line}: " if preview.line else ""
    match preview.outcome:
        case TrialOutcome.EDITED:
            return "" if preview.rows else "nothing would change in this object"
        case TrialOutcome.REJECTED:
            return f"✗ the script would reject it: {line}{safe(preview.why)}{remedy}"
        case TrialOutcome.FAILED:
            return f"✗ it would be refused: {line}{safe(preview.why)}{remedy}"
        case TrialOutcome.INVALID:
            return f"✗ not a script: {line}{safe(preview.why)}{remedy}"


def count_words(preview: ScriptPreview) -> str:
    """Count what changes, by kind."""
    found = [row.change for row in preview.rows]
    kinds = (RowChange.CHANGED, RowChange.REMOVED, RowChange.ADDED)
    counts = ", ".join(f"{found.count(kind)} {kind}" for kind in kinds if kind in found)
    header = "" if preview.complete else "; only the header was tried"
    more = len(found) - MAX_ROWS
    return f"{counts}{header}" + (f"; {counted(more, 'element')} not shown" if more > 0 else "")
