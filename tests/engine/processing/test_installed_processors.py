"""The installed processor classes: ours, and what is refused as none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import InvalidReceiver
from engine.events import PluginBroken
from engine.model.plugins import (
    FILE_NAMERS,
    PROCESSORS,
    FileNamerInfo,
    PluginInfo,
    file_namer_problems,
)
from engine.model.processor import Location, Processor, ProcessorClass, ProcessorParameter
from engine.model.receiver import ReceiverRules, parse_receiver
from engine.plugins.file_namers import _checked as checked_file_namer
from engine.plugins.file_namers import file_namers_of, load_file_namers, templates_of
from engine.plugins.loading import NotAPlugin, Plugin
from engine.processing.installed import (
    _checked,
    classes_of,
    load_processors,
    report_broken,
    rules_of,
)
from tests.engine.processing import processor_plugins
from tests.engine.processing.processor_plugins import Afterwards

if TYPE_CHECKING:
    from engine.events import Event

PARAMETER = ProcessorParameter("host", "Host", "name it")
BROKEN = PluginInfo(PROCESSORS, "gone", "gone:Gone", "acme", "1", "ImportError: gone")


def changed(**members: object) -> type[processor_plugins.Plugin]:
    return type("Changed", (processor_plugins.Plugin,), members)


def saying(**values: Any) -> type[processor_plugins.Plugin]:
    return changed(info=replace(processor_plugins.Plugin.info, **values))


def test_ours_are_installed_like_any_other() -> None:
    plugins = load_processors()
    assert not [plugin.info for plugin in plugins if plugin.info.error]
    ids = {known.id for known in classes_of(plugins)}
    assert {"relabelFromTable", "remapByStudy", "setElements"} <= ids
    assert all(known.help and known.origin for known in classes_of(plugins))


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (3, "is neither a class nor a function"),
        (changed(info="acme"), "info is not a ProcessorClass"),
        (saying(id="other"), "calls itself 'other' but is installed as 'acme'"),
        (saying(name=" "), "info.name is not a name"),
        (saying(locations=()), "info.locations is not a tuple of Location"),
        (saying(locations=("after_dicom_read",)), "info.locations is not a tuple of Location"),
        (saying(parameters=["host"]), "info.parameters is not a tuple of ProcessorParameter"),
        (saying(parameters=("host",)), "info.parameters is not a tuple of ProcessorParameter"),
        (saying(parameters=(replace(PARAMETER, name="Host"),)), "a parameter's name is not"),
        (saying(parameters=(PARAMETER, PARAMETER)), "two parameters have the same name"),
        (changed(check=None), "has no method check"),
        (changed(process=None), "has no methods accepts and process"),
        (Afterwards, "acts after storing, as only classes of dicomdock itself can"),
    ],
)
def test_what_is_no_processor_says_why(named: object, why: str) -> None:
    with pytest.raises(NotAPlugin) as caught:
        _checked("acme", named)
    assert str(caught.value).startswith(why)


def test_a_broken_class_is_shown_told_and_can_not_be_chosen() -> None:
    told: list[Event] = []
    plugins: list[Plugin[Any]] = [Plugin(BROKEN, None)]
    report_broken(plugins, told.append)
    assert told == [PluginBroken(plugin="gone of acme 1", error="ImportError: gone")]
    (shown,) = rules_of(plugins).classes or ()
    assert shown == ProcessorClass("gone", "gone", origin="acme 1", error="ImportError: gone")


def test_a_check_that_fails_itself_is_a_problem_and_no_crash() -> None:
    info = replace(BROKEN, id="acme", error="")
    rules = rules_of([Plugin(info, processor_plugins.Plugin())])
    assert rules.check is not None
    processor = Processor(1, "P", "acme", parameters=(("do", "broken check"),))
    (problem,) = rules.check(processor)
    assert problem.message == "can't be checked by its class (LookupError)"
    assert list(rules.check(replace(processor, processor_class="other"))) == []


def test_a_script_of_any_class_is_checked_as_one() -> None:
    rules = rules_of(load_processors())
    assert rules.check is not None
    parameters = (("script", 'version "6.6"\n(0010,0010) :=\n'),)
    (problem, *_) = rules.check(Processor(1, "P", "setElements", parameters=parameters))
    assert (problem.field, problem.line) == ("parameters.script", 2)
    assert Location.AFTER_DICOM_READ.is_before_storing


class Namer:
    id: Any = "acme"
    name: Any = "Acme"
    template: Any = "${SOPInstanceUID}"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"id": "other"}, "calls itself 'other'"),
        ({"name": ""}, "name is not a name"),
        ({"template": None}, "template is not text"),
        ({"template": "../${SOPInstanceUID}"}, "its template: "),
        ({"template": "image"}, "its template: has no ${…}"),
    ],
)
def test_what_is_no_file_namer_says_why(members: dict[str, object], why: str) -> None:
    with pytest.raises(NotAPlugin) as caught:
        checked_file_namer("acme", type("Changed", (Namer,), members))
    assert str(caught.value).startswith(why)
    with pytest.raises(NotAPlugin, match="neither a class"):
        checked_file_namer("acme", "text")


def test_a_receiver_may_name_a_file_namer_that_can_be_used_and_the_sites_own() -> None:
    assert load_file_namers() == ()
    good = Plugin(
        PluginInfo(FILE_NAMERS, "acme", "", "acme", "1"), checked_file_namer("acme", Namer)
    )
    broken: Plugin[FileNamerInfo] = Plugin(replace(BROKEN, group=FILE_NAMERS), None)
    told: list[Event] = []
    assert list(templates_of([good, broken], told.append)) == ["acme"]
    assert len(told) == 1
    infos = file_namers_of([good, broken])
    faults = {
        name: [problem.message for problem in file_namer_problems(name, infos)]
        for name in (None, "dicomFileNamer", "acme", "gone", "other")
    }
    assert faults == {
        None: [],
        "dicomFileNamer": [],
        "acme": [],
        "gone": ["can't be used: ImportError: gone"],
        "other": ["is not installed"],
    }


def test_a_receiver_whose_file_namer_is_gone_can_still_be_changed() -> None:
    raw = {"id": 1, "ae_title": "XNAT", "port": 8104, "file_namer": "gone"}
    before = parse_receiver(raw, ReceiverRules())
    rules = ReceiverRules(others=(before,), file_namers=())
    assert parse_receiver({**raw, "port": 8105}, rules).file_namer == "gone"
    with pytest.raises(InvalidReceiver, match="is not installed"):
        parse_receiver({**raw, "file_namer": "other"}, rules)
