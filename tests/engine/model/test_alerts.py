"""Who is told: what the settings may say."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidSite
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.site import SiteSettings

OPS = {"name": "ops", "webhook": "https://u:secret@h.example:8443/secret?token=x"}


def targets(*raw: object) -> dict[str, Any]:
    return {"targets": list(raw)}


def test_settings_survive_their_record() -> None:
    raw = targets(OPS | {"kinds": ["storage"]}, {"name": "mail", "command": ["/bin/mail", "x"]})
    settings = AlertSettings.parse(raw | {"repeat_seconds": 60})
    assert AlertSettings.parse(settings.to_record()) == settings
    assert settings.targets[0].kinds == (AlertKind.STORAGE,)
    assert settings.targets[1].kinds == tuple(AlertKind)
    site = SiteSettings.parse({"alerts": settings.to_record()})
    assert SiteSettings.parse(site.to_record()).alerts == settings
    assert SiteSettings.parse({}).alerts == AlertSettings() == AlertSettings.parse({})


def test_what_may_be_secret_is_not_shown() -> None:
    assert AlertTarget("ops", webhook=OPS["webhook"]).shown == "webhook https://h.example:8443/…"
    assert AlertTarget("ops", webhook="http://[::1]/x").shown == "webhook http://[::1]/…"
    assert "secret" not in repr(AlertTarget("mail", ("/bin/mail", "secret"), "https://h/secret"))
    assert AlertTarget("mail", ("/bin/mail", "secret")).shown == "command /bin/mail …"


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([], "alerts"),
        ({"colour": 1}, "alerts.colour"),
        ({"repeat_seconds": 5}, "alerts.repeat_seconds"),
        ({"repeat_seconds": True}, "alerts.repeat_seconds"),
        ({"targets": {}, "repeat_seconds": None}, None),
        ({"targets": "x"}, "alerts.targets"),
        (targets(*[OPS] * 9), "alerts.targets"),
        (targets("x"), "alerts.targets"),
        (targets(OPS, OPS), "alerts.name"),
        (targets(OPS | {"name": "../x"}), "alerts.name"),
        (targets(OPS | {"command": ["/bin/true"]}), "alerts.targets"),
        (targets({"name": "x"}), "alerts.targets"),
        (targets({"name": "x", "command": "/bin/true"}), "alerts.command"),
        (targets({"name": "x", "command": ["true"]}), "alerts.command"),
        (targets({"name": "x", "command": ["/a\n"]}), "alerts.command"),
        (targets({"name": "x", "command": ["/a"] * 40}), "alerts.command"),
        (targets({"name": "x", "webhook": "ftp://h"}), "alerts.webhook"),
        (targets({"name": "x", "webhook": "http://h:99999"}), "alerts.webhook"),
        (targets({"name": "x", "webhook": "http://h/ü"}), "alerts.webhook"),
        (targets(OPS | {"kinds": []}), "alerts.kinds"),
        (targets(OPS | {"kinds": ["weather"]}), "alerts.kinds"),
    ],
)
def test_what_is_no_setting_is_refused_by_name(raw: object, field: str | None) -> None:
    if field is None:
        assert AlertSettings.parse(raw) == AlertSettings()
        return
    with pytest.raises(InvalidSite) as caught:
        AlertSettings.parse(raw)
    assert field in {problem.field for problem in caught.value.problems}
    assert "secret" not in caught.value.detail
