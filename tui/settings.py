"""What a user wants of the console on this account: kept in one file, which may be broken."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_config_path

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The settings that are kept."""

    theme: str = "dark"


def settings_path() -> Path:
    """Return where the settings of this user are, such as ``~/.config/dicomdock/console.json``."""
    return user_config_path("dicomdock") / "console.json"


def load_settings(path: Path) -> tuple[ConsoleSettings, str]:
    """Return the settings, and why they are not what the file says, if so; never raises."""
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        return ConsoleSettings(), ""
    except (OSError, ValueError, RecursionError) as error:
        return ConsoleSettings(), f"{path} can't be read, usual settings are used: {error}"
    theme = record.get("theme") if isinstance(record, dict) else None
    if not isinstance(theme, str):
        return ConsoleSettings(), f"{path} names no theme, the usual one is used"
    return ConsoleSettings(theme), ""


def save_settings(path: Path, settings: ConsoleSettings) -> str:
    """Keep the settings; return why that was not possible, if so; never raises."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, json.dumps(asdict(settings), indent=2) + "\n")
    except OSError as error:
        return f"the theme is not kept: {path} can't be written: {error.strerror or error}"
    return ""


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
