"""No command shows a secret unless it is told to, and then the event log keeps who saw it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.events import SecretsShown
from engine.host.owner import user_name
from engine.model.alerts import AlertSettings, AlertTarget
from engine.model.processor import Location, Processor
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.running import configure, free_port, make_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore
    from tests.engine.cli.outcome import Run

SECRETS = ("S3CRETPW", "T0KEN", "CMDSECRET", "ARGSECRET", "NEWSECRET")
TARGETS = (
    AlertTarget("slack", webhook="https://u:S3CRETPW@hooks.example/services/T0KEN?key=T0KEN"),
    AlertTarget("mail", command=("/bin/true", "--password=CMDSECRET")),
)


@pytest.fixture
def configured(data: Path, store: ConfigurationStore) -> ConfigurationStore:
    """A configuration full of secrets, the newest of which was changed last."""
    configure(data, make_receiver("XNAT", free_port()))
    site = store.load().site
    store.set_site(replace(site, alerts=AlertSettings(TARGETS)), "anna")
    parameters = (("program", "/bin/true"), ("arguments", "--token\nARGSECRET"))
    location = Location.AFTER_SESSION_COMPLETE
    store.save_processor(
        Processor(0, "Run", "command", location=location, parameters=parameters), "anna"
    )
    changed = replace(TARGETS[0], webhook="https://u:NEWSECRET@hooks.example/services/T0KEN")
    site = store.load().site
    store.set_site(replace(site, alerts=AlertSettings((changed, TARGETS[1]))), "anna")
    return store


QUESTIONS = (
    ("alerts", "list"),
    ("alerts", "set", "slack", "--kind", "storage"),
    ("alerts", "delete", "mail", "--yes"),
    ("config", "show"),
    ("config", "diff"),
    ("config", "diff", "1"),
    ("config", "history"),
    ("config", "undo", "--yes"),
    ("config", "restore", "1", "--yes"),
    ("config", "recover", "--dry-run", "--force"),
    ("processors", "list"),
    ("processors", "edit", "Run", "--priority", "5"),
    ("site", "get"),
    ("receivers", "list"),
    ("status",),
)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_no_answer_has_a_secret(run: Run, question: tuple[str, ...], form: tuple[str, ...]) -> None:
    outcome = run(*question, *form)
    assert outcome.code == 0
    assert [secret for secret in SECRETS if secret in outcome.out + outcome.err] == []


def test_what_is_saved_by_commands_keeps_its_secrets(
    run: Run, configured: ConfigurationStore
) -> None:
    before = configured.load()
    run("alerts", "set", "slack", "--kind", "storage")
    run("processors", "edit", "Run", "--priority", "5")
    after = configured.load()
    assert after.site.alerts.targets[0].webhook == before.site.alerts.targets[0].webhook
    assert after.processors[0].parameters == before.processors[0].parameters
    assert (configured.history.file(after.revision).stat().st_mode & 0o777) == 0o600


@pytest.mark.usefixtures("configured")
def test_that_a_secret_was_changed_is_said(run: Run) -> None:
    assert "site alerts.targets: a secret was changed" in run("config", "diff").out


SHOWING = {
    ("alerts", "list"): ("NEWSECRET", "CMDSECRET"),
    ("config", "show"): ("NEWSECRET", "CMDSECRET", "ARGSECRET"),
    ("config", "show", "--json"): ("NEWSECRET", "CMDSECRET", "ARGSECRET"),
    ("config", "diff"): ("S3CRETPW", "NEWSECRET"),
    ("config", "history"): ("S3CRETPW", "NEWSECRET"),
    ("processors", "list", "--json"): ("ARGSECRET",),
}


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("question", SHOWING, ids=" ".join)
def test_secrets_are_shown_on_request_and_the_audit_log_keeps_who_saw_them(
    run: Run, data: Path, question: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    shown = run(*question, "--show-secrets").out
    assert all(secret in shown for secret in SHOWING[question])
    (event,) = map(json.loads, (data / "logs" / "audit.jsonl").read_text().splitlines())
    assert (event["kind"], event["by"]) == ("SecretsShown", f"{user_name(os.getuid())}, says: anna")
    assert event["what"] == " ".join(question[:2])
    assert (data / "logs").stat().st_mode & 0o777 == 0o750


@pytest.mark.usefixtures("configured")
def test_a_running_engine_keeps_who_is_shown_secrets(run: Run, data: Path) -> None:
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    try:
        assert "NEWSECRET" in run("alerts", "list", "--show-secrets").out
        events = [recorded.event for recorded in engine.events_since(0, 1000).events]
        assert [e.what for e in events if isinstance(e, SecretsShown)] == ["alerts list"]
    finally:
        end()
        engine.stop(drain_seconds=0)
