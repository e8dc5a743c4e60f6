"""A configuration as a TOML document and the files beside it, without secrets and bookkeeping."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from engine.model.anonymization import REVISION, SITE_SCRIPT
from engine.model.secrets import without_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from engine.config.document import Record
    from engine.model.configuration import Configuration

SECRETS = "secrets"
"""The folder of the files that hold secrets; they are referred to, and not written."""
SCRIPTS = "scripts"

_HEAD = """\
# The configuration of dicomdock. Show what it would change: dicomdock config apply FILE --dry-run
# A text may be { file = "PATH" }, relative to this file, or { env = "NAME" }.

"""
_NO_NAME = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(slots=True)
class Export:
    """A document, and what belongs beside it."""

    content: Record = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    """Texts by the path of their file, relative to the document."""
    secrets: list[str] = field(default_factory=list)
    """The files of secrets that the document refers to; somebody has to write them."""

    def text(self) -> str:
        """Return the document as TOML."""
        return _HEAD + "\n".join(_lines((), self.content)).lstrip("\n") + "\n"


def exported(configuration: Configuration, *, inline: bool = False) -> Export:
    """Return a configuration as a document.

    Args:
        configuration: it may have secrets; the document refers to files for them.
        inline: whether the document contains the scripts, so that it is one file.
    """
    export = Export()
    writing = _Writing(export, inline)
    tables: dict[str, Iterable[tuple[str, Record]]] = {
        "projects": ((one.id, one.to_record()) for one in configuration.projects.projects),
        "receivers": ((one.label, one.to_record()) for one in configuration.receivers),
        "processors": ((one.label, one.to_record()) for one in configuration.processors),
        "peers": ((one.ae_title, one.to_record()) for one in configuration.peers),
    }
    export.content["site"] = writing.record("site", configuration.site.to_record())
    for table, records in tables.items():
        kind = table.removesuffix("s")
        export.content[table] = [writing.record(f"{kind}-{name}", one) for name, one in records]
    return export


class _Writing:
    def __init__(self, export: Export, inline: bool) -> None:
        self._export = export
        self._inline = inline

    def record(self, name: str, record: Record) -> Record:
        """Return a record as TOML can have it, without None and numbers of this program."""
        written = {
            member: self._value(f"{name}-{member}", member, value)
            for member, value in record.items()
            if member != REVISION and (member != "id" or isinstance(value, str))
        }
        script = record.get(SITE_SCRIPT)
        if script and written[SITE_SCRIPT] == script and not self._inline:
            path = _unused(f"{SCRIPTS}/{_file_name(name)}", ".das", self._export.scripts)
            self._export.scripts[path] = str(script)
            written[SITE_SCRIPT] = {"file": path}
        return {member: value for member, value in written.items() if value is not None}

    def _value(self, name: str, member: str, value: object) -> object:
        if isinstance(value, dict):
            return self.record(name, value)
        if isinstance(value, list | tuple):
            masked = without_secrets(member, list(value))
            # One mask may stand for the whole list, or for all arguments of a command.
            shown = masked if isinstance(masked, list) else [masked]
            shown += shown[-1:] * (len(value) - len(shown))
            return [
                self._item(f"{name}-{number}", member, one, mask)
                for number, (one, mask) in enumerate(zip(value, shown, strict=True), start=1)
            ]
        if member in _OF_THE_SITE and value is None:
            return ""
        return self._item(name, member, value, without_secrets(member, value))

    def _item(self, name: str, member: str, value: object, masked: object) -> object:
        if isinstance(value, dict):  # a target of alerts
            return self.record(f"alert-{value['name']}", value)
        if masked == value:
            return str(value) if isinstance(value, str) else value
        path = _unused(f"{SECRETS}/{_file_name(name)}", "", self._export.secrets)
        self._export.secrets.append(path)
        return {"file": path}


def _file_name(name: str) -> str:
    """Return a name without what could lead out of a folder."""
    return _NO_NAME.sub("-", name).strip("-.")


def _unused(path: str, suffix: str, used: Collection[str]) -> str:
    numbered = (f"{path}-{number}{suffix}" for number in count(2))
    return next(name for name in chain((f"{path}{suffix}",), numbered) if name not in used)


_OF_THE_SITE = ("file_namer", "duplicates")
"""Members for which an empty text leaves it to the site, which TOML has no None for."""


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDEST = 90


def _lines(path: tuple[str, ...], table: Record) -> Iterator[str]:
    """Yield the lines of a table: values first, as TOML wants it, then tables below it."""
    below: list[tuple[tuple[str, ...], str, Record]] = []
    for name, value in table.items():
        if isinstance(value, dict) and value and not _is_reference(value):
            below.append(((*path, name), "[{}]", value))
        elif isinstance(value, list) and value and all(map(_is_table, value)):
            below += [((*path, name), "[[{}]]", one) for one in value]
        else:
            yield f"{_key(name)} = {_text_of(value)}"
    for place, header, inner in below:
        yield "\n" + header.format(".".join(map(_key, place)))
        yield from _lines(place, inner)


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and value.keys() <= {"file"}


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and not _is_reference(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _text_of(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        members = ", ".join(f"{_key(name)} = {_text_of(one)}" for name, one in value.items())
        return f"{{ {members} }}" if members else "{}"
    if isinstance(value, list):
        items = [_text_of(one) for one in value]
        line = f"[{', '.join(items)}]"
        is_short = len(line) <= _WIDEST and "\n" not in line
        return line if is_short else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return json.dumps(value)  # a number or a switch, which TOML writes as JSON does


def _string(text: str) -> str:
    """Return a text as TOML: regular expressions unescaped, several lines as several lines."""
    has_lines, quote = "\n" in text, "'"
    plain = text.replace("\n", "").isprintable() and quote not in text
    if plain and has_lines:
        return f"{quote * 3}\n{text}{quote * 3}"
    if plain and "\\" in text:
        return f"{quote}{text}{quote}"
    if has_lines:
        return '"""\n' + "\n".join(_quoted(line)[1:-1] for line in text.split("\n")) + '"""'
    return _quoted(text)


def _quoted(text: str) -> str:
    # JSON escapes all that TOML wants escaped, DEL excepted.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007F")
