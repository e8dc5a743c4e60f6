"""The processor *Remap by study*: a table with labels and scripts for studies.

It does what XNAT's StudyRemapping does for DQR (XNAT 7.4, 10.4), with one table for labels and
scripts. A script may reject an object; an object that it does not change goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.dicom.header import STUDY_INSTANCE_UID
from engine.errors import Problem, ProcessingFailed
from engine.model.processor import Location, ParameterKind, ProcessorClass, ProcessorParameter
from engine.processing.builtin.label_tables import file_problems, parse_table, table_problems
from engine.processing.contract import Continue
from engine.processing.installed import script_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.processing.builtin.label_tables import LabelRow, LabelTable, LabelTables
    from engine.processing.contract import Context, PreparedProcessor, Settings

KEY = "study_instance_uid"
_TABLE = "table"
_FILE = "file"


class RemapByStudy:
    """Relabels the objects of the studies in its table; others go on as they are."""

    info = ProcessorClass(
        "remapByStudy",
        "Remap by study",
        "Says by Study Instance UID which project, subject and session objects get, and which "
        "DicomEdit script is applied to them before their labels are derived.",
        locations=(Location.AFTER_PROJECT_SET, Location.AFTER_DICOM_READ),
        parameters=(
            ProcessorParameter(
                _TABLE,
                "Table",
                f"write CSV that begins with a line such as {KEY},project,subject,session,script",
                ParameterKind.LINES,
            ),
            ProcessorParameter(
                _FILE, "Table file", "write the absolute path of such a CSV", ParameterKind.FILE
            ),
        ),
    )

    def check(self, settings: Settings) -> Iterator[Problem]:
        """Yield what is wrong with the table, and that there must be one."""
        text, file = settings.text(_TABLE), settings.text(_FILE)
        if bool(text) == bool(file):
            message = "is given besides a table" if text else "is empty, and so is the table"
            yield Problem(_FILE, file[:40], message, "give one: a table, or the file of one")
        elif text:
            yield from table_problems(_TABLE, text, _parsed)
        else:
            yield from file_problems(_FILE, Path(file), _parsed)

    def prepare(self, settings: Settings, tables: LabelTables) -> PreparedProcessor:
        """Return an instance."""
        text, file = settings.text(_TABLE), settings.text(_FILE)
        if file:
            return _Prepared(tables.of_file(Path(file), _parsed))
        return _Prepared(tables.of_text(lambda: _parsed(text)))


def _parsed(text: str) -> dict[str, LabelRow]:
    return parse_table(text, KEY, script_fault)


class _Prepared:
    tags = frozenset({STUDY_INSTANCE_UID})

    def __init__(self, table: LabelTable) -> None:
        self._table = table

    @property
    def problem(self) -> str:
        return self._table.problem

    @property
    def runs_scripts(self) -> bool:
        return any(row.script for row in (self._table.rows or {}).values())

    def process(self, context: Context) -> Continue | None:
        rows = self._table.rows
        if rows is None:
            raise ProcessingFailed(self._table.problem)
        row = rows.get((context.header.text(STUDY_INSTANCE_UID) or "").strip())
        if row is None:
            return None
        if row.fault:
            raise ProcessingFailed(f"table: {row.fault}")
        context.assign(
            project=row.project or None, subject=row.subject or None, session=row.session or None
        )
        return Continue(row.script)

    def close(self) -> None:
        self._table.close()
