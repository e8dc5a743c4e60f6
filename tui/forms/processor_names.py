"""What is to be said about the receivers and projects that a processor names, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.forms.whitelist_check import LineState, LineVerdict
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.model.project import ProjectRegistry
    from engine.model.receiver import Receiver


def receiver_verdicts(text: str, receivers: Sequence[Receiver]) -> tuple[LineVerdict, ...]:
    """Return one verdict for each line that names a receiver."""
    known = {receiver.label: receiver for receiver in receivers}
    others = ", ".join(known) or "there is none"

    def verdict(line: str) -> LineVerdict:
        receiver = known.get(line)
        if receiver is None:
            return LineVerdict(LineState.ODD, f"no such receiver now; known: {safe(others)}")
        if not receiver.custom_processing:
            return LineVerdict(LineState.ODD, "its custom processing is off")
        return LineVerdict(LineState.GOOD, "enabled" if receiver.enabled else "stopped now")

    return _verdicts(text, verdict)


def project_verdicts(text: str, projects: ProjectRegistry | None) -> tuple[LineVerdict, ...]:
    """Return one verdict for each line that names a project."""

    def verdict(line: str) -> LineVerdict:
        found = projects.find(line) if projects is not None else None
        if found is None:
            return LineVerdict(LineState.BAD, "names no project")
        is_alias = found != line
        return LineVerdict(LineState.GOOD, f"alias of {safe(found)}" if is_alias else "project")

    return _verdicts(text, verdict)


def _verdicts(text: str, verdict: Callable[[str], LineVerdict]) -> tuple[LineVerdict, ...]:
    seen: dict[str, int] = {}
    found = []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line:
            found.append(LineVerdict(LineState.BLANK))
        elif line in seen:
            found.append(LineVerdict(LineState.REPEATED, f"line {seen[line]} says that already"))
        else:
            seen[line] = number
            found.append(verdict(line))
    return tuple(found)
