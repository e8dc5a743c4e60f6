"""A `ScriptsView` that answers from memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.api.scripts import ScriptPreview, TrialOutcome

if TYPE_CHECKING:
    from engine.api.objects import ObjectReference
    from engine.api.scripts import LeftText, ScriptFinding, ScriptTrial


@dataclass
class FakeScripts:
    """Notes what it is asked in `calls`."""

    findings: tuple[ScriptFinding, ...] = ()
    kept: tuple[LeftText, ...] = ()
    result: ScriptPreview = field(default_factory=lambda: ScriptPreview(TrialOutcome.EDITED))
    calls: list[tuple[str, object]] = field(default_factory=list)

    def check(self, text: str) -> tuple[ScriptFinding, ...]:
        self.calls.append(("check", text))
        return self.findings

    def left(self, text: str) -> tuple[LeftText, ...]:
        self.calls.append(("left", text))
        return self.kept if text.strip() else ()

    def default_script(self) -> str:
        return 'version "6.1"\n(0010,0010) := subject\n'

    def preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        *,
        as_received: bool = False,
        equal: bool = False,
    ) -> ScriptPreview:
        self.calls.append(("preview", (trial, reference, as_received, equal)))
        return self.result

    def shown_preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        actor: str,
        *,
        as_received: bool = False,
        equal: bool = False,
    ) -> ScriptPreview:
        self.calls.append(("shown_preview", (trial, reference, actor, as_received, equal)))
        return self.result
