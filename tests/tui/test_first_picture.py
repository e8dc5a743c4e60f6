"""What the console loads, and parses, before its first picture: no more than the picture shows."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest
from textual.css.stylesheet import Stylesheet
from textual.css.tokenizer import TokenError

from tests.fakes import FakeEngine
from tui.app import ConsoleApp
from tui.late_engine import loading
from tui.theme import OnceParsed

LATE = {
    "engine.service.engine": "the engine, which is loaded on a thread when the picture is there",
    "engine.config.store": "TinyDB",
    "engine.model.receiver": "what the model of a receiver needs, for its dialog",
    "engine.model.whitelist": "whitelists, for letting in a rejected caller",
    "tui.associations.screen": "any other screen",
    "tui.receivers.form": "any dialog",
    "pydicom": "DICOM",
    "pynetdicom": "DICOM",
    "uvicorn": "the control server",
    "watchfiles": "the configuration watcher",
    "sqlite3": "the index",
    "importlib.metadata": "looking up versions",
}


def test_nothing_is_imported_that_the_first_picture_does_without() -> None:
    program = "import json, sys, tui.cli, tui.app; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    loaded = set(json.loads(ran.stdout))
    assert "tui.dashboard.screen" in loaded
    assert not loaded & LATE.keys()


@pytest.mark.usefixtures("styles_parsed_anew")
async def test_each_source_of_styles_is_parsed_once_for_the_first_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []

    def parse(scope: str, css: str, read_from: object, **options: object) -> object:
        parsed.append((read_from, options["tie_breaker"]))
        return really_parse(scope, css, read_from, **options)

    really_parse = sys.modules["textual.css.stylesheet"].parse
    monkeypatch.setattr("textual.css.stylesheet.parse", parse)
    async with ConsoleApp(FakeEngine(), refresh_hz=0).run_test() as pilot:
        await pilot.pause()
    assert len(parsed) > 10
    assert len(parsed) == len(set(parsed))


def test_other_colors_are_parsed_anew() -> None:
    styles = OnceParsed(variables={"line": "#111111"})
    styles.add_source("Widget { color: $line; }")
    (before,) = styles.rules
    styles.set_variables({"line": "#222222"})
    styles.reparse()
    (after,) = styles.rules
    assert before.styles.color.hex == "#111111"
    assert after.styles.color.hex == "#222222"


@pytest.mark.parametrize("kind", [Stylesheet, OnceParsed])
def test_styles_that_are_wrong_leave_the_others_as_they_are(kind: type[Stylesheet]) -> None:
    styles = kind(variables={"line": "#111111"})
    styles.add_source("Widget { color: $line; }", ("right", ""))
    (before,) = styles.rules
    styles.source[("wrong", "")] = styles.source[("right", "")]._replace(content="Widget { a")
    with pytest.raises(TokenError):
        styles.reparse()
    assert [rule.styles.color.hex for rule in (styles._rules or ())] == [before.styles.color.hex]


def test_no_garbage_is_collected_while_code_is_loaded_and_again_afterwards() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_a_field_of_the_first_screen_may_be_made_before_the_screen_is_there() -> None:
    """As since Python 3.12: a new field clears the selection of text."""
    ConsoleApp(FakeEngine(), refresh_hz=0).clear_selection()
