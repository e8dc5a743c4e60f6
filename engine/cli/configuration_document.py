"""`config export`, `validate` and `apply`: the configuration as a document in a repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import actor, installed_identifiers, store_of
from engine.cli.differences import print_differences, records, sentences
from engine.cli.options import FileRefused, add_verb
from engine.host import terminal
from engine.model.configuration import Configuration
from engine.model.configuration_diff import differences

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from engine.cli.options import Commands
    from engine.model.configuration_diff import FieldDifference
    from engine.model.processor import ProcessorRules

CHANGED = 10
"""The exit code that says: something was changed, or would be."""


def add_documents(verbs: Commands) -> None:
    """Add the verbs `export`, `validate` and `apply`."""
    export = add_verb(verbs, "export", _export, "write the configuration as a TOML document")
    folder = "write dicomdock.toml and its scripts there (default: print one document)"
    export.add_argument("-o", "--output", metavar="FOLDER", type=Path, help=folder)
    validate = add_verb(
        verbs, "validate", _validate, "check a document, for any machine", needs_data=False
    )
    apply = add_verb(
        verbs, "apply", _apply, "make the configuration what a document says", needs_data=False
    )
    for parser in (validate, apply):
        document = "the document, or the folder of its dicomdock.toml"
        parser.add_argument("file", metavar="FILE", type=Path, help=document)
    dry = f"show what would change, and change nothing; exit code {CHANGED} if something would"
    apply.add_argument("--dry-run", action="store_true", help=dry)
    prune = "also remove what the document does not have, in each part that it has"
    apply.add_argument("--prune", action="store_true", help=prune)
    code = f"exit with {CHANGED} if something was changed, and 0 if not"
    apply.add_argument("--exit-code", action="store_true", help=code)


def _export(arguments: argparse.Namespace) -> None:
    from engine.config.document import DOCUMENT
    from engine.config.export import exported

    folder = arguments.output
    export = exported(store_of(arguments).expected(), inline=folder is None)
    text = export.text()
    if folder is not None:
        for name, content in ((DOCUMENT, text), *export.scripts.items()):
            _write(folder / name, content)
    if arguments.json:
        files = [DOCUMENT, *export.scripts] if folder is not None else []
        shown = None if folder is not None else text
        terminal.print_json({"files": files, "secrets": export.secrets, "document": shown})
    elif folder is None:
        terminal.print_text(text)
    else:
        scripts = terminal.counted(len(export.scripts), "script")
        terminal.say(f"wrote {folder / DOCUMENT} and {scripts}")
    if export.secrets:
        many = terminal.counted(len(export.secrets), "secret")
        terminal.say(f"{many} not written: {', '.join(export.secrets)}")
        terminal.say("put each into its file, or refer to a variable instead, before you apply it")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # As bytes: no line end of a script is changed.
        path.write_bytes(text.encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't write {path}: {reason}", "name another folder") from error


def _validate(arguments: argparse.Namespace) -> None:
    from engine.config.declaration import declared
    from engine.config.document import document_at, read_document

    # Files and programs that processors use are those of another machine.
    rules = replace(_processor_rules(), check=None)
    store = store_of(arguments, installed_identifiers(), rules)
    path = document_at(arguments.file)
    document = read_document(path, needs_secrets=False)
    planned = declared(document, Configuration(), prune=True)
    valid = store.checked_plan(planned, Configuration(), elsewhere=True)
    counts = {
        "receivers": len(valid.receivers),
        "projects": len(valid.projects.projects),
        "processors": len(valid.processors),
        "peers": len(valid.peers),
    }
    if arguments.json:
        return terminal.print_json({"valid": True, **counts, "unread": document.unread})
    for reference in document.unread:
        terminal.say(f"not read: {reference}")
    said = ", ".join(terminal.counted(n, noun.removesuffix("s")) for noun, n in counts.items())
    return terminal.say(f"{path} is valid: {said}")


def _apply(arguments: argparse.Namespace) -> int:
    from engine.config.declaration import declared
    from engine.config.document import document_at, read_document

    store = store_of(arguments, installed_identifiers(), _processor_rules())
    path = document_at(arguments.file)
    document = read_document(path)
    before = store.load() if arguments.dry_run else store.adopt()
    planned = declared(document, before, prune=arguments.prune)
    made = differences(before, store.checked_plan(planned, before))
    # Saved before it is printed: a failed change must not look like a good one.
    after = before
    if not arguments.dry_run:
        after = store.save_plan(planned, before, actor(f"config apply {path.name}"))
    _report(arguments, made, after.revision)
    return CHANGED if made and (arguments.dry_run or arguments.exit_code) else 0


def _report(arguments: argparse.Namespace, made: Sequence[FieldDifference], revision: int) -> None:
    if arguments.json:
        changed = {"changed": bool(made), "dry_run": arguments.dry_run, "revision": revision}
        return terminal.print_json({**changed, "differences": records(made)})
    if not made:
        return terminal.say(f"nothing to change; revision {revision} is what the document says")
    print_differences(made)
    count = terminal.counted(len(sentences(made)), "difference")
    if arguments.dry_run:
        return terminal.say(f"nothing was changed; {count} would be")
    return terminal.say(f"saved {count} as revision {revision}")


def _processor_rules() -> ProcessorRules:
    from engine.processing.installed import load_processors, rules_of  # the code of plugins

    return rules_of(load_processors())
