"""The contract of file namers, and those that are installed.

A plug-in is a class without arguments, and an entry point of the group ``dicomdock.file_namers``
whose name is its ``id``. It has a ``name`` for people and a ``template`` in the syntax of
``sessions.file_name_template``, such as ``${StationName}-${SOPInstanceUID}``. A receiver that
selects it names its files by that template. The template is checked when the engine starts; no code
of the plug-in runs while objects arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import InvalidSite
from engine.events import PluginBroken
from engine.model.file_name_template import parse_template
from engine.model.plugins import FILE_NAMERS, FileNamerInfo
from engine.plugins.loading import NotAPlugin, is_a, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.events import Event
    from engine.model.plugins import FileNamers
    from engine.plugins.loading import Plugin


class FileNamer(Protocol):
    """A named template for file names."""

    @property
    def id(self) -> str:
        """The entry point's name."""
        ...

    @property
    def name(self) -> str:
        """The name that the dialog shows."""
        ...

    @property
    def template(self) -> str:
        """The template, such as ``${StationName}-${SOPInstanceUID}``."""
        ...


def load_file_namers() -> tuple[Plugin[FileNamerInfo], ...]:
    """Load the installed file namers; broken ones carry their error."""
    return load(FILE_NAMERS, _checked)


def file_namers_of(plugins: Iterable[Plugin[FileNamerInfo]]) -> tuple[FileNamerInfo, ...]:
    """Return id, name and template of each, broken ones with their error."""
    found: dict[str, FileNamerInfo] = {}
    for plugin in plugins:
        broken = FileNamerInfo(plugin.info.id, plugin.info.id, error=plugin.info.error)
        # Our own come first in the order of loading, so they win over rivals of the same id.
        found.setdefault(plugin.info.id, plugin.loaded or broken)
    return tuple(found.values())


def templates_of(
    plugins: Iterable[Plugin[FileNamerInfo]], report: Callable[[Event], object]
) -> FileNamers:
    """Return the templates by the namer's id, and report namers that can't be used."""
    templates = {}
    for plugin in plugins:
        if plugin.loaded is None:
            info = plugin.info
            report(PluginBroken(plugin=f"{info.id} of {info.origin}", error=info.error))
        else:
            templates[plugin.info.id] = parse_template(plugin.loaded.template)
    return templates


def _checked(plugin_id: str, named: object) -> FileNamerInfo:
    if not callable(named):
        raise NotAPlugin("is neither a class nor a function that makes a file namer")
    made: FileNamer = named()
    if made.id != plugin_id:
        raise NotAPlugin(f"calls itself {made.id!r} but is installed as {plugin_id!r}")
    if not is_a(str, made.name) or not made.name.strip() or not made.name.isprintable():
        raise NotAPlugin("name is not a name")
    if not is_a(str, made.template):
        raise NotAPlugin("template is not text")
    try:
        parse_template(made.template)
    except InvalidSite as error:
        raise NotAPlugin(f"its template: {error.problems[0].message}") from error
    return FileNamerInfo(plugin_id, made.name, made.template)
