"""ASCII in place of the console's symbols, for terminals that can show no others.

Each symbol becomes one of the same width, on the way to the terminal: no screen knows of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui.console_settings import Symbols

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIKE = {
    "-": "–—−─━╌╍",
    "|": "│┃╎╏▌▐▎▏⊘‖",
    "+": "┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛┣┫┳┻╋╺╸",
    "_": "▁▂",
    ".": "▃▄·",
    ":": "▅▆…░▒",
    "#": "▇█▓■▀",
    "*": "●•◐",
    "o": "○",
    "x": "✗×",
    "v": "✓▼↓▾",
    "^": "▲↑⇧",
    ">": "→▸⟩",
    "<": "←⟨⌫",
    "=": "⏎",
    "!": "≠",
    "~": "↻",
    "?": "␛␡␇␍␊",
    '"': "“”",
    "'": "‘’",
    " ": "\xa0",
}
_PLAIN_TERMINALS = ("dumb", "vt52", "vt100", "vt102", "vt220")


def needs_ascii(chosen: Symbols, environment: Mapping[str, str]) -> bool:
    """Tell whether the console draws with ASCII: by choice, or as the terminal can't do better.

    Without any language in the environment the terminal is believed to take UTF-8, as nearly all
    do.
    """
    if chosen is not Symbols.AUTO:
        return chosen is Symbols.ASCII
    if environment.get("TERM", "").partition("-")[0] in _PLAIN_TERMINALS:
        return True
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    said = [environment[name] for name in names if environment.get(name)]
    # Python itself sets this one where the language is C (PEP 538).
    if said[:1] == ["C.UTF-8"] and not environment.get("LC_ALL"):
        said = said[1:] or said
    return bool(said) and "utf" not in said[0].lower()


class _Table(dict[int, str]):
    """For `str.translate`: symbols by their code points; others become question marks."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        return character if code < 128 else "?" * cell_len(character)


ASCII = _Table({ord(symbol): like for like, symbols in _LIKE.items() for symbol in symbols})
"""What `str.translate` makes ASCII of; no text gets wider or narrower."""
