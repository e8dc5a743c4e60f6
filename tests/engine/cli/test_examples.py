"""Every command has examples in its help, and they can be given."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from engine.cli.examples import EXAMPLES, examples_of
from tests.engine.cli.test_parity import KNOWN
from tui.cli import console_parser

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_every_command_has_an_example_which_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(EXAMPLES) == {" ".join(words) for words in KNOWN} | {"demo"}
    monkeypatch.chdir(tmp_path)
    for name in ("address.txt", "p.das", "rules.txt", "site.das"):  # read with the options
        (tmp_path / name).write_text("")
    parser = console_parser()
    for words, examples in EXAMPLES.items():
        for example in examples:
            given = parser.parse_args(shlex.split(example))
            assert given.command == words.partition(" ")[0]
            assert f" {words}" in f" {example}"
    assert capsys.readouterr().err == ""


def test_both_programs_show_the_examples_in_their_help() -> None:
    assert examples_of("dicomdock check") == ("dicomdock check", "dicomdock check --adopt")
    assert examples_of("python -m engine check") == examples_of("dicomdock check")
    help_of_all = console_parser().format_help()
    assert "examples" not in help_of_all
