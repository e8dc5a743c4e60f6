"""`study-routes`: projects of studies that were announced, for example before a C-MOVE."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.context import actor, record, settings_of, store_of
from engine.cli.options import add_verb, add_verbs, add_yes, read_text
from engine.errors import NotFound
from engine.host import terminal
from engine.host.clock import SystemClock
from engine.model.study_route import FIELDS, parse_study_route, read_study_routes_csv

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from engine.model.project import ProjectRegistry
    from engine.model.study_route import StudyRoute

_HEADS = ("STUDY INSTANCE UID", "PROJECT", "SUBJECT", "SESSION", "ADDED BY", "ADDED AT")


def add_study_routes(command: argparse.ArgumentParser) -> None:
    """Add the commands that list and change study routes."""
    verbs = add_verbs(command)
    add_verb(verbs, "list", _list, "list all study routes, the newest first")
    add = add_verb(verbs, "add", _add, "add the route of a study")
    add.add_argument("--project", required=True, metavar="ID", help="a project's id or alias")
    add.add_argument("--subject", default="", metavar="LABEL",
                     help="its label; the Patient Name if not given")  # fmt: skip
    add.add_argument("--session", default="", metavar="LABEL",
                     help="its label; the Study ID or Accession Number if not given")  # fmt: skip
    delete = add_verb(verbs, "delete", _delete, "remove the route of a study")
    add_yes(delete)
    read = add_verb(verbs, "import", _import, "add the routes of a CSV file: all, or none")
    read.add_argument("file", metavar="FILE", help=f"with the columns {', '.join(FIELDS)}; "
                      "the last two may be missing; '-' reads stdin")  # fmt: skip
    for parser in (add, delete):
        parser.add_argument("study", metavar="UID", help="the Study Instance UID")
    for parser in (add, read):
        parser.add_argument(
            "--replace", action="store_true", help="replace another route of the study"
        )


def _list(arguments: argparse.Namespace) -> None:
    from engine.state.routes import read_study_routes

    routes = read_study_routes(settings_of(arguments).state_file)
    if arguments.json:
        return terminal.print_json({"study_routes": [route.to_record() for route in routes]})
    return _print(routes)


def _add(arguments: argparse.Namespace) -> None:
    raw = {name: getattr(arguments, name) for name in FIELDS[1:]}
    raw["study_instance_uid"] = arguments.study
    _save(arguments, [parse_study_route(raw, _projects(arguments))])


def _import(arguments: argparse.Namespace) -> None:
    _save(arguments, read_study_routes_csv(read_text(arguments.file), _projects(arguments)))


def _delete(arguments: argparse.Namespace) -> None:
    from engine.events import StudyRouteChanged
    from engine.state.routes import StudyRoutes, read_study_routes

    file = settings_of(arguments).state_file
    # To open the table would make the file.
    if not read_study_routes(file):
        raise NotFound("there are no study routes", "add them with: study-routes add")
    terminal.confirm(f"Delete the route of {arguments.study}?", already=arguments.yes)
    with StudyRoutes(file) as table:
        gone = table.delete(arguments.study)
    record(settings_of(arguments), StudyRouteChanged(by=actor()))
    _report(arguments, [gone], f"deleted the route of {gone.study_instance_uid}")


def _save(arguments: argparse.Namespace, routes: Sequence[StudyRoute]) -> None:
    from engine.state.routes import StudyRoutes

    now = SystemClock().now()
    with StudyRoutes(settings_of(arguments).state_file) as table:
        fresh = table.add(routes, actor(), now, replace=arguments.replace)
    _record_saved(arguments, routes)
    told = [replace(route, added_by=actor(), added_at=now) for route in routes]
    again = f", {len(routes) - fresh:,} known already" if fresh < len(routes) else ""
    _report(arguments, told, f"added {terminal.counted(fresh, 'study route')}{again}")


def _record_saved(arguments: argparse.Namespace, routes: Sequence[StudyRoute]) -> None:
    from engine.events import StudyRouteChanged

    counts = Counter(route.project for route in routes)
    changes = [StudyRouteChanged(by=actor(), project=p, routes=n) for p, n in counts.items()]
    record(settings_of(arguments), *changes)


def _report(arguments: argparse.Namespace, routes: Sequence[StudyRoute], said: str) -> None:
    if arguments.json:
        return terminal.print_json({"study_routes": [route.to_record() for route in routes]})
    _print(routes)
    return terminal.say(said)


def _print(routes: Iterable[StudyRoute]) -> None:
    terminal.print_table(_HEADS, [tuple(route.to_record().values()) for route in routes])


def _projects(arguments: argparse.Namespace) -> ProjectRegistry:
    return store_of(arguments).load().projects
