"""Custom processing: who sees an object, in what order, and what becomes of it then."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from engine.model.anonymization import SiteScript
from engine.model.configuration import Configuration
from engine.model.identity import MASK
from engine.model.peer import AETitle
from engine.model.plugins import PROCESSORS, PluginInfo
from engine.model.processing import Verdict
from engine.model.processor import Location, Processor
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.session import ObjectState
from engine.model.site import SiteSettings
from engine.plugins.loading import Plugin as Installed
from engine.processing.builtin.label_tables import LabelTables
from engine.processing.chain import Processing, ProcessorStates
from engine.processing.installed import load_processors
from engine.processing.workers import PROCESSES_PER_INSTANCE, ProcessorWorkers
from engine.workers import start
from tests import dicom
from tests.engine.intake.test_pipeline import RECEIVER, Bench, open_bench
from tests.engine.processing import processor_plugins
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.events import Event
    from engine.events.journal import Journal
    from engine.intake.pipeline import ObjectOutcome
    from engine.processing.contract import ProcessorType
    from engine.processing.job import ProcessorJob, ProcessorResult
    from engine.storage.incoming import IncomingArea

    Opened = Callable[..., "Bed"]

ON = replace(RECEIVER, custom_processing=True)
OTHER = Receiver(2, AETitle("OTHER"), 8105, custom_processing=True)
PROJECTS = ProjectRegistry((Project("A", aliases=("alpha",)), Project("B")))
READ, PROJECT, SESSION = (
    Location.AFTER_DICOM_READ,
    Location.AFTER_PROJECT_SET,
    Location.AFTER_SESSION_CREATED,
)
INFO = PluginInfo(
    PROCESSORS, "acme", f"{processor_plugins.__name__}:Plugin", "acme-processors", "1.0"
)


def acme(number: int = 1, location: Location = READ, /, **told: Any) -> Processor:
    """Return an instance of the plugin; what is told to it are its fields, or its parameters."""
    own = {name: told.pop(name) for name in set(told) & set(Processor.__slots__)}
    own = {"label": f"P{number}", "location": location} | own
    return Processor(number, processor_class="acme", parameters=tuple(told.items()), **own)


def script(number: int, location: Location, *lines: str, **own: Any) -> Processor:
    text = "\n".join(('version "6.6"', *lines))
    label, parameters = f"S{number}", (("script", text),)
    return Processor(number, label, "setElements", location=location, parameters=parameters, **own)


def quick(location: Location, /, **own: Any) -> Processor:
    """Return an instance of a class that needs no process, and changes nothing here."""
    table = (("table", "study_instance_uid,project\n1.2.3,A\n"),)
    own = {"location": location, "parameters": table} | own
    return Processor(1, "Remap", "remapByStudy", **own)


@dataclass
class Bed:
    """A pipeline with processors."""

    bench: Bench
    states: ProcessorStates
    processing: Processing
    reports: list[Event]

    def receive(self, receiver: Receiver = ON, /, **tags: Any) -> ObjectOutcome:
        return self.bench.receive(dicom.image(**tags), receiver=receiver)

    def stored(self, **tags: Any) -> pydicom.Dataset:
        """Return what is stored of an object, which must be the first."""
        assert self.receive(**tags).state is ObjectState.STORED
        (file,) = self.bench.files()
        return pydicom.dcmread(file)

    def labels(self) -> tuple[str | None, str | None, str]:
        (session,) = self.bench.index.sessions()
        return session.project, session.subject, session.label

    def failures(self) -> list[str]:
        return [event.sentence() for event in self.reports]


class OneProcess(ProcessorWorkers):
    """A process that all instances and tests share, as starting it takes longest."""

    def run(self, instance_id: int, job: ProcessorJob, files: tuple[int, int]) -> ProcessorResult:
        del instance_id
        return super().run(1, job, files)


@pytest.fixture(scope="module", autouse=True)
def _quick_starts() -> Iterator[None]:
    """Fork workers as those for scripts are; what they do is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "_SPAWN", multiprocessing.get_context("forkserver"))
        yield


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessorWorkers]:
    with closing(OneProcess()) as workers:
        yield workers


@pytest.fixture
def opened(tmp_path: Path, workers: ProcessorWorkers) -> Iterator[Opened]:
    with ExitStack() as stack:

        def opened(
            *processors: Processor,
            workers: ProcessorWorkers = workers,
            site: SiteSettings = SiteSettings(),
        ) -> Bed:
            made: list[Processing] = []
            reports: list[Event] = []
            states = ProcessorStates(FixedClock(), reports.append)
            plugins: list[Installed[ProcessorType]] = [
                *load_processors(),
                Installed(INFO, processor_plugins.Plugin()),
            ]

            def processed(area: IncomingArea, journal: Journal) -> Processing:
                uid_maps = tmp_path / "state.sqlite"
                tables = LabelTables()
                made.append(Processing(plugins, area, uid_maps, tables, workers, states))
                return made[0]

            bench = stack.enter_context(open_bench(tmp_path, site, None, processed))
            bench.configurations.append(
                Configuration(
                    site=site, projects=PROJECTS, receivers=(ON, OTHER), processors=processors
                )
            )
            return Bed(bench, states, made[0], reports)

        yield opened


def test_what_a_plugin_writes_is_seen_by_identification_and_kept_in_the_file(
    opened: Opened,
) -> None:
    bed = opened(acme(do="rename", value="New^Name"))
    ds = bed.stored(StudyDescription="A")
    assert ds.PatientName == "New^Name"
    assert ds.PixelData == bytes(range(32))
    assert ds.SOPInstanceUID == "1.2.826.0.1.3680043.8.498.1"
    assert bed.labels() == ("A", "New_Name", "P-0001")
    assert bed.bench.parts() == []


@pytest.mark.parametrize(
    "syntax", [*dicom.UNCOMPRESSED, dicom.JPEG_BASELINE, dicom.JPEG_2000_LOSSLESS]
)
def test_pixels_and_transfer_syntax_outlast_an_edit(opened: Opened, syntax: str) -> None:
    bed = opened(acme(do="rename", value="New^Name"))
    data_set = dicom.image(syntax)
    outcome = bed.bench.receive(data_set, receiver=ON, transfer_syntax_uid=syntax)
    assert outcome.state is ObjectState.STORED
    (file,) = bed.bench.files()
    ds, before = pydicom.dcmread(file), data_set[-40:]
    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.PatientName == "New^Name"
    assert file.read_bytes().endswith(before)


def test_plugins_are_told_whence_an_object_comes_and_where_it_goes(opened: Opened) -> None:
    bed = opened(acme(1, PROJECT, do="describe"))
    ds = bed.stored(StudyDescription="A")
    assert ds.StudyDescription == "XNAT:8104 CT_SCANNER_1 A   after_project_set"


def test_labels_are_settled_at_last_and_edits_only_kept(opened: Opened) -> None:
    bed = opened(acme(1, SESSION, do="describe"))
    ds = bed.stored(StudyDescription="A")
    described = "XNAT:8104 CT_SCANNER_1 A Doe_Jane P-0001 after_session_created"
    assert ds.StudyDescription == described
    assert bed.labels() == ("A", "Doe_Jane", "P-0001")


def test_the_project_is_fixed_before_what_acts_after_it_and_labels_are_not(opened: Opened) -> None:
    rewrite = script(1, PROJECT, '(0008,1030) := "B"', '(0010,0010) := "Sub"')
    bed = opened(rewrite)
    assert bed.stored(StudyDescription="A").StudyDescription == "B"
    assert bed.labels() == ("A", "Sub", "P-0001")


def test_processors_act_by_location_then_priority_each_on_what_the_others_left(
    opened: Opened,
) -> None:
    def append(number: int, location: Location, priority: int, letter: str) -> Processor:
        line = f'(0010,4000) := concatenate[(0010,4000), "{letter}"]'
        return script(number, location, line, priority=priority)

    bed = opened(
        append(1, SESSION, -9, "4"),
        append(2, READ, 20, "2"),
        append(3, PROJECT, 5, "3"),
        append(4, READ, 3, "1"),
    )
    assert bed.stored(PatientComments="x").PatientComments == "x1234"


def test_a_rejected_object_is_not_stored_and_its_sender_hears_of_success(opened: Opened) -> None:
    later = acme(2, do="raise_error")
    bed = opened(acme(do="refuse"), later)
    outcome = bed.receive(StudyDescription="A")
    assert (outcome.state, outcome.status) == (ObjectState.FILTERED, 0)
    assert outcome.reason == "rejected by processor P1: not of this trial"
    (row,) = bed.bench.rows()
    assert (row.state, row.reason) == (ObjectState.FILTERED, outcome.reason)
    assert not bed.bench.files()
    assert not bed.bench.parts()
    assert not bed.bench.index.sessions()
    status = bed.states.of(acme(), (), "")
    assert (status.runs, status.rejects, status.errors) == (1, 1, 0)
    assert bed.states.of(later, (), "").runs == 0


@pytest.mark.parametrize("do", ["log_name", "log_name_and_fail"])
def test_what_a_plugin_logs_names_no_patient(
    opened: Opened, caplog: pytest.LogCaptureFixture, do: str
) -> None:
    caplog.set_level(logging.INFO)
    opened(acme(do=do)).receive(StudyDescription="A", PatientName="Quince^Zebedee")
    assert f"processor P1: 'seen: {MASK}'" in caplog.text
    assert "Quin" not in caplog.text


def test_what_a_plugin_says_of_a_rejection_names_no_patient(opened: Opened, tmp_path: Path) -> None:
    bed = opened(acme(do="refuse_by_name"))
    outcome = bed.receive(StudyDescription="A", PatientName="Quince^Zebedee")
    assert outcome.reason == f"rejected by processor P1: no {MASK} here"
    (row,) = bed.bench.rows()
    assert row.reason == outcome.reason
    assert not any(b"Quince" in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())


def test_a_script_that_rejects_rejects_and_one_that_changes_nothing_goes_on(
    opened: Opened,
) -> None:
    bed = opened(script(1, READ, '(0010,0020) = "BAD" ? reject[] : (0010,0020) := (0010,0020)'))
    assert (
        bed.receive(PatientID="BAD").reason
        == "rejected by processor S1: its script rejects the object"
    )
    data_set = dicom.image(PatientID="GOOD")
    assert bed.bench.receive(data_set, receiver=ON).state is ObjectState.STORED
    (file,) = bed.bench.files()
    assert file.read_bytes().endswith(data_set)


def test_what_is_not_accepted_is_stored_as_it_came(opened: Opened) -> None:
    bed = opened(acme(do="rename", value="X", modality="MR"))
    data_set = dicom.image()
    bed.bench.receive(data_set, receiver=ON)
    (file,) = bed.bench.files()
    assert file.read_bytes().endswith(data_set)


def test_a_table_outlives_changes_of_everything_else(opened: Opened, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("key,project\nP-0001,A\n")
    relabel = Processor(1, "R", "relabelFromTable", parameters=(("file", str(file)),))
    bed = opened(relabel)
    assert bed.receive().state is ObjectState.STORED
    file.unlink()
    configuration = bed.bench.configurations[-1]
    changed = replace(configuration, processors=(replace(relabel, priority=1),))
    bed.bench.configurations.append(changed)
    bed.processing.apply(changed)
    assert bed.receive(PatientName="Other").state is ObjectState.STORED
    assert bed.labels()[0] == "A"


@pytest.mark.parametrize(
    ("processor", "receiver", "description", "seen"),
    [
        (quick(READ), ON, "A", True),
        (quick(READ), RECEIVER, "A", False),
        (quick(READ, enabled=False), ON, "A", False),
        (quick(READ, receivers_allowed=("XNAT:8104",)), ON, "A", True),
        (quick(READ, receivers_allowed=("XNAT:8104",)), OTHER, "A", False),
        (quick(READ, receivers_denied=("OTHER:8105",)), OTHER, "A", False),
        (quick(READ, receivers_denied=("OTHER:8105",)), ON, "A", True),
        (quick(READ, receivers_allowed=(ON.label,), receivers_denied=(ON.label,)), ON, "A", False),
        (quick(PROJECT, projects=("A",)), ON, "A", True),
        (quick(PROJECT, projects=("alpha",)), ON, "A", True),
        (quick(PROJECT, projects=("A",)), ON, "B", False),
        (quick(PROJECT, projects=("A",)), ON, "nothing", False),
        (quick(SESSION, projects=("B",)), ON, "B", True),
        (quick(PROJECT, projects=("A",), receivers_allowed=("XNAT:8104",)), ON, "A", True),
        (quick(PROJECT, projects=("A",), receivers_allowed=("XNAT:8104",)), ON, "B", False),
        (quick(PROJECT, projects=("A",), receivers_allowed=("XNAT:8104",)), OTHER, "A",
         False),
    ],
)  # fmt: skip
def test_who_sees_an_object(
    opened: Opened, processor: Processor, receiver: Receiver, description: str, seen: bool
) -> None:
    bed = opened(processor)
    assert bed.receive(receiver, StudyDescription=description).state is ObjectState.STORED
    assert bed.states.of(processor, (), "").runs == seen


@pytest.mark.parametrize(
    ("do", "why"),
    [
        ("raise_error", "ValueError in processor_plugins.py"),
        ("leave", "SystemExit in processor_plugins.py"),
        ("no_such_method", "AttributeError in processor_plugins.py"),
        ("nothing", "neither Continue nor Reject was returned"),
        ("rewrite_uid", "ValueError in context.py"),
        ("assign_number", "ValueError in contract.py"),
        ("script", "the script is not valid"),
        ("crash", "its process died twice"),
    ],
)
def test_whatever_fails_in_a_plugin_fails_one_object_and_is_told_without_its_values(
    opened: Opened, do: str, why: str
) -> None:
    bed = opened(acme(do=do, value="no script"))
    outcome = bed.receive(PatientName="Secret^Name", StudyDescription="A")
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0x0110)
    assert outcome.reason.startswith(f"processor P1: {why}")
    (told,) = bed.failures()
    assert why in told
    assert "Secret" not in told + outcome.reason
    assert not bed.bench.files()
    assert not bed.bench.parts()
    assert bed.states.of(acme(), (), "").last_error.startswith(why)
    assert bed.receive(RECEIVER).state is ObjectState.STORED


def test_labels_can_not_be_assigned_once_they_are_settled(opened: Opened) -> None:
    bed = opened(acme(1, SESSION, do="assign", project="A"))
    assert bed.receive().reason.startswith("processor P1: ValueError in contract.py")


def test_an_instance_whose_class_is_not_installed_fails_objects(opened: Opened) -> None:
    bed = opened(replace(acme(), processor_class="gone"))
    assert bed.receive().reason == "processor P1: its class is not installed"
    assert bed.processing.problem_of(replace(acme(), processor_class="gone"))


def test_a_plugin_that_hangs_holds_up_no_other_receiver(opened: Opened) -> None:
    hanging = acme(1, do="hang", receivers_allowed=("XNAT:8104",))
    good = acme(2, do="rename", value="Good", receivers_allowed=("OTHER:8105",))
    with closing(ProcessorWorkers()) as workers:
        bed = opened(hanging, good, workers=workers)
        stuck: list[ObjectOutcome] = []
        threads = [
            threading.Thread(target=lambda: stuck.append(bed.receive(ON)))
            for _ in range(PROCESSES_PER_INSTANCE + 1)
        ]
        for thread in threads:
            thread.start()
        assert bed.receive(OTHER, StudyDescription="A").state is ObjectState.STORED
        assert not stuck
        workers.close()
        for thread in threads:
            thread.join()
    assert {outcome.status for outcome in stuck} == {0x0110}


def test_the_time_of_a_plugin_is_limited(opened: Opened) -> None:
    with closing(ProcessorWorkers(wall_seconds=0.3)) as workers:
        bed = opened(acme(do="hang"), workers=workers)
        assert bed.receive().reason == "processor P1: it took too long and was killed"


def test_processors_act_before_anonymization(opened: Opened) -> None:
    site = SiteSettings(script=SiteScript(True, 'version "6.1"\n(0010,4000) := (0010,0010)\n', 1))
    bed = opened(acme(do="rename", value="New^Name"), site=site)
    assert bed.stored(StudyDescription="A").PatientComments == "New^Name"


@pytest.mark.parametrize(
    ("told", "labels", "warning"),
    [
        ({"project": "alpha", "session": "S 1"}, ("A", "Doe_Jane", "S_1"), ""),
        ({"project": ""}, (None, "Doe_Jane", ""), ""),
        ({"project": "C"}, (None, "Doe_Jane", ""), "processor P1 names project 'C', which is none"),
    ],
)
def test_a_processor_may_say_by_itself_where_an_object_goes(
    opened: Opened, told: dict[str, str], labels: tuple[str | None, str, str], warning: str
) -> None:
    bed = opened(acme(do="assign", **told))
    outcome = bed.receive(StudyDescription="B")
    assert outcome.reason == warning
    project, subject, session = bed.labels()
    assert (project, subject, session) == (*labels[:2], labels[2] or "dicom_upload")


def test_what_is_gone_from_the_configuration_holds_no_process_and_prints_come_nowhere(
    opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(ProcessorWorkers()) as workers:
        bed = opened(acme(do="say"), workers=workers)
        configuration = bed.bench.configurations[-1]
        bed.processing.apply(configuration)
        assert bed.receive().state is ObjectState.STORED
        assert workers.processes() == 1
        bed.processing.apply(replace(configuration, processors=()))
        assert workers.processes() == 0
    assert capfd.readouterr() == ("", "")


def test_a_process_is_started_ahead_only_for_what_will_need_one(opened: Opened) -> None:
    table = (("table", "key\n"), ("key", "calling_ae_title"))
    relabel = replace(acme(3), processor_class="relabelFromTable", parameters=table)
    edits = script(4, READ)
    with closing(ProcessorWorkers()) as workers:
        bed = opened(acme(do="say"), relabel, edits, workers=workers)
        configuration = bed.bench.configurations[-1]
        off = tuple(replace(r, custom_processing=False) for r in configuration.receivers)
        bed.processing.start_ahead(replace(configuration, receivers=off))
        bed.processing.start_ahead(replace(configuration, processors=(relabel,)))
        assert workers.processes() == 0
        for _ in range(2):
            bed.processing.start_ahead(configuration)
        assert workers.processes() == 2


def test_a_dry_run_tells_every_change_and_counts_nothing(opened: Opened) -> None:
    bed = opened(acme(do="rename", value="New^Name"), acme(2, PROJECT, projects=("B",)))
    bed.receive(StudyDescription="A")
    router = bed.bench.pipeline._router
    (preview,) = router.preview(ON, shown=True)
    first, second = preview.draft_processing
    assert preview.saved_processing[0].verdict is Verdict.CONTINUED
    assert [change.words() for change in first.changes] == [
        "(0010,0010) PatientName: 'Doe^Jane' → 'New^Name'"
    ]
    assert [c.words() for c in first.masked().changes] == [
        "(0010,0010) PatientName: '••••••••' → '••••••••'"
    ]
    assert (second.verdict, second.why) == (Verdict.NOT_SEEN, "its project is A")
    assert preview.draft.identity is not None
    assert preview.draft.identity.subject.value == "New_Name"
    assert bed.states.of(acme(), (), "").runs == 1
    assert len(bed.bench.files()) == 1
    trial = router.try_processor(acme(0, do="refuse"), "XNAT:8104")
    assert [(s.verdict, s.why) for s in trial.steps] == [(Verdict.REJECTED, "not of this trial")]
