"""Reads and writes the user's settings of the console.

A broken file is put aside; a setting that makes no sense is left out, and both are said.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_config_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BYTES = 64 * 1024
DEFAULT_THEME = "dark"
MIN_HZ, MAX_HZ = 0.1, 30.0
"""How often the console may look, per second."""


class Symbols(StrEnum):
    """Which characters the console draws with."""

    AUTO = "auto"
    """Those that the terminal can show, as far as its language says so."""
    UNICODE = "unicode"
    ASCII = "ascii"


@dataclass(frozen=True, slots=True)
class TableSettings:
    """What the user chose for one table."""

    sort: str = ""
    """A column's key; empty for the usual order."""
    descending: bool = False
    columns: tuple[str, ...] = ()
    """Keys of the columns to show; empty for the usual ones."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings that are kept."""

    theme: str = DEFAULT_THEME
    themes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Themes of the user's own by name: the ``base`` that they begin with, and other colors."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Other keys than the usual ones, by the ids of `tui.keys`; not checked."""
    symbols: Symbols = Symbols.AUTO
    refresh: float | None = None
    """Looks per second; None for the usual."""
    tables: Mapping[str, TableSettings] = field(default_factory=dict)
    """By the names of tables."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """What the filter lines say, by the names of screens."""


def settings_path() -> Path:
    """Return where the settings of this user are, such as ``~/.config/dicomdock/console.json``."""
    return user_config_path("dicomdock") / "console.json"


def load_settings(path: Path) -> tuple[ConsoleSettings, str]:
    """Return the settings, and why they are not what the file says, if so; never raises."""
    try:
        record = _read(path)
    except OSError as error:
        return ConsoleSettings(), f"{path} can't be read, usual settings are used: {error}"
    except (ValueError, TypeError, RecursionError) as error:
        return ConsoleSettings(), f"{path} is broken: {error}; {_put_aside(path)}"
    values: dict[str, Any] = {}
    refused: list[str] = []
    for name, (read, form) in _FORMS.items():
        if name not in record:
            continue
        try:
            values[name] = read(record[name])
        except (TypeError, ValueError, AttributeError):
            refused.append(f"{name} is left out: write {form}")
    problem = f"{path}: {'; '.join(refused)}" if refused else ""
    return ConsoleSettings(**values), problem


def _read(path: Path) -> dict[str, Any]:
    """Return what the file says; nothing without a file.

    Raises:
        ValueError, TypeError: if it is no JSON object.
    """
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(MAX_BYTES))  # not more, whatever the file is
    except FileNotFoundError:
        return {}
    if not isinstance(record, dict):
        raise TypeError("it is no JSON object")
    return record


def _put_aside(path: Path) -> str:
    """Rename a broken file, which the next change would overwrite; say where it is."""
    aside = path.with_name(f"{path.name}.broken")
    try:
        path.replace(aside)
    except OSError as error:
        return f"usual settings are used ({error.strerror or error})"
    return f"it is {aside.name} now, and usual settings are used"


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError
    return raw


def _texts(raw: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in raw.items()}


def _themes(raw: Any) -> dict[str, dict[str, str]]:
    return {name: _texts(said) for name, said in raw.items()}


def _refresh(raw: Any) -> float | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not MIN_HZ <= raw <= MAX_HZ:
        raise ValueError
    return float(raw)


def _tables(raw: Any) -> dict[str, TableSettings]:
    return {name: _table(said) for name, said in raw.items()}


def _table(said: Any) -> TableSettings:
    return TableSettings(
        sort=_text(said.get("sort", "")),
        descending=bool(said.get("descending", False)),
        columns=tuple(map(_text, said.get("columns", ()))),
    )


_FORMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "theme": (_text, "the name of a theme"),
    "themes": (_themes, "name: {color: value}"),
    "keys": (_texts, 'id: key, such as {"view.pause": "f7"}'),
    "symbols": (Symbols, "auto, unicode or ascii"),
    "refresh": (_refresh, f"how often a second, {MIN_HZ:g} to {MAX_HZ:g}"),
    "tables": (_tables, "table: {sort, descending, columns}"),
    "filters": (_texts, "screen: text"),
}
"""How each setting is read, and what it should look like."""


def save_setting(path: Path, name: str, value: object) -> str:
    """Change one setting; return why that was not possible, if so; never raises.

    The file is read again, so that neither what another console saved nor what this one does
    not understand is lost. A table's settings are changed one by one: ``tables.sessions``.
    """
    try:
        try:
            record = _read(path)
        except (ValueError, TypeError, RecursionError):
            record = {}
        group, _, part = name.partition(".")
        if part:
            inside = record.get(group)
            record[group] = {**(inside if isinstance(inside, dict) else {}), part: value}
        else:
            record[group] = value
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        return f"{name} is not kept: {path} can't be written: {error.strerror or error}"
    return ""


class KeptSettings:
    """The user's settings as they are now; each change is kept at once."""

    def __init__(self, path: Path | None, hz: float) -> None:
        """Load them.

        Args:
            path: their file; None keeps nothing.
            hz: how often the console looks, if the settings do not say.
        """
        self.path = path
        self.settings, self.problem = (
            load_settings(path) if path is not None else (ConsoleSettings(), "")
        )
        self.hz = hz
        """How often the console looks, per second."""

    def table(self, name: str) -> TableSettings:
        """Return what was chosen for a table."""
        return self.settings.tables.get(name, TableSettings())

    def keep_table(self, name: str, chosen: TableSettings) -> str:
        """Keep what was chosen for a table; return why that was not possible, if so."""
        self.settings = replace(self.settings, tables={**self.settings.tables, name: chosen})
        return self._save(f"tables.{name}", asdict(chosen))

    def keep_filter(self, screen: str, text: str) -> str:
        """Keep what a filter line says; return why that was not possible, if so."""
        if text == self.settings.filters.get(screen, ""):
            return ""
        self.settings = replace(self.settings, filters={**self.settings.filters, screen: text})
        return self._save(f"filters.{screen}", text)

    def keep_hz(self, hz: float) -> str:
        """Look so often from now on; return why that can't be kept, if so."""
        self.hz = hz
        return self._save("refresh", hz)

    def keep_theme(self, name: str) -> str:
        """Keep a theme; return why that was not possible, if so."""
        return self._save("theme", name)

    def _save(self, name: str, value: object) -> str:
        return save_setting(self.path, name, value) if self.path is not None else ""


def _replace(path: Path, text: str) -> None:
    # Beside the file, so that it can be renamed: a reader sees the old settings or the new.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
