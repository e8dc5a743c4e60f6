"""`projects`: the projects that sessions belong to."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from engine.cli.context import actor, settings_of, store_of
from engine.cli.options import (
    AUTO_ARCHIVE_CODES,
    add_profile,
    add_script_switch,
    add_verb,
    add_verbs,
    add_yes,
    auto_archive,
    lines_in_words,
    text_of_file,
    with_profile,
)
from engine.host import terminal
from engine.model.anonymization import PROFILE
from engine.model.plugins import PROJECT_FIELD
from engine.model.project import PROJECT_TEXTS, SITES, PetMr, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.anonymization import ProfileSettings
    from engine.model.configuration import Configuration

_ENABLED = "anonymization_script_enabled"
_FIELDS = (
    *("title", "aliases", "auto_archive", "archive_folder", "pet_mr"),
    *(_ENABLED, *PROJECT_TEXTS),
)


def add_projects(command: argparse.ArgumentParser) -> None:
    """Add the commands that list and change projects."""
    verbs = add_verbs(command)
    add_verb(verbs, "list", _list, "list all projects")
    show = add_verb(verbs, "show", _show, "show a project")
    words = "print this text alone: anonymization_script or series_import_filter"
    show.add_argument("--text", metavar="NAME", choices=PROJECT_TEXTS, help=words)
    add = add_verb(verbs, "add", _add, "add a project", needs_data=False)
    edit = add_verb(verbs, "edit", _edit, "change the given fields of a project")
    delete = add_verb(verbs, "delete", _delete, "remove a project; its sessions stay")
    add_yes(delete)
    for parser in (add, edit):
        _add_fields(parser)
    for parser in (show, add, edit, delete):
        parser.add_argument("project", metavar="ID")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    """Add one option per field of a project; fields without their option keep their value."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add("--title", metavar="TEXT", help="its name for people; '' for none")
    add("--alias", dest="aliases", metavar="NAME", action="append",
        help="another name that finds it; repeat for more; replaces all; '' for none")  # fmt: skip
    add("--auto-archive", metavar="HOW", type=auto_archive,
        help=f"{', '.join(AUTO_ARCHIVE_CODES)}: what becomes of complete sessions")  # fmt: skip
    add("--archive-folder", metavar="NAME",
        help="where sessions are archived from now on: arc001, arc002 …")  # fmt: skip
    add("--pet-mr", metavar="HOW", choices=(SITES, *PetMr),
        help=f"{', '.join((SITES, *PetMr))}: what becomes of studies with PET and MR")  # fmt: skip
    for name in PROJECT_TEXTS:
        option = f"--{name.replace('_', '-')}"
        add(
            option,
            metavar="FILE",
            type=text_of_file,
            help="a file with it; '-' reads stdin, '' empties it",
        )
    add_script_switch(parser, _ENABLED, "before sessions are archived")
    add_profile(parser, "before sessions are archived")


def _list(arguments: argparse.Namespace) -> None:
    configuration, counts = store_of(arguments).load(), _sessions(arguments)
    projects = configuration.projects.projects
    if arguments.json:
        records = [project.to_record() for project in projects]
        return terminal.print_json({"revision": configuration.revision, "projects": records})
    heads = ("ID", "TITLE", "ALIASES", "AUTO ARCHIVE", "SCRIPT", "FILTER", "SESSIONS")
    rows = [
        (p.id, p.title, ", ".join(p.aliases), p.auto_archive.name.lower(),
         _script_in_words(p), bool(p.series_import_filter), counts.get(p.id, 0))
        for p in projects
    ]  # fmt: skip
    return terminal.print_table(heads, rows)


def _show(arguments: argparse.Namespace) -> None:
    configuration = store_of(arguments).load()
    project = configuration.projects.project(arguments.project)
    record = project.to_record()
    if arguments.text:
        return terminal.print_text(str(record[arguments.text]))
    if arguments.json:
        sessions = _sessions(arguments).get(project.id, 0)
        return terminal.print_json(
            {"revision": configuration.revision, "project": record, "sessions": sessions}
        )
    record |= {"aliases": ", ".join(project.aliases), "auto_archive": _auto_archive_words(project)}
    record |= {PROFILE: _profile_in_words(project.profile)}
    record |= {name: lines_in_words(str(record[name])) for name in PROJECT_TEXTS}
    record["sessions"] = _sessions(arguments).get(project.id, 0)
    return terminal.print_table(("FIELD", "VALUE"), record.items())


def _add(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    usual = {"auto_archive": int(store.load().site.new_project_auto_archive)}
    profile = with_profile(arguments, None)
    project = Project.parse({"id": arguments.project, **usual, **_given(arguments), **profile})
    _report(arguments, "added", *store.save_project(project, actor()))


def _edit(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    seen = store.load().projects.project(arguments.project)
    before = seen.to_record()
    given = _given(arguments) | with_profile(arguments, before[PROFILE])
    project = Project.parse(before | given)
    saved = store.save_project(project, actor(), replacing=seen)
    _report(arguments, "saved", *saved)


def _delete(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    before = store.load()
    project = before.projects.project(arguments.project)
    sessions = _sessions(arguments).get(project.id, 0)
    lie = f"{terminal.counted(sessions, 'session')} of it {'lies' if sessions == 1 else 'lie'} here"
    stays = f"{lie}; their files stay where they are, and new objects no longer find it."
    named = "".join(f" Receiver {label} names it." for label in _receivers_naming(project, before))
    terminal.confirm(f"Delete project {project.id}? {stays}{named}", already=arguments.yes)
    configuration = store.delete_project(project.id, actor())
    _report(arguments, "deleted", configuration, project)
    if sessions and not arguments.json:
        terminal.say(f"{terminal.counted(sessions, 'session')} stay in folders named {project.id}")


def _receivers_naming(project: Project, configuration: Configuration) -> Iterator[str]:
    """Yield the receivers whose identifier is set to a project."""
    names = {project.id, *project.aliases}
    for receiver in configuration.receivers:
        if dict(receiver.identifier_settings).get(PROJECT_FIELD.name) in names:
            yield receiver.label


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    given = {name: value for name, value in vars(arguments).items() if name in _FIELDS}
    if "aliases" in given:  # '' for none
        given["aliases"] = [alias for alias in given["aliases"] if alias]
    return given


def _sessions(arguments: argparse.Namespace) -> dict[str, int]:
    """Return the number of sessions of each project in the index."""
    from engine.index.reader import read_sessions_by_project

    return read_sessions_by_project(settings_of(arguments).index_file)


def _report(
    arguments: argparse.Namespace, verb: str, configuration: Configuration, project: Project
) -> None:
    if arguments.json:
        record = project.to_record()
        return terminal.print_json({"revision": configuration.revision, "project": record})
    rows = [(project.id, project.title, ", ".join(project.aliases))]
    terminal.print_table(("ID", "TITLE", "ALIASES"), rows)
    off = project.anonymization_script and not project.anonymization_script_enabled
    if off and "anonymization_script" in arguments:
        terminal.say("the script is kept but off; --script-enabled lets it run on archiving")
    return terminal.say(f"{verb} {project.id}, revision {configuration.revision}")


def _auto_archive_words(project: Project) -> str:
    return f"{project.auto_archive.name.lower()} ({int(project.auto_archive)})"


def _script_in_words(project: Project) -> str:
    if not project.anonymization_script:
        return "none"
    words = f"revision {project.anonymization_script_revision}"
    return words if project.anonymization_script_enabled else f"{words}, off"


def _profile_in_words(profile: ProfileSettings) -> str:
    if not profile.enabled:
        return "off"
    kept = f", keeps {', '.join(profile.retain)}" if profile.retain else ""
    moved = f", moves dates by {profile.shift_days} days" if profile.shift_days else ""
    return f"on{kept}{moved}"
