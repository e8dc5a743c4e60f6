"""`projects`: what received sessions are sorted into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.context import actor, store_of
from engine.cli.options import add_group, add_verb, add_yes
from engine.model.project import Project

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands
    from engine.model.configuration import Configuration


def add_projects(commands: Commands) -> None:
    """Add the commands that list and change projects."""
    verbs = add_group(commands, "projects", "list and change projects")
    add_verb(verbs, "list", _list, "list all projects")
    add = add_verb(verbs, "add", _add, "add a project")
    add.add_argument("--title", default="")
    add.add_argument("--alias", action="append", default=[], help="another name; repeatable")
    delete = add_verb(verbs, "delete", _delete, "remove a project")
    add_yes(delete)
    for parser in (add, delete):
        parser.add_argument("project", metavar="ID")


def _list(arguments: argparse.Namespace) -> None:
    _print(arguments, store_of(arguments).load())


def _add(arguments: argparse.Namespace) -> None:
    raw = {"id": arguments.project, "title": arguments.title, "aliases": arguments.alias}
    _print(arguments, store_of(arguments).add_project(Project.parse(raw), actor()))


def _delete(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    if arguments.project in {project.id for project in store.load().projects.projects}:
        terminal.confirm(f"Delete project {arguments.project}?", already=arguments.yes)
    _print(arguments, store.delete_project(arguments.project, actor()))


def _print(arguments: argparse.Namespace, configuration: Configuration) -> None:
    projects = configuration.projects.projects
    if arguments.json:
        records = [project.to_record() for project in projects]
        return terminal.print_json({"revision": configuration.revision, "projects": records})
    rows = [(project.id, project.title, ", ".join(project.aliases)) for project in projects]
    return terminal.print_table(("ID", "TITLE", "ALIASES"), rows)
