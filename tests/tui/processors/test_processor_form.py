"""The processor form: what is asked for, hidden values, problems, and what it turns into."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.api.scripts import FindingKind, ScriptFinding
from engine.errors import Problem
from engine.model.processor import Location, Processor, ProcessorClass, ProcessorRules
from engine.model.project import Project, ProjectRegistry
from tests.fakes import make_receiver
from tests.tui.processors.processing import CLASSES, COPY, RELABEL, SCRIPT, SET, TRIAGE
from tui.processors.fields import project_verdicts, receiver_verdicts
from tui.processors.form import FIELD_ORDER, ProcessorForm
from tui.processors.help import HELP, LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVERS = (
    make_receiver(1, "XNAT", 8104, custom_processing=True),
    make_receiver(2, "CT_INTAKE", 8104, custom_processing=True),
    make_receiver(3, "MR", 8104),
)
PROJECTS = ProjectRegistry((Project("NEURO-01", aliases=("neuro",)),))


def rules(*others: Processor, classes: Sequence[ProcessorClass] = CLASSES) -> ProcessorRules:
    return ProcessorRules(classes, others, PROJECTS)


def new(**values: str | bool) -> ProcessorForm:
    form = ProcessorForm.new(rules(), RECEIVERS)
    for name, value in values.items():
        form.set(name, value)
    return form


def edit(processor: Processor, *others: Processor) -> ProcessorForm:
    return ProcessorForm.edit(processor, rules(*others), RECEIVERS)


def field(form: ProcessorForm, parameter: str) -> str:
    """Return the name in the dialog of a parameter of the chosen class."""
    return next(f.name for f in form.own_parameters() if f.parameter.name == parameter)


def shown(form: ProcessorForm) -> set[str]:
    """Return the parameters that are visible."""
    visible = form.visible_fields()
    return {f.parameter.name for f in form.own_parameters() if f.name in visible}


@pytest.mark.parametrize("processor", [SET, RELABEL, TRIAGE, COPY])
def test_what_is_stored_comes_out_of_the_form_as_it_went_in(processor: Processor) -> None:
    form = edit(processor)
    assert form.result() == processor
    assert not form.is_dirty()
    assert form.problems() == {}


@pytest.mark.parametrize("known", [c for c in CLASSES if not c.error])
def test_choosing_a_class_shows_its_parameters_and_a_location_that_it_has(
    known: ProcessorClass,
) -> None:
    form = new(processor_class=known.id)
    assert {f.parameter.name for f in form.own_parameters()} == {p.name for p in known.parameters}
    assert form.text("location") in known.locations
    for name in form.field_order:
        assert form.label(name)
        assert form.help(name)


def test_every_fixed_field_has_a_label_and_help() -> None:
    assert set(LABELS) == set(HELP) == set(FIELD_ORDER)


def test_what_a_switch_hides_is_kept_as_it_was_saved_and_not_checked() -> None:
    told = (*COPY.parameters, ("tls", "true"), ("tls_ca", "/etc/ca.pem"))
    form = edit(replace(COPY, parameters=told))
    assert {"tls_ca", "tls_key", "tls_check_name"} <= shown(form)
    ca, tls = field(form, "tls_ca"), field(form, "tls")
    form.set(ca, "no path")
    assert set(form.problems()) == {ca}
    form.set(tls, False)
    assert "tls_ca" not in shown(form)
    assert form.switch_of(ca) == tls
    assert form.problems() == {}
    assert dict(form.result().parameters)["tls_ca"] == "/etc/ca.pem"
    assert "tls" not in dict(form.result().parameters)


def test_projects_are_asked_for_only_where_one_is_known() -> None:
    form = edit(SET)
    assert "projects" not in form.visible_fields()
    form.set("location", str(Location.AFTER_PROJECT_SET))
    form.set("projects", "neuro\n\nnobody")
    (problem,) = form.problems()["projects"]
    assert (problem.line, problem.message) == (3, "names no project")
    form.set("projects", "neuro")
    form.set("location", str(Location.AFTER_DICOM_READ))
    assert "projects" in form.visible_fields()
    assert "no project is known" in form.problems()["projects"][0].message


def test_everything_wrong_is_said_at_once_and_in_the_order_of_the_dialog() -> None:
    form = new(processor_class="forwardCopy", priority="", receivers_allowed="XNAT:8104\n\nXNAT")
    problems = form.problems()
    names = [field(form, name) for name in ("ae_title", "host", "port")]
    assert list(problems) == ["label", *names, "priority", "receivers_allowed"]
    assert problems["receivers_allowed"][0].line == 3
    form.set("label", "Copy")
    form.set("priority", "-3")
    form.set("receivers_allowed", "")
    assert list(form.problems()) == names


def test_what_the_engine_refuses_is_shown_at_its_field() -> None:
    form = edit(COPY)
    refused = form.by_field(
        (
            Problem("parameters.host", "x", "is not known", "use another"),
            Problem("parameters", "x", "can't be checked", "choose another class"),
            Problem("label", "x", "names another", "choose another"),
        )
    )
    assert list(refused) == ["label", "processor_class", field(form, "host")]


def test_a_script_is_wrong_only_while_it_is_what_was_checked() -> None:
    form = edit(SET)
    (name,) = form.scripts()
    bad = ScriptFinding(FindingKind.ERROR, 2, 7, "is no statement", "write another")
    odd = ScriptFinding(FindingKind.TRAP, 1, 1, "is odd", "look at it")
    assert not form.is_checked(name)
    form.take_findings(name, SCRIPT, (bad, odd))
    (problem,) = form.problems()[name]
    assert (problem.line, problem.column) == (2, 7)
    form.set(name, f"{SCRIPT}\n")
    assert form.findings(name) == ()
    assert form.problems() == {}


def test_a_class_that_is_gone_or_broken_keeps_what_it_was_told() -> None:
    for class_id, words in (("gone", "is not installed"), ("brokenProcessor", "can't be used")):
        form = edit(replace(TRIAGE, processor_class=class_id))
        assert form.class_choices().count(class_id) == 1
        (problem,) = form.problems()["processor_class"]
        assert words in problem.message
        assert form._parameters_record() == dict(TRIAGE.parameters)
        form.set("processor_class", "setElements")
        assert form._parameters_record() == {}


def test_values_of_another_class_come_back_when_it_is_chosen_again() -> None:
    form = edit(COPY)
    host = field(form, "host")
    form.set(host, "other.example.org")
    form.set("processor_class", "setElements")
    form.set("processor_class", "forwardCopy")
    assert form.text(host) == "other.example.org"
    assert form.text("location") == "after_stored"


def test_defaults_are_told_only_if_they_were() -> None:
    form = edit(TRIAGE)
    unknown = field(form, "unknown")
    assert form.text(unknown) == "continue"
    assert "unknown" not in dict(form.result().parameters)
    form.set(unknown, "reject")
    assert dict(form.result().parameters)["unknown"] == "reject"
    told = replace(TRIAGE, parameters=(*TRIAGE.parameters, ("unknown", "continue")))
    assert edit(told).result() == told


def test_a_duplicate_is_a_new_processor_with_a_free_label() -> None:
    taken = replace(COPY, id=7, label=f"{COPY.label} 2")
    form = ProcessorForm.duplicate(COPY, rules(COPY, taken), RECEIVERS)
    assert form.result() == replace(COPY, id=0, label=f"{COPY.label} 3")
    assert form.original is None


def test_changes_of_others_are_taken_over_and_own_ones_kept() -> None:
    form = edit(RELABEL)
    form.set("priority", "7")
    theirs = replace(RELABEL, label="Theirs", priority=8, parameters=(("file", "/x.csv"),))
    assert form.rebase(theirs) == ("priority",)
    assert form.result() == replace(theirs, priority=7)
    assert form.original == theirs


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"label": ""}, "Needs a label"),
        ({"enabled": False}, "Stays disabled"),
        ({}, "as number 2 of 2 there, on objects of 2 receivers (XNAT:8104, CT_INTAKE:8104)."),
        ({"priority": "1"}, "as number 1 of 2 there"),
        ({"priority": "one"}, "as number 2 of 2 there"),
        ({"location": "after_project_set"}, "Acts after_project_set, alone there"),
        ({"receivers_denied": "XNAT:8104"}, "of 1 receiver (CT_INTAKE:8104)"),
        ({"receivers_allowed": "MR:8104"}, "! No receiver with custom processing"),
    ],
)
def test_a_sentence_says_what_saving_would_mean(values: dict[str, str | bool], words: str) -> None:
    form = edit(SET, replace(SET, id=9, label="Other", priority=3))
    for name, value in values.items():
        form.set(name, value)
    assert words in form.summary()


def test_each_named_receiver_and_project_has_a_verdict() -> None:
    text = "XNAT:8104\n\nMR:8104\nNOBODY:1\nXNAT:8104"
    states = [str(v.state) for v in receiver_verdicts(text, RECEIVERS)]
    assert states == ["good", "blank", "odd", "odd", "repeated"]
    found = project_verdicts("NEURO-01\nneuro\nX", PROJECTS)
    assert [v.words for v in found] == ["project", "alias of NEURO-01", "names no project"]
    assert project_verdicts("X", None)[0].words == "names no project"


def test_without_any_class_there_is_nothing_to_choose() -> None:
    form = ProcessorForm.new(rules(classes=()), RECEIVERS)
    assert set(form.problems()) == {"label", "processor_class"}
