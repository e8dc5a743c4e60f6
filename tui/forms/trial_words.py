"""Words for a processor's trial on one object: what it decided, and what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.processing import Verdict
from tui.text import clock, safe

if TYPE_CHECKING:
    from engine.model.processing import ProcessorStep, ProcessorTrial

NO_OBJECT = "no object arrived since the engine started; send one and try again"
GLYPHS = {
    Verdict.NOT_SEEN: "–",
    Verdict.SKIPPED: "–",
    Verdict.CONTINUED: "✓",
    Verdict.REJECTED: "▲",
    Verdict.FAILED: "✗",
}
MEANINGS = {
    Verdict.NOT_SEEN: "its projects don't include the object's; nothing would change",
    Verdict.SKIPPED: "its class does not want this object; nothing would change",
    Verdict.CONTINUED: "the object would go on",
    Verdict.REJECTED: "the object would not be stored, and its sender hear of success",
    Verdict.FAILED: "the object would be refused with 0x0110",
}


def trial_head(trial: ProcessorTrial) -> str:
    """Say which object was tried; safe text."""
    if not trial.steps or trial.at is None:
        return NO_OBJECT
    sender = f"from {safe(trial.calling_ae_title)}, {safe(trial.receiver)}"
    return f"the newest object: {clock(trial.at)} {sender}\n{safe(trial.sop_instance_uid)}"


def step_lines(step: ProcessorStep) -> tuple[str, ...]:
    """Say what a processor made of the object, one line for each thing; safe text."""
    meaning = MEANINGS[step.verdict]
    lines = [f"{GLYPHS[step.verdict]} {step.verdict}: {meaning}"]
    lines += [f"  why      {safe(step.why)}"] if step.why else []
    if not step.assigned.says_nothing:
        lines.append(f"  assigns  {safe(step.assigned.words())}")
    lines += [f"  {change.change:<8} {safe(change.words())}" for change in step.changes]
    if step.verdict is Verdict.CONTINUED and len(lines) == 1:
        lines.append("  changes  nothing")
    lines.append(f"  took     {step.seconds * 1000:,.1f} ms")
    return tuple(lines)
