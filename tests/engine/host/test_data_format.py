"""A data directory says which programs can open it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine import Engine, __version__
from engine.cli import main
from engine.errors import StorageUnusable
from engine.host.data_format import FORMAT, DataFormat, read_format, write_format
from engine.settings import EngineSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_of_a_newer_program_is_refused_by_engine_and_commands_and_nothing_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = EngineSettings(tmp_path)
    settings.format_file.write_text(json.dumps({"format": FORMAT + 1, "dicomdock": "7.0.0"}))
    with pytest.raises(StorageUnusable, match=f"has format 2, this version opens {FORMAT}") as told:
        Engine(settings).start()
    assert "run dicomdock 7.0.0; or go back" in str(told.value.remedy)
    assert main(["--data", str(tmp_path), "receivers", "list"]) == StorageUnusable.exit_code
    assert "7.0.0" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["format.json"]


def test_the_number_is_written_once_and_a_new_directory_keeps_no_copy(tmp_path: Path) -> None:
    settings = EngineSettings(tmp_path)
    settings.config_file.write_text("{}")
    write_format(settings, __version__)
    assert read_format(settings) == DataFormat(FORMAT, __version__)
    before = settings.format_file.stat().st_ino
    write_format(settings, __version__)
    assert settings.format_file.stat().st_ino == before
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "format.json"}


@pytest.mark.parametrize("torn", ["", "[]", "{}", '{"format": "x", "dicomdock": 1}', "[" * 9000])
def test_a_torn_file_stops_no_engine(tmp_path: Path, torn: str) -> None:
    settings = EngineSettings(tmp_path)
    settings.format_file.write_text(torn)
    write_format(settings, __version__)
    assert read_format(settings).number == FORMAT


def test_a_name_that_would_draw_on_the_terminal_is_left_out(tmp_path: Path) -> None:
    settings = EngineSettings(tmp_path)
    settings.format_file.write_text(json.dumps({"format": 9, "dicomdock": "\x1b[2J"}))
    with pytest.raises(StorageUnusable) as told:
        Engine(settings).start()
    assert "run a newer dicomdock" in str(told.value.remedy)
