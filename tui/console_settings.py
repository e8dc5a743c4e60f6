"""Reads and writes the user's settings of the console.

A broken file gives the defaults and a warning.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_config_path

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 64 * 1024
DEFAULT_THEME = "dark"


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings that are kept."""

    theme: str = DEFAULT_THEME
    themes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Themes of the user's own by name: the ``base`` that they begin with, and other colors."""


def settings_path() -> Path:
    """Return where the settings of this user are, such as ``~/.config/dicomdock/console.json``."""
    return user_config_path("dicomdock") / "console.json"


def load_settings(path: Path) -> tuple[ConsoleSettings, str]:
    """Return the settings, and why they are not what the file says, if so; never raises."""
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(MAX_BYTES))  # not more, whatever the file is
    except FileNotFoundError:
        return ConsoleSettings(), ""
    except (OSError, ValueError, RecursionError) as error:
        return ConsoleSettings(), f"{path} can't be read, usual settings are used: {error}"
    theme = record.get("theme", DEFAULT_THEME) if isinstance(record, dict) else None
    if not isinstance(theme, str):
        return ConsoleSettings(), f"{path} names no theme, the usual one is used"
    themes = record.get("themes", {})
    if not _are_themes(themes):
        return ConsoleSettings(theme), f"{path}: themes are left out: write name: {{color: value}}"
    return ConsoleSettings(theme, themes), ""


def _are_themes(raw: object) -> bool:
    return isinstance(raw, dict) and all(
        isinstance(said, dict) and all(isinstance(value, str) for value in said.values())
        for said in raw.values()
    )


def save_settings(path: Path, settings: ConsoleSettings) -> str:
    """Keep the settings; return why that was not possible, if so; never raises."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(asdict(settings), indent=2) + "\n")
    except OSError as error:
        return f"the theme is not kept: {path} can't be written: {error.strerror or error}"
    return ""


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
