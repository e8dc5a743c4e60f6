"""The console's own settings."""

from pathlib import Path

import pytest

from tui.settings import ConsoleSettings, load_settings, save_settings


def test_settings_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "dicomdock" / "console.json"
    assert load_settings(path) == (ConsoleSettings(), "")
    assert save_settings(path, ConsoleSettings("light")) == ""
    assert load_settings(path) == (ConsoleSettings("light"), "")
    assert [file.name for file in path.parent.iterdir()] == ["console.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"theme": 3}', b"[" * 100_000],
)
def test_a_broken_file_gives_the_usual_settings_and_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "console.json"
    path.write_bytes(content)
    settings, problem = load_settings(path)
    assert settings == ConsoleSettings()
    assert str(path) in problem
