"""Reads the user's own keys: what makes no sense is said and left out, the rest works."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from textual.keys import KEY_NAME_REPLACEMENTS, Keys, key_to_character

from engine.model.text import did_you_mean
from tui.keys import BY_ID, KEYS, Scope, written
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tui.keys import Key


TOGETHER = (
    {Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.SITE},
    {Scope.RECEIVERS, Scope.ASSOCIATIONS, Scope.NEIGHBOURS},
    {Scope.SESSIONS, Scope.AREAS},
    {Scope.SETTINGS, Scope.SITE},
    {Scope.SENDERS, Scope.ASSOCIATIONS},
    {Scope.PROCESSORS, Scope.FORWARDING},
)
"""Scopes whose keys work on the same screen."""
EVERY_SCREEN = {Scope.VIEW, Scope.SCREENS, Scope.EVERYWHERE, Scope.LISTS, Scope.MARKS}
TYPED = {key.id for key in KEYS if key.priority or key.scope is Scope.FILTER}
"""Actions whose keys work while a text is typed: a letter can't be one of them."""
SAME = {"ctrl+h": "⌫", "ctrl+i": "tab", "ctrl+j": "⏎", "ctrl+m": "⏎"}
"""Keys for which a terminal sends what it sends for others."""
OWN = {"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "backspace", "ctrl+c"}
"""Keys that move in lists and texts, and the key that Textual copies with."""
_NAMES = {key.value for key in Keys}
_MODIFIERS = {"ctrl", "shift", "alt"}


def user_keys(chosen: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the keys that differ from the usual ones, and what is wrong with the others.

    Args:
        chosen: keys by the ids of their actions, as a person wrote them.

    Returns:
        Textual's names of keys, by id: a pair that shares a key has the same; and sentences.
    """
    keys: dict[str, str] = {}
    problems: list[str] = []
    for name, text in chosen.items():
        key, problem = _read(name, text)
        if problem:
            problems.append(f"keys: {problem}")
            continue
        if keys.setdefault(name, key) != key:
            said = f"{name}: {written(keys[name])} is used, as its opposite has the same key"
            problems.append(f"keys: {said}")
        keys.update((one.id, keys[name]) for one in pair_of(BY_ID[name]))
    while clash := next(_clashes(keys), None):
        one, other = clash
        said = f"{written(keys[one.id])} is {other.label} ({other.id})"
        problems.append(f"keys: {one.id}: {said}; {written(one.keys)} stays")
        for freed in pair_of(one):
            keys.pop(freed.id, None)
    return {name: key for name, key in keys.items() if key != BY_ID[name].keys}, tuple(problems)


def keymap(keys: Mapping[str, str]) -> dict[str, str]:
    """Return Textual's keymap, in which no action is lost that shares a usual key with another.

    Textual unbinds everything from a key of which one action is bound elsewhere, so all of them
    are named.
    """
    freed = {BY_ID[name].keys for name in keys} | set(keys.values())
    return {key.id: keys.get(key.id, key.keys) for key in KEYS if key.keys in freed} | dict(keys)


def pair_of(key: Key) -> list[Key]:
    """Return the actions that share a key and a scope, such as stop and start: one of them acts."""
    return [one for one in KEYS if (one.scope, one.keys) == (key.scope, key.keys)]


def _read(name: str, text: str) -> tuple[str, str]:
    """Return Textual's name of a key, or what is wrong."""
    if name not in BY_ID:
        hint = did_you_mean(name, BY_ID) or "docs/reference/keys.md has all"
        return "", f"there is no “{safe(name, 40)}”; {hint}"
    if BY_ID[name].scope is Scope.SCREENS:
        return "", f"{name} keeps its number, which is the screen's name"
    key = _named(text)
    shown = f"{name}: “{safe(text, 40)}”"
    if not key:
        return "", f"{shown} is no key; write such as a, B, f2, ctrl+k or space"
    if key in SAME:
        return "", f"{shown} can't be told from {SAME[key]} in a terminal"
    if key in OWN:
        return "", f"{shown} moves in lists and texts"
    if key == "ctrl+z":
        return "", f"{shown} suspends programs"
    letter = key_to_character(key)
    if name in TYPED and letter and letter.isprintable():
        return "", f"{shown} could not be typed any more; use ctrl+ or a function key"
    return key, ""


def _named(text: str) -> str:
    """Return Textual's name of a key; empty if there is no such key."""
    *modifiers, name = [text] if len(text) == 1 else text.strip().split("+")
    modifiers = [modifier.casefold() for modifier in modifiers]
    if len(name) == 1:
        if not name.isprintable() or "shift" in modifiers:
            return ""  # a capital letter is written as it is
        name = name.lower() if "ctrl" in modifiers else name
        name = "space" if name == " " else _long(name)
    elif name not in _NAMES and key_to_character(name) is None:
        return ""
    whole = "+".join([*modifiers, name])
    known = whole in _NAMES if "ctrl" in modifiers else True
    return whole if set(modifiers) <= _MODIFIERS and known else ""


def _long(character: str) -> str:
    """Return Textual's name of a character."""
    if character.isalnum():
        return character
    name = unicodedata.name(character, "").lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def _clashes(keys: Mapping[str, str]) -> Iterator[tuple[Key, Key]]:
    """Yield keys that were changed to one that another action has on the same screen."""
    for name, key in reversed(list(keys.items())):
        one = BY_ID[name]
        for other in KEYS:
            taken = keys.get(other.id, other.keys) == key
            if taken and other not in pair_of(one) and _meet(one, other) and key != one.keys:
                yield one, other


def _meet(one: Key, other: Key) -> bool:
    scopes = {one.scope, other.scope}
    return bool(scopes & EVERY_SCREEN) or len(scopes) == 1 or any(scopes <= s for s in TOGETHER)
