"""Keys of the console, and requests of the control API."""

from __future__ import annotations

from itertools import groupby

from textual.binding import Binding

from engine.remote.openapi import describe
from tables.markdown import code, table
from tui.keys import KEYS, Scope
from tui.shell.form_dialog import form_bindings


def keys() -> str:
    """Return all keys, by where they work."""
    order = list(Scope)
    by_scope = sorted(KEYS, key=lambda key: order.index(key.scope))
    parts = []
    for scope, group in groupby(by_scope, key=lambda key: key.scope):
        rows = [
            (code(key.shown), key.label, key.help, "yes" if key.changes else "", code(key.id))
            for key in group
        ]
        heads = ("key", "name", "does", "changes something", "id")
        parts.append(f"## {scope}\n\n{table(heads, rows)}")
    return "\n\n".join(parts)


def dialog_keys() -> str:
    """Return the keys of dialogs with a form."""
    found = [binding for binding in form_bindings() if isinstance(binding, Binding)]
    return table(("key", "does"), [(code(_written(b)), b.description) for b in found])


def _written(binding: Binding) -> str:
    plain = binding.key.replace("ctrl+", "^").replace("escape", "esc")
    return binding.key_display or plain


def requests() -> str:
    """Return the requests of the control API."""
    rows = []
    for path, verbs in describe()["paths"].items():
        methods = ", ".join(verb.upper() for verb in sorted(verbs))
        (body,) = verbs["post"]["requestBody"]["content"].values()
        arguments = ", ".join(map(code, body["schema"].get("properties", {})))
        rows.append((code(path), methods, arguments, verbs["post"]["summary"]))
    return table(("path", "methods", "members of the body", "answers or does"), rows)
