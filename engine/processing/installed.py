"""Loads the installed processor classes from entry points and checks them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.events import PluginBroken
from engine.model.plugins import PROCESSORS
from engine.model.processor import (
    Location,
    ParameterKind,
    ProcessorClass,
    ProcessorParameter,
    ProcessorRules,
    place,
)
from engine.plugins.loading import NotAPlugin, is_a, load
from engine.processing.contract import Preparing, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.events import Event
    from engine.model.plugins import PluginInfo
    from engine.model.processor import Processor
    from engine.plugins.loading import Plugin
    from engine.processing.contract import ProcessorType


_REMEMBERED = 64


@lru_cache(_REMEMBERED)
def script_problems(field: str, text: str) -> tuple[Problem, ...]:
    """Return every problem of a script, for the field that it is in."""
    from engine.anonymize import Script, ScriptError  # Lark and pydicom, which take a while

    try:
        Script.parse(text, field)
    except ScriptError as error:
        return tuple(replace(problem, field=field) for problem in error.problems)
    return ()


def script_fault(text: str) -> str:
    """Return the place of a script's first problem, without any text of it; empty if valid."""
    problems = script_problems("script", text)
    return f"it is not acceptable at its {problems[0].place()}" if problems else ""


_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load_processors() -> tuple[Plugin[ProcessorType], ...]:
    """Load the installed processor classes, built-in ones first; broken ones have an error."""
    return load(PROCESSORS, _checked)


def classes_of(plugins: Iterable[Plugin[ProcessorType]]) -> tuple[ProcessorClass, ...]:
    """Return what the dialog must know about each class, broken ones included."""
    found: dict[str, ProcessorClass] = {}
    for plugin in plugins:
        # The first class of an id counts, as in `Processing`.
        found.setdefault(plugin.info.id, _class(plugin.info, plugin.loaded))
    return tuple(found.values())


def report_broken(
    plugins: Iterable[Plugin[ProcessorType]], report: Callable[[Event], object]
) -> None:
    """Report each class that can't be used."""
    for info in (plugin.info for plugin in plugins if plugin.loaded is None):
        report(PluginBroken(plugin=f"{info.id} of {info.origin}", error=info.error))


def rules_of(plugins: Sequence[Plugin[ProcessorType]]) -> ProcessorRules:
    """Return the rules by which a processor is checked when it is saved."""
    loaded = {plugin.info.id: plugin.loaded for plugin in plugins if plugin.loaded is not None}

    def check(processor: Processor) -> Iterable[Problem]:
        return _own_problems(loaded.get(processor.processor_class), processor)

    return ProcessorRules(classes_of(plugins), check=check)


def settings_of(info: ProcessorClass, processor: Processor) -> Settings:
    """Return the parameters of an instance, defaults included."""
    return Settings(tuple(info.complete(dict(processor.parameters)).items()))


def _own_problems(found: ProcessorType | None, processor: Processor) -> tuple[Problem, ...]:
    """Return the problems that a class finds in its parameters; scripts are checked first."""
    if found is None:
        return ()
    settings = settings_of(found.info, processor)
    scripts = [p.name for p in found.info.parameters if p.kind is ParameterKind.SCRIPT]
    bad = [
        s for n in scripts if settings.text(n) for s in script_problems(place(n), settings.text(n))
    ]
    if bad:
        return tuple(bad)
    try:
        said = tuple(found.check(settings))
    except Exception as error:  # the check is the plugin's own
        # The kind only: the text of an exception may quote a parameter that is a secret.
        message = f"can't be checked by its class ({type(error).__name__})"
        return (Problem("parameters", processor.label, message, "choose another class"),)
    return tuple(replace(problem, field=place(problem.field)) for problem in said)


def _checked(plugin_id: str, named: object) -> ProcessorType:
    """Return the class that an entry point names."""
    if not callable(named):
        raise NotAPlugin("is neither a class nor a function that makes a processor")
    made: ProcessorType = named()
    _check_info(plugin_id, made.info)
    if not callable(getattr(made, "check", None)):
        raise NotAPlugin("has no method check")
    # Built-in classes need no `process`: they prepare instances, or work from queues.
    if isinstance(made, Preparing) or _is_ours(made):
        return made
    if not all(location.is_before_storing for location in made.info.locations):
        raise NotAPlugin("acts after storing, as only classes of dicomdock itself can")
    if not all(callable(getattr(made, name, None)) for name in ("accepts", "process")):
        raise NotAPlugin("has no methods accepts and process")
    return made


def _is_ours(made: object) -> bool:
    return type(made).__module__.partition(".")[0] == "engine"


def _check_info(plugin_id: str, info: object) -> None:
    if not isinstance(info, ProcessorClass):
        raise NotAPlugin("info is not a ProcessorClass")
    if info.id != plugin_id:
        raise NotAPlugin(f"calls itself {info.id!r} but is installed as {plugin_id!r}")
    if not is_a(str, info.name) or not info.name.strip() or not info.name.isprintable():
        raise NotAPlugin("info.name is not a name")
    if not is_a(tuple, info.locations) or not info.locations:
        raise NotAPlugin("info.locations is not a tuple of Location")
    if not all(is_a(Location, location) for location in info.locations):
        raise NotAPlugin("info.locations is not a tuple of Location")
    if not is_a(tuple, info.parameters):
        raise NotAPlugin("info.parameters is not a tuple of ProcessorParameter")
    if not all(is_a(ProcessorParameter, parameter) for parameter in info.parameters):
        raise NotAPlugin("info.parameters is not a tuple of ProcessorParameter")
    names = [parameter.name for parameter in info.parameters]
    if not all(is_a(str, name) and _NAME.fullmatch(name) for name in names):
        raise NotAPlugin("a parameter's name is not lower case letters, digits and '_'")
    if len(set(names)) < len(names):
        raise NotAPlugin("two parameters have the same name")


def _class(plugin: PluginInfo, loaded: ProcessorType | None) -> ProcessorClass:
    if loaded is None:
        return ProcessorClass(plugin.id, plugin.id, origin=plugin.origin, error=plugin.error)
    return replace(loaded.info, origin=plugin.origin)
