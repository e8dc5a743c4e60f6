"""Processors of another distribution, good and bad; importable, as worker processes need it."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from engine.model.processor import Location, ProcessorClass, ProcessorParameter
from engine.processing.contract import Continue, Reject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Problem
    from engine.processing.contract import Context, Settings

PATIENT_NAME = 0x00100010
STUDY_DESCRIPTION = 0x00081030


class Plugin:
    """Does what its instance tells it to do."""

    info = ProcessorClass(
        "acme",
        "Acme",
        parameters=tuple(
            ProcessorParameter(name, name, f"write {name}")
            for name in ("do", "value", "project", "session", "modality")
        ),
    )

    def check(self, settings: Settings) -> Iterable[Problem]:
        if settings.text("do") == "broken check":
            raise LookupError
        return ()

    def accepts(self, context: Context) -> bool:
        wanted = context.settings.text("modality")
        return not wanted or context.header.text(0x00080060) == wanted

    def process(self, context: Context) -> Continue | Reject:
        do = getattr(self, context.settings.text("do") or "go_on")
        said = do(context)
        return said if said is not None else Continue()

    def go_on(self, context: Context) -> None:
        context.log(f"seen {0x00080018 in context.header}")

    def say(self, context: Context) -> None:
        print("to", context.location)  # noqa: T201 - what plugins do
        os.write(2, b"to nobody")

    def rename(self, context: Context) -> None:
        context.edit.set(PATIENT_NAME, context.settings.text("value"))

    def describe(self, context: Context) -> None:
        """Write what is known of the object by now."""
        facts, known = context.facts, context.identity
        words = (facts.receiver, facts.calling_ae_title, *known.labels, context.location)
        context.edit.set(STUDY_DESCRIPTION, " ".join(words))

    def assign(self, context: Context) -> None:
        settings = context.settings
        context.assign(project=settings.text("project"), session=settings.text("session"))

    def assign_number(self, context: Context) -> None:
        context.assign(subject=7)  # type: ignore[arg-type]

    def refuse(self, context: Context) -> Reject:
        context.edit.set(PATIENT_NAME, "Never^Stored")
        return Reject("not of\nthis trial")

    def log_name(self, context: Context) -> Continue:
        name = context.header.text(PATIENT_NAME)
        context.edit.set(PATIENT_NAME, "Never^Stored")
        context.log(f"seen: {name}")
        context.log(f"{'x' * 295}{name}")
        return Continue()

    def log_name_and_fail(self, context: Context) -> Continue:
        self.log_name(context)
        raise ZeroDivisionError

    def refuse_by_name(self, context: Context) -> Reject:
        name = context.header.text(PATIENT_NAME)
        context.edit.set(PATIENT_NAME, "Never^Stored")
        return Reject(f"no {name} here")

    def script(self, context: Context) -> Continue:
        return Continue(context.settings.text("value"))

    def rewrite_uid(self, context: Context) -> None:
        context.edit.set(0x00080018, "1.2.3")

    def nothing(self, context: Context) -> str:
        return context.location

    def raise_error(self, context: Context) -> None:
        raise ValueError(context.header.text(PATIENT_NAME))

    def leave(self, context: Context) -> None:
        sys.exit(context.location)

    def crash(self, context: Context) -> None:
        del context
        os._exit(9)

    def hang(self, context: Context) -> None:
        del context
        time.sleep(60)


class Afterwards(Plugin):
    info = ProcessorClass("acme", "Acme", locations=(Location.AFTER_STORED,))
