"""A made-up alert, sent on request: does what a target is told arrive?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerting.delivery import deliver
from engine.alerting.ledger import Alert
from engine.model.alerts import AlertSettings

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.alerts import AlertTarget


def send_trial(target: AlertTarget, at: datetime) -> None:
    """Tell a target that this is a test; takes as long as its command or webhook.

    Raises:
        InvalidSite: if it is no target that could be saved.
        NotDelivered: in words that say why, without what may be secret.
    """
    AlertSettings.parse({"targets": [target.to_record()]})
    words = "this is a test; nothing is wrong"
    deliver(target, Alert("test", "", "Test", "INFO", words, at.isoformat()))
