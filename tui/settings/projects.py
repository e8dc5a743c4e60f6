"""The form of a project: names, handling of its sessions, and its own anonymization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.scripts import ScriptTrial
from engine.model.anonymization import ENABLED, SITE_SCRIPT, ScriptScope
from engine.model.project import MAX_ALIASES, AutoArchive, Project
from tui.settings.form import FieldKind, FieldSpec, Remark, SettingsForm
from tui.settings.shared_fields import (
    PROFILE_ENABLED,
    anonymization_record,
    anonymization_specs,
    anonymization_values,
    field_of_profile,
    filter_remarks,
    profile_of,
)
from tui.settings.site_forms import AUTO_ARCHIVE_WORDS
from tui.text import counted, safe
from tui.widgets.completion import COMPLETES, Names

if TYPE_CHECKING:
    from engine.errors import Problem
    from engine.model.site import SiteSettings
    from tui.settings.form import Values


class ProjectForm(SettingsForm[Project]):
    """Adds a project, or changes one; its id stays, as folders are named after it."""

    SPECS = (
        FieldSpec("id", FieldKind.LINE, "Id *",
                  "What rules and senders call it, and its folders.\n"
                  "It can't be changed later; other names are aliases.\n\n  NEURO-01",
                  hint="1–64 letters, digits, _ or -"),
        FieldSpec("title", FieldKind.LINE, "Title", "Its name for people."),
        FieldSpec("aliases", FieldKind.LINES, "Aliases",
                  "Other names that find it, one per line, spelled exactly\n"
                  "as they stand in the values of objects.",
                  hint=f"one per line, at most {MAX_ALIASES}"),
        FieldSpec("auto_archive", FieldKind.CHOICE, "Auto-archive",
                  "What becomes of its complete sessions.",
                  choices=tuple((words, str(int(code)))
                                for code, words in AUTO_ARCHIVE_WORDS.items())),
        FieldSpec("archive_folder", FieldKind.LINE, "Archive folder",
                  "Where sessions are archived from now on, below the\n"
                  "project's folder: arc001, arc002 and so on.",
                  hint="arc001, arc002 …"),
        FieldSpec("series_import_filter", FieldKind.LINES, "Series filter", by_line=True,
                  completes=Names.MODALITIES,
                  hint=f"f1 shows how; {COMPLETES}", help=
                  "Which of its objects are not kept, after the filter of\n"
                  "the site; one pattern per line:\n\n"
                  "  whitelist\n  [Modality]\n  CT|MR"),
        *anonymization_specs("before sessions are archived", "sessions are archived as they are",
                             script_needs=ENABLED),
    )  # fmt: skip

    @classmethod
    def new(cls, site: SiteSettings) -> ProjectForm:
        """Return the form of a project that is made."""
        return cls(None, Project("", auto_archive=site.new_project_auto_archive))

    @classmethod
    def edit(cls, project: Project) -> ProjectForm:
        """Return the form of a project that exists."""
        return cls(project, project)

    def values_of(self, thing: Project) -> Values:
        """Return the raw values."""
        return {
            "id": thing.id,
            "title": thing.title,
            "aliases": "\n".join(thing.aliases),
            "auto_archive": str(int(thing.auto_archive)),
            "archive_folder": thing.archive_folder,
            "series_import_filter": thing.series_import_filter,
            **anonymization_values(thing.to_record()),
        }

    def visible_fields(self) -> frozenset[str]:
        """Return the fields that matter; the id of a project that exists does not."""
        hidden = {"id"} if self.original is not None else set()
        return super().visible_fields() - hidden

    def result(self) -> Project:
        """Return the project that the form describes."""
        before = self.original.to_record() if self.original else {}
        texts = ("id", "title", "archive_folder")
        named = {name: self.text(name).strip() for name in texts}
        aliases = [line for line in self.text("aliases").splitlines() if line]
        own = {
            "aliases": aliases,
            "auto_archive": int(self.text("auto_archive")),
            "series_import_filter": self.text("series_import_filter"),
        }
        return Project.parse(before | named | own | anonymization_record(self._values))

    def field_of(self, problem: Problem) -> str:
        """Return the field of a problem."""
        return field_of_profile(super().field_of(problem))

    def line_remarks(self, name: str) -> tuple[Remark, ...]:
        """Return what each line of the filter does."""
        return filter_remarks(self.text(name)) if name == "series_import_filter" else ()

    def trial(self) -> ScriptTrial | None:
        """Return what is to be tried on an object; None if it can't be."""
        profile = profile_of(self._values)
        if profile is None or self.original is None or not self._anonymizes():
            return None
        name = self.original.id
        return ScriptTrial(ScriptScope.PROJECT, name, self.text(SITE_SCRIPT), profile)

    def untried(self) -> str:
        """Say why nothing can be tried."""
        if self.original is None:
            return "save the project first; then its script can be tried here"
        if not self._anonymizes():
            return "script and profile are off: sessions are archived as they are"
        return "the preview waits until the fields marked ✗ are corrected"

    def _anonymizes(self) -> bool:
        return self.is_on(ENABLED) or self.is_on(PROFILE_ENABLED)

    def summary(self) -> str:
        """Return the sentence on what happens to complete sessions."""
        code = AutoArchive(int(self.text("auto_archive")))
        name = safe(self.text("id").strip()) or "the project"
        return f"Complete sessions of {name} are {_WORDS[code]}."


_WORDS = {
    AutoArchive.MANUAL: "left in the prearchive until somebody archives them",
    AutoArchive.ARCHIVE: "archived, never over files that are there",
    AutoArchive.OVERWRITE: "archived, over files that are there",
}


def script_words(project: Project) -> str:
    """Say in a word or two what anonymizes its sessions."""
    switches = {
        "profile": project.profile.enabled,
        "script": project.anonymization_script_enabled,
    }
    kept = "off" if project.anonymization_script.strip() else "–"
    return " + ".join(name for name, is_on in switches.items() if is_on) or kept


def deletion_sentence(project: Project, sessions: int, receivers: tuple[str, ...]) -> str:
    """Say what becomes of what was received for a project that is deleted."""
    lie = "lies" if sessions == 1 else "lie"
    stays = f"{counted(sessions, 'session')} of it {lie} here; their files stay where they are"
    named = "".join(f"\n! Receiver {safe(label)} names it." for label in receivers)
    return f"{stays}. New objects no longer find it.{named}"
