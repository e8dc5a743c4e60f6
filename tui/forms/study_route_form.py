"""The form of a study route: which study, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.study_route import FIELDS, StudyRoute, parse_study_route
from tui.forms.settings_form import FieldSpec, Kind, Remark, SettingsForm
from tui.text import cut, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.project import ProjectRegistry
    from tui.forms.settings_form import Values

PROJECTS_NAMED = 4
HINT_CELLS = 52


class StudyRouteForm(SettingsForm[StudyRoute]):
    """Says where the objects of one study go, before they come."""

    SPECS = (
        FieldSpec("study_instance_uid", Kind.LINE, "Study UID *",
                  "The Study Instance UID (0020,000D) of the study, as\n"
                  "its objects will have it.\n\n  1.2.840.113619.2.55.3.604688119",
                  hint="numbers and dots, at most 64 characters"),
        FieldSpec("project", Kind.LINE, "Project *",
                  "The id or an alias of a project that exists. Screen 6\n"
                  "lists the projects."),
        FieldSpec("subject", Kind.LINE, "Subject",
                  "Its label. Left empty, the Patient Name of each object\n"
                  "decides.\n\n  S0042",
                  hint="1–64 letters, digits, _ or -; empty: the Patient Name"),
        FieldSpec("session", Kind.LINE, "Session",
                  "Its label. Left empty, the Study ID of each object\n"
                  "decides, else its Accession Number.\n\n  S0042_MR_01",
                  hint="as above; empty: the Study ID or Accession Number"),
    )  # fmt: skip

    def __init__(
        self, route: StudyRoute | None, projects: ProjectRegistry, receivers: Sequence[str] = ()
    ) -> None:
        """Take the route to change, None for a new one.

        Args:
            route: what is changed.
            projects: those that there are.
            receivers: labels of those that ask for study routes.
        """
        self._projects = projects
        self._receivers = tuple(receivers)
        super().__init__(route, route or StudyRoute("", ""))

    def values_of(self, thing: StudyRoute) -> Values:
        """Return the raw values."""
        return {name: getattr(thing, name) for name in FIELDS}

    def result(self) -> StudyRoute:
        """Return the route that the form describes."""
        return parse_study_route({name: self.text(name) for name in FIELDS}, self._projects)

    def hint(self, name: str) -> str:
        """Return what is said below a field; the projects that there are, below theirs."""
        if name != "project":
            return super().hint(name)
        ids = [safe(project.id) for project in self._projects.projects]
        if not ids:
            return "there is none yet; add one first"
        more = " …" if len(ids) > PROJECTS_NAMED else ""
        return cut(f"one of {', '.join(ids[:PROJECTS_NAMED])}{more}", HINT_CELLS)

    def remark(self, name: str) -> Remark:
        """Return the id of the project that an id or alias means."""
        typed = self.text(name).strip()
        found = self._projects.find(typed) if name == "project" and typed else None
        return Remark(f"✓ {safe(found)}", is_good=True) if found is not None else Remark()

    def summary(self) -> str:
        """Say what saving means, and whether anybody asks for it."""
        if not self._receivers:
            return "! No receiver has the identifier studyRouting, so no route is asked for."
        return f"Asked for by {', '.join(map(safe, self._receivers))}; gone once it is archived."
