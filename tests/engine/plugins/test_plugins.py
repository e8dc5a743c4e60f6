"""Plugins: each is loaded, or named with what is wrong with it; none stops the others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from engine.plugins.loading import NotAPlugin, describe_error, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.plugins.loading import Plugin

GROUP = "dicomdock.greeters"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what installs a distribution: entry points by name, and the code of its module."""

    def install(distribution: str, code: str, version: str = "1.0", **entries: str) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {target}" for name, target in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
        (site / f"{distribution}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, distribution, raising=False)

    return install


def check(plugin_id: str, named: object) -> str:
    if not isinstance(named, str):
        raise NotAPlugin("is no greeting")
    return f"{plugin_id} says {named}"


def found() -> dict[str, str]:
    """Return what was loaded by id, or what is wrong."""
    plugins: tuple[Plugin[str], ...] = load(GROUP, check)
    assert all(bool(p.info.error) is (p.loaded is None) for p in plugins)
    return {
        f"{p.info.id} of {p.info.origin}": p.loaded or p.info.said or p.info.error for p in plugins
    }


def test_without_plugins_there_are_none() -> None:
    assert found() == {}


def test_plugins_are_loaded_with_the_distribution_that_they_come_from(
    install: Callable[..., None],
) -> None:
    install("acme", "hello = 'hi'", "2.5", polite="acme:hello")
    install("zeta", "hello = 'yo'", rude="zeta:hello", also="zeta:hello")
    assert found() == {
        "also of zeta 1.0": "also says yo",
        "polite of acme 2.5": "polite says hi",
        "rude of zeta 1.0": "rude says yo",
    }


@pytest.mark.parametrize(
    ("code", "target", "error"),
    [
        ("import nothing_like_that", "acme:hello", "ModuleNotFoundError: No module named"),
        ("hello = (", "acme:hello", "SyntaxError: '(' was never closed"),
        ("", "acme:hello", "AttributeError: module 'acme' has no attribute 'hello'"),
        ("", "elsewhere_altogether:hello", "ModuleNotFoundError"),
        ("hello = 'hi'", "not an object", "'not an object' is not module:object"),
        ("hello = 'hi'", "acme:", "'acme:' is not module:object"),
        ("import sys\nsys.exit(3)", "acme:hello", "SystemExit: 3"),
        ("raise BaseException('deep\\nbelow')", "acme:hello", "BaseException: deep below"),
        ("raise ValueError('x' * 9999)", "acme:hello", "ValueError: xxx"),
        ("class E(Exception):\n __str__ = None\nraise E", "acme:hello", "E"),
        ("def f(): return f()\nf()", "acme:hello", "RecursionError"),
        ("hello = 3", "acme:hello", "is no greeting"),
        (
            "class K(type):\n"
            " @property\n"
            " def __class__(self): raise OSError('no class')\n"
            "class hello(metaclass=K): pass",
            "acme:hello",
            "OSError: no class",
        ),
    ],
)
def test_a_broken_plugin_says_what_is_wrong_and_leaves_the_others_alone(
    install: Callable[..., None], code: str, target: str, error: str
) -> None:
    install("zeta", "hello = 'hi'", good="zeta:hello")
    install("acme", code, bad=target)
    loaded = found()
    assert loaded["good of zeta 1.0"] == "good says hi"
    assert loaded["bad of acme 1.0"].startswith(error)
    assert len(loaded["bad of acme 1.0"]) <= 300
    assert loaded["bad of acme 1.0"].isprintable()


def test_what_a_plugin_prints_is_no_data(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", "print('loading'); hello = 'hi'", good="acme:hello")
    found()
    assert capsys.readouterr() == ("", "loading\n")


def test_of_two_plugins_with_one_id_neither_is_chosen(install: Callable[..., None]) -> None:
    install("acme", "hello = 'hi'", same="acme:hello")
    install("zeta", "hello = 'yo'", same="zeta:hello")
    assert found() == {
        "same of acme 1.0": "zeta 1.0 has the same id same; uninstall one of them",
        "same of zeta 1.0": "acme 1.0 has the same id same; uninstall one of them",
    }


def test_nobody_takes_the_place_of_our_own(install: Callable[..., None]) -> None:
    install("dicomdock", "hello = 'we'", same="dicomdock:hello")
    install("acme", "hello = 'they'", same="acme:hello")
    assert found() == {
        "same of dicomdock 1.0": "same says we",
        "same of acme 1.0": "dicomdock 1.0 has the same id same; uninstall one of them",
    }


def test_a_distribution_that_is_there_twice_counts_once(
    install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", "hello = 'old'", "1.0", same="acme:hello")
    (tmp_path / "acme").rename(tmp_path / "older")
    monkeypatch.syspath_prepend(tmp_path / "older")
    install("acme", "hello = 'new'", "2.0", same="acme:hello")
    assert found() == {"same of acme 2.0": "same says new"}


@pytest.mark.parametrize("damaged", ["entry_points.txt", "METADATA"])
def test_a_damaged_distribution_hides_no_other(
    install: Callable[..., None], tmp_path: Path, damaged: str
) -> None:
    install("acme", "hello = 'hi'", bad="acme:hello")
    install("zeta", "hello = 'yo'", good="zeta:hello")
    (tmp_path / "acme" / "acme-1.0.dist-info" / damaged).write_bytes(b"\xff\xfe[[\x00")
    assert found()["good of zeta 1.0"] == "good says yo"


def test_an_error_without_words_is_told_by_its_kind() -> None:
    assert describe_error(KeyError()) == "KeyError"
    assert describe_error(ValueError("a\n b\tc")) == "ValueError: a b c"


def test_what_a_broken_plugin_says_is_kept_apart_from_its_error(
    install: Callable[..., None],
) -> None:
    install("acme", "\nraise ValueError('S3CRET of Doe^Jane')", "2.5", polite="acme:hello")
    (plugin,) = load(GROUP, check)
    assert plugin.info.error == "ValueError in acme.py line 2"
    assert plugin.info.said == "ValueError: S3CRET of Doe^Jane"
