"""The processor *Relabel from table*: a CSV file says where objects go, by one of their values."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.datadict import tag_for_keyword

from engine.errors import Problem, ProcessingFailed
from engine.model.processor import Location, ParameterKind, ProcessorClass, ProcessorParameter
from engine.processing.builtin.label_tables import parse_table
from engine.processing.contract import Continue, Reject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.processing.builtin.label_tables import LabelRow, LabelTable, LabelTables
    from engine.processing.contract import Context, PreparedProcessor, Settings

COLUMN = "key"
CALLING_AE_TITLE = "calling_ae_title"
_WORDS = {"patient_id": 0x00100020, "accession_number": 0x00080050}
_FIRST_PIXELS = 0x7FE0_0000
_NUMBER = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


class MissingRowPolicy(StrEnum):
    """The treatment of an object whose key is not in the table."""

    CONTINUE = "continue"
    """It is identified as if there were no table."""
    UNASSIGNED = "unassigned"
    """It has no project, whatever else would name one."""
    REJECT = "reject"
    """It is not stored."""


class RelabelFromTable:
    """Relabels the objects whose key is in its table."""

    info = ProcessorClass(
        "relabelFromTable",
        "Relabel from table",
        "Says by a CSV file which project, subject and session objects get; the file may be "
        "changed at any time.",
        locations=(Location.AFTER_DICOM_READ, Location.AFTER_PROJECT_SET),
        parameters=(
            ProcessorParameter(
                "file",
                "Table file",
                f"write the absolute path of a CSV that begins with a line such as "
                f"{COLUMN},project,subject,session",
                ParameterKind.FILE,
                required=True,
            ),
            ProcessorParameter(
                "key",
                "Key",
                f"write {CALLING_AE_TITLE}, {', '.join(_WORDS)}, a keyword or a tag such as "
                "(0010,0020)",
                default="patient_id",
            ),
            ProcessorParameter(
                "missing",
                "Missing key",
                "say what becomes of objects that are not in the table",
                ParameterKind.CHOICE,
                default=MissingRowPolicy.CONTINUE.value,
                choices=tuple(missing.value for missing in MissingRowPolicy),
            ),
        ),
    )

    def check(self, settings: Settings) -> Iterator[Problem]:
        """Yield a problem if the key names no element. The file may be made later."""
        key = settings.text("key")
        if key != CALLING_AE_TITLE and _tag(key) is None:
            help_text = next(p.help for p in self.info.parameters if p.name == "key")
            yield Problem("key", key[:40], "is no element of a header", help_text)

    def prepare(self, settings: Settings, tables: LabelTables) -> PreparedProcessor:
        """Return an instance."""
        table = tables.of_file(Path(settings.text("file")), _parsed)
        key = settings.text("key")
        tag = None if key == CALLING_AE_TITLE else _tag(key)
        return _Prepared(table, tag, key, MissingRowPolicy(settings.text("missing")))


def _parsed(text: str) -> dict[str, LabelRow]:
    return parse_table(text, COLUMN)


def _tag(key: str) -> int | None:
    """Return the tag of a word, a keyword or of ``(gggg,eeee)``; None if it is none."""
    if key in _WORDS:
        return _WORDS[key]
    number = _NUMBER.fullmatch(key)
    tag = int(number[1] + number[2], 16) if number else tag_for_keyword(key or "nothing")
    return tag if tag is not None and 0x0008_0000 <= tag < _FIRST_PIXELS else None


class _Prepared:
    runs_scripts = False

    def __init__(
        self, table: LabelTable, tag: int | None, key: str, missing: MissingRowPolicy
    ) -> None:
        self.tags = frozenset() if tag is None else frozenset({tag})
        self._table = table
        self._tag = tag
        self._key = key
        self._missing = missing

    @property
    def problem(self) -> str:
        return self._table.problem

    def process(self, context: Context) -> Continue | Reject | None:
        rows = self._table.rows
        if rows is None:
            raise ProcessingFailed(self._table.problem)
        # PS3.5 6.2: padding around a value does not count.
        row = rows.get(self._value(context).strip())
        if row is not None:
            context.assign(
                project=row.project or None,
                subject=row.subject or None,
                session=row.session or None,
            )
            return Continue()
        if self._missing is MissingRowPolicy.REJECT:
            return Reject(f"its {self._key} is not in the table")
        if self._missing is MissingRowPolicy.UNASSIGNED:
            context.assign(project="")
            return Continue()
        return None

    def _value(self, context: Context) -> str:
        if self._tag is None:
            return context.facts.calling_ae_title
        return context.header.text(self._tag) or ""

    def close(self) -> None:
        self._table.close()
