"""What a client of a running engine gets is masked, and what it sends back destroys no secret."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from engine.app.support_bundle import collect
from engine.config.store import ConfigurationStore
from engine.errors import InvalidProcessor, InvalidSite
from engine.events import ConfigurationRefused
from engine.host.clock import SystemClock
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.processor import Location, Processor
from engine.model.secrets import MASK
from engine.processing.command.processor import Command, program_of
from engine.processing.contract import Settings
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.running import configure, free_port, make_receiver
from tests.serving import remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.api import EngineView

HOOK = AlertTarget("slack", webhook="https://u:S3CRETPW@hooks.example/services/T0KEN")
MAIL = AlertTarget("mail", command=("/bin/true", "--password=CMDSECRET"))
ARGUMENTS = "--token\nARGSECRET"
SECRETS = ("S3CRETPW", "T0KEN", "CMDSECRET", "ARGSECRET")


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    data = tmp_path / "data"
    configure(data, make_receiver("XNAT", free_port()))
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    store.set_site(replace(store.load().site, alerts=AlertSettings((HOOK, MAIL))), "anna")
    parameters = (("program", "/bin/true"), ("arguments", ARGUMENTS))
    location = Location.AFTER_SESSION_COMPLETE
    store.save_processor(
        Processor(0, "Run", "command", location=location, parameters=parameters), "anna"
    )
    return EngineSettings(data, durability=Durability.NONE)


@pytest.fixture
def view(settings: EngineSettings) -> Iterator[EngineView]:
    """A running engine, over its control socket."""
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    with remote(settings.control_file) as reached:
        yield reached.view
    end()
    engine.stop(drain_seconds=0)


def stored(settings: EngineSettings) -> AlertSettings:
    return saved(settings).load().site.alerts


def saved(settings: EngineSettings) -> ConfigurationStore:
    return ConfigurationStore(settings.config_file, clock=SystemClock())


def test_no_answer_has_a_secret(view: EngineView) -> None:
    (run,) = view.processors.list()
    renamed = view.processors.save(replace(run.processor, label="Other"), "anna")
    disabled = view.processors.set_enabled(run.processor.id, False, "anna")
    view.set_site(replace(view.site(), alerts=AlertSettings()), "anna")
    answers = [
        *(view.site().to_record(), run.processor.to_record(), renamed.to_record()),
        *(disabled.to_record(), view.history.revisions(), view.history.diff(0), view.snapshot()),
        *[row for number in range(1, 6) for row in view.history.diff(number)],
    ]
    said = json.dumps(answers, default=repr)
    assert [secret for secret in SECRETS if secret in said] == []


def test_a_site_that_is_sent_back_keeps_its_secrets(
    view: EngineView, settings: EngineSettings
) -> None:
    seen = view.site()
    assert seen.alerts.targets[0].webhook == f"https://hooks.example/{MASK}"
    assert seen.alerts.targets[1].command == ("/bin/true", MASK)
    view.set_site(replace(seen, receivers_allowed=False), "anna", replacing=seen)
    assert stored(settings).targets == (HOOK, MAIL)


def test_a_target_is_renamed_and_told_of_less_and_keeps_its_secret(
    view: EngineView, settings: EngineSettings
) -> None:
    seen = view.site()
    hook, mail = seen.alerts.targets
    changed = replace(hook, name="chat", kinds=(AlertKind.STORAGE,))
    view.set_site(replace(seen, alerts=AlertSettings((changed, mail))), "anna", replacing=seen)
    assert stored(settings).target("chat") == replace(HOOK, name="chat", kinds=(AlertKind.STORAGE,))


@pytest.mark.parametrize(
    "changed",
    [
        AlertTarget("slack", webhook=f"https://evil.example/{MASK}"),
        AlertTarget("new", command=("/bin/cat", MASK)),
    ],
    ids=["webhook", "command"],
)
def test_a_secret_goes_nowhere_else(
    view: EngineView, settings: EngineSettings, changed: AlertTarget
) -> None:
    seen = view.site()
    with pytest.raises(InvalidSite, match="has a mask in place of a secret"):
        view.set_site(replace(seen, alerts=AlertSettings((changed,))), "anna")
    with pytest.raises(InvalidSite, match="has a mask in place of a secret"):
        view.monitoring.try_alert(changed, "anna")
    assert stored(settings).targets == (HOOK, MAIL)


def test_a_new_secret_takes_the_place_of_the_old(
    view: EngineView, settings: EngineSettings
) -> None:
    seen = view.site()
    new = AlertTarget("slack", webhook="https://hooks.example/NEW")
    view.set_site(replace(seen, alerts=AlertSettings((new,))), "anna", replacing=seen)
    assert stored(settings).targets == (new,)


def test_a_processor_that_is_sent_back_keeps_its_arguments(
    view: EngineView, settings: EngineSettings
) -> None:
    seen = view.processors.list()[0].processor
    assert dict(seen.parameters) == {"program": "/bin/true", "arguments": MASK}
    view.processors.save(replace(seen, priority=5), "anna", replacing=seen)
    (after,) = saved(settings).load().processors
    assert (after.priority, dict(after.parameters)["arguments"]) == (5, ARGUMENTS)
    elsewhere = replace(seen, parameters=(("program", "/bin/cat"), ("arguments", MASK)))
    for changed in (replace(seen, id=0, label="Copy"), elsewhere):
        with pytest.raises(InvalidProcessor, match="has a mask in place of a secret"):
            view.processors.save(changed, "anna")


class Hook:
    """A webhook and what was posted to it."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        self.came = threading.Condition()


@contextmanager
def listening() -> Iterator[tuple[Hook, int]]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(200)
            self.end_headers()
            with hook.came:
                hook.posted.append((self.path, body))
                hook.came.notify_all()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hook, server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_trial_of_a_masked_target_reaches_the_whole_address(
    view: EngineView,
) -> None:
    with listening() as (hook, port):
        target = AlertTarget("ops", webhook=f"http://127.0.0.1:{port}/T0KEN")
        view.set_site(replace(view.site(), alerts=AlertSettings((target,))), "anna")
        (masked,) = view.site().alerts.targets
        assert masked.webhook == f"http://127.0.0.1:{port}/{MASK}"
        view.monitoring.try_alert(masked, "anna")
    assert [path for path, _ in hook.posted] == ["/T0KEN"]


def lose_a_quote(text: str) -> str:
    return text.replace('T0KEN"', "T0KEN")


def write_a_wrong_address(text: str) -> str:
    return text.replace("https://u:S3CRETPW", "ftp://u:S3CRETPW")


def write_a_text_for_a_target(text: str) -> str:
    tables = json.loads(text)
    tables["site"]["1"]["alerts"]["targets"] = ["https://u:S3CRETPW@hooks.example/T0KEN"]
    return json.dumps(tables, indent=1)


def misspell_a_member(text: str) -> str:
    return text.replace('"alerts": {', '"https://u:S3CRETPW@h/T0KEN": 1, "alerts": {')


def break_a_script(text: str) -> str:
    tables = json.loads(text)
    script = 'version "6.6"\n(0010,0010) := "S3CRETPW\n'
    tables["site"]["1"] |= {"anonymization_script": script, "anonymization_script_enabled": True}
    return json.dumps(tables, indent=1)


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lose_a_quote, "config.json line "),
        (write_a_wrong_address, "site.alerts.webhook"),
        (write_a_text_for_a_target, "site.alerts.targets"),
        (misspell_a_member, "site"),
        (break_a_script, "site.anonymization_script line 2"),
    ],
)
def test_no_text_of_a_faulty_configuration_is_in_event_alert_log_or_bundle(
    settings: EngineSettings, spoil: object, where: str
) -> None:
    with listening() as (hook, port):
        listener = AlertTarget("listener", webhook=f"http://127.0.0.1:{port}/x")
        store = saved(settings)
        site = store.load().site
        store.set_site(replace(site, alerts=AlertSettings((listener, HOOK))), "anna")
        engine = Engine(settings)
        engine.start()
        assert callable(spoil)
        settings.config_file.write_text(spoil(settings.config_file.read_text()))
        engine.reload()
        with hook.came:
            assert hook.came.wait_for(lambda: hook.posted, timeout=20)
        events = [recorded.event for recorded in engine.events_since(0, 1000).events]
        (refused,) = (event for event in events if isinstance(event, ConfigurationRefused))
        engine.stop(drain_seconds=0)
    assert where in refused.reason
    bundle = b"".join(collect(settings, None, None).values()).decode()
    log = settings.event_log.read_text()
    said = refused.sentence() + "".join(body for _, body in hook.posted) + log + bundle
    assert [secret for secret in SECRETS if secret in said] == []


def test_what_holds_secrets_shows_none_where_it_is_printed_by_accident() -> None:
    parameters = (("program", "/bin/true"), ("arguments", ARGUMENTS))
    receiver = replace(make_receiver("XNAT", 8104), identifier_settings=(("key", "T0KEN"),))
    processor = Processor(1, "Run", "command", parameters=parameters)
    settings = Settings(tuple(Command.info.complete(dict(parameters)).items()))
    held = (HOOK, MAIL, receiver, processor, settings, program_of(processor, settings))
    assert [secret for secret in SECRETS if secret in repr(held)] == []
