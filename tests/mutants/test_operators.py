"""The faults that are made of a source text."""

from __future__ import annotations

import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.mutants.__main__ import EQUIVALENT
from tests.mutants.operators import Kind, mutants_of
from tests.mutants.runs import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (Kind.DURABILITY, "os.fsync(fd)", "pass"),
        (Kind.DURABILITY, "run('PRAGMA synchronous = FULL')", "run('PRAGMA synchronous=OFF')"),
        (Kind.DURABILITY, "run('BEGIN IMMEDIATE')", "run('BEGIN')"),
        (Kind.LOCK, "with self._lock: x()", 'with __import__("contextlib").nullcontext(): x()'),
        (Kind.SECURITY, "f = os.O_RDONLY | os.O_NOFOLLOW", "f = (os.O_RDONLY)"),
        (Kind.SECURITY, "f = os.O_EXCL | os.O_CREAT", "f = (os.O_CREAT)"),
        (Kind.SECURITY, "os.mkdir(p, 0o700)", "os.mkdir(p, 0o777)"),
        (Kind.SECURITY, "os.umask(0o077)", "os.umask(0o000)"),
        (Kind.SECURITY, "os.stat(p, follow_symlinks=False)", "os.stat(p, follow_symlinks=True)"),
        (Kind.SECURITY, "ok = hmac.compare_digest(a, b)", "ok = True"),
        (Kind.TIME_ZONE, "day = at.astimezone().date()", "day = at.date()"),
        (Kind.LOGIC, "x = a < b", "x = (a <= b)"),
        (Kind.LOGIC, "x = a and b", "x = (a)"),
        (Kind.LOGIC, "x = not a", "x = bool(a)"),
        (Kind.LOGIC, "x = a + b", "x = (a - b)"),
        (Kind.LOGIC, "x = 7", "x = 8"),
        (Kind.LOGIC, "raise ValueError", "pass"),
        (Kind.LOGIC, "try: a()\nexcept OSError: b()", "try: a()\nexcept (): b()"),
        (Kind.LOGIC, "x = 'ä' if a else b", "x = 'ä' if True else b"),
        (Kind.LOGIC, "x = (not a) == (b or c)", "x = ((not a) != (b or c))"),
        (Kind.LOGIC, "x = a and (b or c) and d", "x = (a and (b or c))"),
        (Kind.LOGIC, "x = a - (b - c)", "x = (a + (b - c))"),
    ],
)
def test_a_fault_changes_one_piece_of_the_text(
    tmp_path: Path, kind: Kind, before: str, after: str
) -> None:
    (tmp_path / "module.py").write_text(before)
    made = {
        (m.kind, before[: m.start] + m.replacement + before[m.end :])
        for m in mutants_of("module.py", tmp_path / "module.py")
    }
    assert (kind, after) in made


def test_a_mutant_has_the_texts_of_its_file_whatever_python_would_write_itself(
    tmp_path: Path,
) -> None:
    file = tmp_path / "module.py"
    file.write_text("""x = a["b"] == f'{c["d"]} e'""")
    (mutant,) = mutants_of("module.py", file)
    assert mutant.what == """a["b"] == f'{c["d"]} e' -> (a["b"] != f'{c["d"]} e')"""


def test_the_plain_pieces_of_a_text_with_values_are_one_text(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("run(f'BEGIN IMMEDIATE; {step:3d} COMMIT; {step}')")
    made = [m.what for m in mutants_of("module.py", file) if m.kind is Kind.DURABILITY]
    text = "f'BEGIN IMMEDIATE; {step:3d} COMMIT; {step}'"
    assert made == [f"{text} -> {text.replace(' IMMEDIATE', '')}"]


def test_imports_for_types_only_and_flushes_of_the_terminal_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("if TYPE_CHECKING:\n    x = 1\nsys.stdout.flush()\n")
    assert [m.kind for m in mutants_of("module.py", file)] == [Kind.LOGIC]


def test_a_mode_that_is_open_to_all_already_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("os.umask(0o777)\n")
    assert Kind.SECURITY not in {m.kind for m in mutants_of("module.py", file)}


def test_the_decorator_of_a_class_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("@dataclass(frozen=True, slots=True)\nclass Value:\n    of: int\n")
    assert mutants_of("module.py", file) == []


def test_what_only_sounds_like_a_lock_is_none(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("with suppress(BlockingIOError): x()\nwith self._places_lock: x()\n")
    assert [m.line for m in mutants_of("module.py", file) if m.kind is Kind.LOCK] == [2]


def test_every_mutant_that_changes_nothing_is_one_that_is_made() -> None:
    known = tomllib.loads(EQUIVALENT.read_text("utf-8"))["mutants"]
    modules = {key.partition(":")[0] for key in known}
    made = {mutant.key for module in modules for mutant in mutants_of(module, ROOT / module)}
    # Before Python 3.12 a part of an f-string has no place of its own, so that no mutant is in it.
    in_f_strings = {key for key in known if ":BEGIN IMMEDIATE" in key}
    assert known.keys() - made <= (in_f_strings if sys.version_info < (3, 12) else set())
    assert all(known.values())
