"""Alerts in the outbox: noted before they are delivered, so that a restart loses none."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from engine.monitoring.alerts.throttle import Alert
from engine.state.database import stamp
from engine.state.outbox import NewItem, Outbox, OutboxItem, OutboxKind

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


MOST_WAITING = 1_000
"""Of all targets; the oldest ones are dropped."""
ALL = 0
"""The number under which all alerts are in the outbox: their targets have names."""


class WaitingAlert(NamedTuple):
    """One alert on its way to one target."""

    id: int
    target: str
    """The target's name; what is secret of it is in the settings only."""
    alert: Alert
    attempts: int


Matter = tuple[str, str, str]
"""A target, and a kind and subject: that it ended is reported after that it began."""


def matter_of(target: str, alert: Alert) -> Matter:
    """Return what an alert is about, for one target."""
    return target, alert.kind, alert.subject


class WaitingAlerts(Outbox[WaitingAlert]):
    """The alerts; every method may be called from any thread, and raises `StorageUnusable`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OutboxKind.ALERT, _waiting_of)

    def put(self, target: str, alert: Alert, at: datetime) -> tuple[WaitingAlert, ...]:
        """Note an alert for a target; return those that were dropped to make room for it."""
        what = json.dumps({"target": target, "alert": asdict(alert)})
        self.add([NewItem(ALL, None, "", what, stamp(at))])
        dropped = self.items()[:-MOST_WAITING]
        if dropped:
            self.end(*(waiting.id for waiting in dropped))
        return dropped


def _waiting_of(item: OutboxItem) -> WaitingAlert:
    try:
        what = json.loads(item.what)
        target, alert = str(what["target"]), Alert(**what["alert"])
    except (ValueError, TypeError, KeyError):
        # A row that damage has changed is for nobody, and so is dropped; others go on.
        target, alert = "", Alert("", "", "", "", "", "")
    return WaitingAlert(item.id, target, alert, item.attempts)
