"""Alerts: the forms of alert settings and targets, the dialog of a target, and test alerts."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from engine.errors import InvalidSite, Problem
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.site import SiteSettings
from tui.keys import pressed
from tui.settings.dialog import SettingsDialog
from tui.settings.form import FieldKind, FieldSpec, Remark, number_in
from tui.settings.site_forms import SiteForm
from tui.shell.dialogs import WorkStep
from tui.shell.form_dialog import form_bindings
from tui.text import counted, safe, with_unit
from tui.widgets.field import mask_hint

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import EngineView
    from tui.settings.form import Values
    from tui.shell.engine_app import EngineApp


COMMAND, WEBHOOK = "command", "webhook"
_KIND = "kind_"
_MEANINGS = {
    AlertKind.RECEIVER: "a receiver can't listen, or can again",
    AlertKind.STORAGE: "space runs low or out, or is there again",
    AlertKind.SCRIPT: "a script, rule or program failed",
    AlertKind.FORWARDING: "objects can't be sent on, or are again",
    AlertKind.SILENCE: "a usual caller is silent, or sends again",
    AlertKind.CERTIFICATE: "one expires or can't be used",
    AlertKind.CONFIGURATION: "the file is refused, or a plugin broken",
}


class AlertsForm(SiteForm):
    """After how long the same alert is repeated."""

    TITLE = "Alerts"
    SPECS = (
        FieldSpec("repeat_seconds", FieldKind.NUMBER, "Same again after",
                  "The same alert is repeated at most every so many seconds.",
                  hint="60 to 604,800 seconds; 3,600 if empty", usual="3600"),
    )  # fmt: skip

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values."""
        return {"repeat_seconds": str(thing.alerts.repeat_seconds)}

    def record(self) -> dict[str, Any]:
        """Return the members."""
        assert self.original is not None
        seconds = number_in(self.text("repeat_seconds"), AlertSettings().repeat_seconds)
        return {"alerts": self.original.alerts.to_record() | {"repeat_seconds": seconds}}

    def remark(self, name: str) -> Remark:
        """Return the time in words."""
        wrong = name in self.problems()
        return Remark("" if wrong else with_unit(name, self.text(name).strip() or "3600"))


class TargetForm(SiteForm):
    """One command or webhook, and the alerts that it gets."""

    SPECS = (
        FieldSpec("name", FieldKind.LINE, "Name *", "What the target is called.\n\n  pager",
                  hint="1–32 letters, digits, dots and hyphens"),
        FieldSpec("how", FieldKind.CHOICE, "Sent to",
                  "A program on this host gets the alert as JSON on its\n"
                  "input; a webhook gets it by HTTP POST.",
                  choices=(("a program on this host", COMMAND),
                           ("a webhook (HTTP POST)", WEBHOOK))),
        FieldSpec(COMMAND, FieldKind.LINE, "Program *",
                  "Its whole path, with arguments; run without a shell.\n"
                  "•••••••• stands for saved arguments.\n\n"
                  "  /usr/local/bin/page --group radiology",
                  hint="whole path and arguments; quotes keep words together"),
        FieldSpec(WEBHOOK, FieldKind.LINE, "Address *",
                  "Where the alert is posted. Only the host of a saved\n"
                  "address is shown; •••••••• stands for the rest.",
                  hint="such as https://alerts.hospital.example/dicom"),
        *(FieldSpec(_KIND + kind, FieldKind.SWITCH, kind.capitalize(),
                    "Whether the target gets this alert.",
                    section="Alerts", words=("off: not sent", f"on: {_MEANINGS[kind]}"))
          for kind in AlertKind),
    )  # fmt: skip

    def __init__(self, site: SiteSettings, target: str = "") -> None:
        """Take the name of the target to change; empty for a new one."""
        self.target = target
        super().__init__(site)

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values; usual ones for a target that there is not."""
        target = thing.alerts.target(self.target) or AlertTarget("")
        return {
            "name": target.name,
            "how": WEBHOOK if target.webhook else COMMAND,
            COMMAND: shlex.join(target.command),
            WEBHOOK: target.webhook,
            **{_KIND + kind: kind in target.kinds for kind in AlertKind},
        }

    def visible_fields(self) -> frozenset[str]:
        """Return the fields that matter."""
        other = {COMMAND: WEBHOOK, WEBHOOK: COMMAND}[self.text("how")]
        return super().visible_fields() - {other}

    def record(self) -> dict[str, Any]:
        """Return the members: all targets, with this one in its place or at the end."""
        assert self.original is not None
        alerts = self.original.alerts.to_record()
        record = self._target()
        others = [target.to_record() for target in self.original.alerts.targets]
        known = [target["name"] for target in others]
        if self.target in known:
            others[known.index(self.target)] = record
        else:
            others.append(record)
        return {"alerts": alerts | {"targets": others}}

    def _target(self) -> dict[str, object]:
        by_command = self.text("how") == COMMAND
        return {
            "name": self.text("name").strip(),
            "command": _words(self.text(COMMAND)) if by_command else [],
            "webhook": "" if by_command else self.text(WEBHOOK).strip(),
            "kinds": [str(kind) for kind in AlertKind if self.is_on(_KIND + kind)],
        }

    def hint(self, name: str) -> str:
        """Return what a mask means, or what is usually said below a field."""
        masked = mask_hint(self.text(name)) if name in {COMMAND, WEBHOOK} else ""
        return masked or super().hint(name)

    def field_of(self, problem: Problem) -> str:
        """Return the field of a problem."""
        name = super().field_of(problem)
        by = self.text("how")
        return {"targets": by, "kinds": _KIND + AlertKind.RECEIVER}.get(name, name)

    def target_typed(self) -> AlertTarget:
        """Return the target as it is typed; raises `InvalidSite` as `result` does."""
        target = self.result().alerts.target(self.text("name").strip())
        assert target is not None
        return target

    def summary(self) -> str:
        """Say how to see that it works."""
        name = safe(self.text("name").strip()) or "the target"
        return f"^t sends a test alert to {name}; nothing is saved by that."


def without_target(site: SiteSettings, name: str) -> dict[str, object]:
    """Return the site's record without one target."""
    targets = [t.to_record() for t in site.alerts.targets if t.name != name]
    return site.to_record() | {"alerts": site.alerts.to_record() | {"targets": targets}}


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        remedy = "close the quotes"
        problem = Problem(f"alerts.{COMMAND}", line[:40], f"can't be split: {error}", remedy)
        raise InvalidSite(problem) from None


class TargetDialog(SettingsDialog[SiteSettings]):
    """Edits one target; ``ctrl+t`` sends a test alert to what is typed."""

    BINDINGS = form_bindings(Binding("ctrl+t", "test", "Test alert", id="dialog.test_alert"))
    TEST = ("test", "Test alert")
    FOOT_NOTE = "* required"
    form: TargetForm

    def __init__(
        self, form: TargetForm, title: str, *, send: Callable[[AlertTarget], None], **ways: Any
    ) -> None:
        """Take, besides, what sends a test alert and shows its outcome."""
        super().__init__(form, title, **ways)
        self._send = send

    def action_test(self) -> None:
        """Send a test alert to the target as it is typed."""
        if not self.refuse_problems():
            self._send(self.form.target_typed())


class AlertCommands:
    """Sends test alerts for one console; a target may take half a minute, so progress is seen."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app

    async def test(self, site: SiteSettings, name: str) -> None:
        """Tell one target, or all if none is named."""
        found = [target for target in site.alerts.targets if name in ("", target.name)]
        if found:
            await self.send(tuple(found))
        else:
            self._app.show_toast(
                f"there is nobody to send a test alert to; {pressed('settings.new')} adds a target",
                "warning",
            )

    async def send(self, targets: tuple[AlertTarget, ...]) -> None:
        """Tell some targets, one after the other."""
        steps = [
            WorkStep(
                f"send a test alert to {safe(target.name)}",
                partial(_try, target, self._app.actor),
            )
            for target in targets
        ]
        outcome = await self._app.work_through(
            f"Test {counted(len(targets), 'alert target')}", steps
        )
        if not outcome.failures and outcome.done:
            names = ", ".join(safe(target.name) for target in targets)
            self._app.show_toast(f"✓ {counted(outcome.done, 'test alert')} delivered: {names}")


def _try(target: AlertTarget, actor: str, engine: EngineView) -> None:
    engine.monitoring.try_alert(target, actor)
