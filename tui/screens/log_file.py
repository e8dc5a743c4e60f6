"""Writing a log to a file: a line of text, or of JSON, for each entry."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tui.forms.event_log import LogEntry


class NotSaved(EngineError):
    """The file could not be written."""

    title = "The events are not saved"


def usual_name(now: datetime) -> str:
    """Return a name that no earlier file has, such as ``~/dicomdock-20260824-140322.log``."""
    return f"~/dicomdock-{now.astimezone():%Y%m%d-%H%M%S}.log"


def save_entries(name: str, entries: Iterable[LogEntry]) -> Path:
    """Write entries to a new file that only this user can read; ``.jsonl`` asks for JSON lines.

    Raises:
        NotSaved: if there is such a file, or it can't be written.
    """
    as_json = name.endswith((".jsonl", ".json"))
    lines = (json_line(entry) if as_json else text_line(entry) for entry in entries)
    try:
        path = Path(name).expanduser()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError as error:
        raise NotSaved(f"{name}: there is such a file", "choose another name") from error
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise NotSaved(f"{name}: {why}", "choose a place that this user may write to") from error
    return path


def text_line(entry: LogEntry) -> str:
    """Return an entry as a line for people; no character in it can do harm."""
    at = entry.at.astimezone().isoformat(timespec="milliseconds")
    if entry.recorded is None:
        return f"{at} ──────── mark ────────"
    event = entry.recorded.event
    about = (event.receiver, event.calling_ae_title, event.association, event.topic)
    words = "  ".join(safe(word) or "–" for word in about)
    return f"{at} {event.severity:5}  {words}  {entry.sentence}"


def json_line(entry: LogEntry) -> str:
    """Return an entry as a line for programs, in ASCII."""
    if entry.recorded is None:
        return json.dumps({"at": entry.at.isoformat(), "kind": "Mark"})
    record = {"sequence": entry.recorded.sequence, "at": entry.at.isoformat()}
    return json.dumps(record | entry.recorded.event.to_record(), default=str)
