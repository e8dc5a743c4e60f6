"""The forms of settings and projects without a screen: visibility, validity, words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.objects import RowChange
from engine.api.scripts import (
    EditedRow,
    FindingKind,
    LeftText,
    ScriptFinding,
    ScriptPreview,
    TrialOutcome,
)
from engine.config.masking import masked_site
from engine.errors import Problem
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.anonymization import (
    ENABLED,
    SITE_SCRIPT,
    ProfileSettings,
    Retain,
    ScriptScope,
    SiteScript,
)
from engine.model.limits import BOUNDS, Limits
from engine.model.project import AutoArchive, Project
from engine.model.routing import SiteRouting
from engine.model.secrets import MASK
from engine.model.site import SessionSettings, SiteSettings
from tui.settings.alerts import AlertsForm, TargetForm, without_target
from tui.settings.before_after import (
    MAX_SAID,
    count_words,
    errors,
    finding_remarks,
    findings_in_words,
    outcome_words,
    row_words,
)
from tui.settings.form import FieldKind, number_in
from tui.settings.projects import ProjectForm, deletion_sentence, script_words
from tui.settings.shared_fields import filter_remarks
from tui.settings.site_forms import (
    AnonymizationForm,
    ReceiversForm,
    RoutingForm,
    SessionsForm,
    example_name,
    section_words,
)
from tui.settings.tables import (
    MAX_LINES,
    SECTIONS,
    facts_as_text,
    project_facts,
    section_facts,
    target_facts,
)
from tui.text import with_unit

if TYPE_CHECKING:
    from tui.settings.form import SettingsForm

SITE = SiteSettings()
PAGER = AlertTarget("pager", ("/usr/local/bin/page", "--group", "two words"))
CHAT = AlertTarget("chat", webhook="https://u:p@chat.example/secret", kinds=(AlertKind.STORAGE,))
TOLD = replace(SITE, alerts=AlertSettings((PAGER, CHAT)))
NEURO = Project("NEURO-01", "Brain", ("neuro", "brain 1"), anonymization_script='version "6.1"\n')
FORMS: list[SettingsForm[Any]] = [
    ReceiversForm(SITE),
    RoutingForm(SITE),
    AnonymizationForm(SITE),
    SessionsForm(SITE),
    AlertsForm(SITE),
    ProjectForm.new(SITE),
    ProjectForm.edit(NEURO),
    TargetForm(TOLD, "pager"),
]
WORDS_WIDTH, LABEL_WIDTH = 48, 18
"""What there is room for in a terminal of 80 columns."""


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_labels_and_meanings_fit_into_a_narrow_terminal_and_every_field_has_help(
    form: SettingsForm[Any],
) -> None:
    for spec in form.SPECS:
        assert len(spec.label) <= LABEL_WIDTH, spec.label
        assert all(len(words) <= WORDS_WIDTH for words in spec.words), spec.words
        assert form.help(spec.name)
        assert (spec.kind is FieldKind.SWITCH) == isinstance(form.value(spec.name), bool)
        assert (
            form.remark(spec.name).text
            or spec.kind not in (FieldKind.SWITCH, FieldKind.NUMBER)
            or (spec.name == "shift_days")
        )


@pytest.mark.parametrize("site", [SITE, TOLD], ids=["fresh", "told"])
def test_a_form_that_is_not_touched_changes_nothing(site: SiteSettings) -> None:
    for kind in (ReceiversForm, RoutingForm, AnonymizationForm, SessionsForm, AlertsForm):
        form = kind(site)
        assert form.result() == site
        assert not form.is_dirty()
        assert not form.problems()
    assert TargetForm(TOLD, "chat").result() == TOLD
    assert ProjectForm.edit(NEURO).result() == NEURO


def test_every_limit_and_session_setting_can_be_set() -> None:
    receivers, sessions = ReceiversForm(SITE), SessionsForm(SITE)
    for name, allowed in BOUNDS.items():
        form: SettingsForm[SiteSettings] = receivers if name in receivers.specs else sessions
        form.set(name, str(allowed.stop - 1))
    for name, value in (("idle_seconds", "60"), ("trash_days", "7"), ("duplicates", "reject")):
        sessions.set(name, value)
    sessions.set("new_project_auto_archive", "0")
    sessions.set("rerun_script_on_rename", True)
    sessions.set("low_space_bytes", "512 mib")
    found = receivers.result().limits
    assert {n: getattr(found, n) for n in receivers.LIMITS} == {
        n: BOUNDS[n].stop - 1 for n in receivers.LIMITS
    }
    saved = sessions.result()
    assert saved.limits.reserve_bytes == BOUNDS["reserve_bytes"].stop - 1
    assert (saved.sessions.idle_seconds, saved.sessions.trash_days) == (60, 7)
    assert saved.sessions.duplicates == "reject"
    assert saved.sessions.rerun_script_on_rename
    assert saved.limits.low_space_bytes == 2**29
    assert saved.new_project_auto_archive is AutoArchive.MANUAL


def test_all_problems_are_found_at_once_at_their_fields() -> None:
    form = ReceiversForm(SITE)
    for name, value in (("bind_address", "here"), ("associations", "0"), ("pdu_bytes", "-")):
        form.set(name, value)
    assert list(form.problems()) == ["bind_address", "associations", "pdu_bytes"]
    form.set("bind_address", "127.0.0.1")
    form.set("associations", "")
    form.set("pdu_bytes", " 8192 ")
    assert form.result().limits == replace(Limits(), pdu_bytes=8192)


def test_rules_that_are_off_are_kept_but_not_checked() -> None:
    form = RoutingForm(SITE)
    form.set("project_routing", "nonsense")
    assert "project_routing" not in form.visible_fields()
    assert not form.problems()
    assert form.result().routing.project_routing == "nonsense"
    form.set("project_enabled", True)
    ((name, (problem,)),) = form.problems().items()
    assert (name, problem.line) == ("project_routing", 1)
    assert "project" in form.summary()


def test_a_script_that_is_on_must_be_there() -> None:
    form = AnonymizationForm(SITE)
    assert form.summary().startswith("! Nothing is anonymized")
    form.set("anonymization_script_enabled", True)
    assert list(form.problems()) == ["anonymization_script_enabled"]
    form.set("anonymization_script", 'version "6.1"\n')
    assert form.result().script == SiteScript(True, 'version "6.1"\n')


def test_the_profile_keeps_what_its_switches_say() -> None:
    form = AnonymizationForm(SITE)
    assert "keep_uids" not in form.visible_fields()
    for name in ("profile_enabled", "keep_uids", "keep_patient_characteristics"):
        form.set(name, True)
    form.set("shift_days", "-30")
    retained = (Retain.UIDS, Retain.PATIENT_CHARACTERISTICS)
    assert form.result().profile == ProfileSettings(True, retained, -30)
    trial = form.trial()
    assert trial is not None
    assert (trial.scope, trial.text, trial.profile) == (
        *(ScriptScope.SITE, ""),
        ProfileSettings(True, retained, -30),
    )
    form.set("keep_dates", True)
    assert list(form.problems()) == ["shift_days"]
    form.set("shift_days", "-")
    assert form.trial() is None
    assert "waits" in form.untried()


def test_what_somebody_else_changed_is_taken_over_and_own_changes_stay() -> None:
    form = ReceiversForm(SITE)
    form.set("associations", "25")
    other = replace(SITE, bind_address="10.0.0.1", limits=replace(Limits(), user_items=9))
    assert form.rebase(other) == ("associations",)
    assert form.result() == replace(other, limits=replace(other.limits, associations=25))


def test_what_no_field_shows_stands_at_the_switch_or_the_first_field() -> None:
    form = RoutingForm(SITE)
    hidden = Problem("routing.subject_routing", "", "is odd", "mend it")
    strange = Problem("receivers[1].port", "1", "is too low", "allow it")
    assert list(form.by_field([hidden, strange])) == ["project_enabled", "subject_enabled"]


def test_a_problem_that_the_engine_finds_in_a_script_stands_at_the_script() -> None:
    problem = Problem("site.anonymization_script", "x", "is no word", "remove it", 2, 1)
    assert list(AnonymizationForm(SITE).by_field([problem])) == ["anonymization_script"]


def test_values_of_another_type_are_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        RoutingForm(SITE).set("project_enabled", "yes")


# Projects


def test_a_new_project_gets_what_the_site_says_and_its_id_stays() -> None:
    form = ProjectForm.new(replace(SITE, new_project_auto_archive=AutoArchive.MANUAL))
    assert list(form.problems()) == ["id"]
    assert form.trial() is None
    assert "save the project first" in form.untried()
    form.set("id", " PETLAB ")
    form.set("aliases", "pet\n\npet lab\n")
    assert form.result() == Project("PETLAB", "", ("pet", "pet lab"), AutoArchive.MANUAL)
    assert "PETLAB are left in the prearchive" in form.summary()
    edited = ProjectForm.edit(NEURO)
    assert "id" not in edited.visible_fields()
    assert SITE_SCRIPT not in edited.visible_fields()
    assert edited.trial() is None
    assert "script and profile are off" in edited.untried()
    edited.set(ENABLED, True)
    assert SITE_SCRIPT in edited.visible_fields()
    trial = edited.trial()
    assert trial is not None
    assert (trial.scope, trial.project) == (ScriptScope.PROJECT, "NEURO-01")


def test_what_becomes_of_a_deleted_project_is_said() -> None:
    assert deletion_sentence(NEURO, 1, ("CT:104",)) == (
        "1 session of it lies here; their files stay where they are. "
        "New objects no longer find it.\n! Receiver CT:104 names it."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "off"),
        ({"anonymization_script": ""}, "–"),
        ({"anonymization_script_enabled": True}, "script"),
        ({"profile": ProfileSettings(True)}, "profile"),
    ],
)
def test_what_anonymizes_a_project_is_said_in_a_word(changes: Any, words: str) -> None:
    assert script_words(replace(NEURO, **changes)) == words


# Alerts


def test_a_target_is_a_program_or_a_webhook() -> None:
    form = TargetForm(TOLD, "pager")
    assert form.text("command") == "/usr/local/bin/page --group 'two words'"
    form.set("how", "webhook")
    assert "command" not in form.visible_fields()
    assert list(form.problems()) == ["webhook"]
    form.set("webhook", "https://alerts.example/x")
    for kind in AlertKind:
        form.set(f"kind_{kind}", kind is AlertKind.SILENCE)
    changed = AlertTarget("pager", (), "https://alerts.example/x", (AlertKind.SILENCE,))
    assert form.result().alerts.targets == (changed, CHAT)


def test_a_mask_in_a_target_says_that_leaving_it_keeps_the_secret() -> None:
    form = TargetForm(masked_site(TOLD), "chat")
    assert form.text("webhook") == f"https://chat.example/{MASK}"
    assert form.hint("webhook") == f"{MASK} is saved and not shown; leave it to keep it"
    assert form.hint("name").startswith("1–32 letters")
    form.set("webhook", "https://chat.example/other")
    assert form.hint("webhook").startswith("such as https://")


def test_problems_of_a_target_stand_at_its_fields() -> None:
    form = TargetForm(TOLD)
    form.set("command", "'open")
    assert list(form.problems()) == ["command"]
    form.set("command", "relative")
    form.set("name", "chat")
    for kind in AlertKind:
        form.set(f"kind_{kind}", False)
    assert set(form.problems()) == {"name", "command", "kind_receiver"}
    assert SiteSettings.parse(without_target(TOLD, "pager")).alerts.targets == (CHAT,)


# Words


@pytest.mark.parametrize(
    ("text", "usual", "expected"),
    [("", 7, 7), (" 12 ", 7, 12), ("-3", 7, -3), ("-", 7, "-"), ("x", 7, "x"), ("١", 7, "١")],
)
def test_numbers_are_read_or_left_for_the_model_to_refuse(
    text: str, usual: int, expected: object
) -> None:
    assert number_in(text, usual) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("idle_seconds", "300", "5 min"),
        ("association_seconds", "43200", "12 h"),
        ("idle_seconds", "61", "61 s"),
        ("pdu_bytes", "131072", "131 kB"),
        ("low_space_percent", "10", "10 % of the storage"),
        ("trash_days", "1", "1 day"),
        ("associations", "1200", "1,200"),
        ("associations", "-", "-"),
    ],
)
def test_a_number_is_said_with_its_unit(name: str, text: str, words: str) -> None:
    assert with_unit(name, text) == words


def test_a_template_shows_an_example_and_a_wrong_one_none() -> None:
    assert example_name("${Modality}-${InstanceNumber}") == "such as CT-112.dcm"
    assert example_name("${Nonsense}") == ""


def test_each_line_of_a_filter_says_what_it_does() -> None:
    text = "whitelist\n# all\n\n[Modality]\nCT|MR\n[(0008,103E)]\nEXISTS\n[Nonsense]\n((("
    said = [remark.text for remark in filter_remarks(text)]
    assert said[0] == "✓ only what a line below applies to is wanted"
    assert said[1:3] == ["", ""]
    assert said[4] == "✓ if Modality contains a match"
    assert said[6] == "✓ if SeriesDescription is present"
    assert [remark.is_wrong for remark in filter_remarks(text)][-2:] == [True, True]


def finding(line: int, kind: FindingKind = FindingKind.TRAP) -> ScriptFinding:
    return ScriptFinding(kind, line, 2, f"odd \x1b[2J{line}", "mend it")


def test_findings_stand_at_their_lines_and_below_in_full() -> None:
    found = tuple(finding(line) for line in range(1, MAX_SAID + 3))
    remarks = finding_remarks("a\nb\nc", found)
    assert [remark.is_warning for remark in remarks] == [True, True, True]
    said = findings_in_words(found, (), "a").splitlines()
    assert said[0] == "! line 1: odd ␛[2J1; mend it"
    assert said[-1] == "! and 2 more remarks"
    assert findings_in_words((), (), "a") == "✓ the script is valid"
    assert findings_in_words((), (), " ") == ""
    (wrong,) = errors((finding(2, FindingKind.ERROR), finding(1)))
    assert (wrong.line, wrong.column) == (2, 2)
    assert finding_remarks("a", (finding(9, FindingKind.ERROR),))[0].is_wrong


def test_what_a_script_leaves_is_a_remark_below_its_findings() -> None:
    left = (LeftText("(0042,0010)", "Document Title"), LeftText("(60X@,1500)", "Overlay\x1b"))
    said = (
        "neither this script nor the basic profile removes: "
        "Document Title (0042,0010), Overlay␛ (60X@,1500)"
    )
    assert findings_in_words((), left, "a").splitlines() == ["✓ the script is valid", said]
    assert findings_in_words((finding(1),), left, "a").splitlines()[1:] == [said]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (TrialOutcome.EDITED, "nothing would change in this object"),
        (TrialOutcome.REJECTED, "✗ the script would reject it: line 3: because; do"),
        (TrialOutcome.FAILED, "✗ it would be refused: line 3: because; do"),
        (TrialOutcome.INVALID, "✗ not a script: line 3: because; do"),
    ],
)
def test_what_became_of_the_object_is_said(outcome: TrialOutcome, words: str) -> None:
    assert outcome_words(ScriptPreview(outcome, (), "because", "do", 3)) == words


def test_an_element_is_shown_before_and_after() -> None:
    row = EditedRow("(0010,0010)", "PatientName", "PN", RowChange.REMOVED, "\x1b", None, True)
    words = row_words(row)
    assert (words.glyph, words.element, words.before, words.after) == (
        *("-", "(0010,0010) PatientName"),
        *("␛", "–"),
    )
    preview = ScriptPreview(TrialOutcome.EDITED, (row,) * 201, complete=False)
    assert count_words(preview) == "201 removed; only the header was tried; 1 element not shown"
    assert outcome_words(preview) == ""


def test_the_settings_in_force_are_said_without_secrets_or_control_characters() -> None:
    site = replace(
        TOLD,
        receivers_allowed=False,
        routing=SiteRouting(project_enabled=True, project_routing="(0008,1030):(.*)\n" * 70),
        sessions=SessionSettings(series_filter="a\tb\nloc\u202e"),
        profile=ProfileSettings(True, (Retain.UIDS,), 7),
    )
    texts = {s.name: facts_as_text(section_facts(s.name, site)) for s in SECTIONS}
    assert "✗ none listens" in texts["receivers"]
    assert f"… {70 - MAX_LINES} more lines" in texts["routing"]
    assert "keeps uids, moves dates by 7 days" in texts["anonymization"]
    assert "loc⟨202E⟩" in texts["sessions"]
    assert "objects are stored as they arrive" in facts_as_text(
        section_facts("anonymization", SITE)
    )
    assert "secret" not in facts_as_text(target_facts(CHAT))
    assert "sessions here     7" in facts_as_text(project_facts(NEURO, 7))
    assert texts["projects"] == ""
    assert section_words(site)["receivers"] == "✗ all off"
    assert section_words(SITE)["alerts"] == "nobody"
