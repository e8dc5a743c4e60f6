"""The benchmark's pure parts: its objects, its tapes, its reading of results, its arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from engine.dicom.dataset import read_complete
from engine.identification.builtin import DefaultIdentifier
from engine.identification.identifiers import explain
from engine.identification.sources import Routing
from engine.model.identity import Source
from engine.model.project import Project, ProjectRegistry
from engine.model.routing import SiteRouting
from engine.settings import usual_receiving_processes
from tests.bench import estimate, queues
from tests.bench.anonymizing import (
    STATEMENTS,
    bench_script,
    cost_of,
    measure,
)
from tests.bench.bars import missed_limits, ratio_bar
from tests.bench.pdus import Accepted, Context, Encoded, Refused, associate_request, parse_accept
from tests.bench.receivers import Dicomdock, Sink, running
from tests.bench.report import aligned, compared_runs, ratio, summary_of, table
from tests.bench.routing import RULES_PER_TEXT, Routed, Uninformed, identification_us
from tests.bench.runs import Case, Run, Spoilt, judged
from tests.bench.sender import Blast, Blaster, Caller, longest_pdu, quantile, read_blast
from tests.bench.tape import CALLED, CALLING, ENTRY, HEAD, MAGIC, write_tape
from tests.bench.workloads import PROJECT, WORKLOADS, make_object, make_objects
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = Context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
CT_1 = Case(WORKLOADS["ct"], 1, 16_382)
BLAST = Blast(500, 265_000_000, 0.5, 0.2, 0.9, 3.0, 0.05, "")
_PDV = Struct(">BxLLBB")


def encoded(number: int) -> Encoded:
    uid = f"1.2.3.{number}"
    return Encoded(CONTEXT, uid, image(SOPInstanceUID=uid))


def run(receiver: str, number: int, seconds: float = 0.5) -> Run:
    blast = replace(BLAST, seconds=seconds)
    return Run(receiver, number, blast, cpu_seconds=0.2, peak_mb=60, stored=500)


def test_the_cost_of_a_script_is_measured_for_each_kind_of_object(tmp_path: Path) -> None:
    script = bench_script()
    assert len(script.statements) == STATEMENTS + 1  # the version
    cost = cost_of("mr", script, tmp_path, 1)
    assert cost.ratio > 0
    report = "\n".join(measure(tmp_path, 1, quick=True))
    assert all(report.count(WORKLOADS[name].title) == 2 for name in ("ct", "mr", "small"))
    assert "dcmodify µs" in report


@pytest.mark.parametrize("name", WORKLOADS)
def test_objects_are_what_pydicom_and_the_engine_can_read(name: str) -> None:
    workload = WORKLOADS[name]
    for made in make_objects(workload, 2):
        header = read_complete(made.data_set, workload.transfer_syntax_uid)
        assert header.sop_class_uid == made.context.sop_class_uid
        assert header.sop_instance_uid == made.sop_instance_uid
        assert header.text(0x00081030) == PROJECT
        readable = dcmread(DicomBytesIO(made.data_set), force=True, stop_before_pixels=True)
        assert readable.SOPInstanceUID == made.sop_instance_uid
        assert len(readable) > 20


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ct", 524_288, 560_000),
        ("mr", 131_072, 140_000),
        ("small", 1_000, 6_000),
        ("j2k", 150_000, 160_000),
        ("large", 200_000_000, 201_000_000),
    ],
)
def test_objects_have_the_size_that_the_workload_says(name: str, least: int, most: int) -> None:
    assert all(least < len(made.data_set) < most for made in make_objects(WORKLOADS[name], 2))


@pytest.mark.parametrize("name", ["ct", "small", "j2k"])
def test_objects_are_the_same_every_time_and_all_different(name: str) -> None:
    first, second = (list(make_objects(WORKLOADS[name], 40)) for _ in range(2))
    assert first == second
    assert len({made.sop_instance_uid for made in first}) == 40
    studies = [make_object(WORKLOADS[name], n, 40).StudyInstanceUID for n in range(40)]
    assert len(set(studies)) == WORKLOADS[name].studies
    assert sum(a != b for a, b in pairwise(studies)) == WORKLOADS[name].studies - 1


def test_encapsulated_objects_name_their_transfer_syntax() -> None:
    (made,) = make_objects(WORKLOADS["j2k"], 1)
    assert made.context.transfer_syntax_uid == "1.2.840.10008.1.2.4.90"


def test_every_association_gets_objects() -> None:
    assert CT_1.objects == 500
    assert Case(WORKLOADS["ct"], 16, 16_382, scale=0.01).objects == 32
    assert [Case(WORKLOADS["large"], n, 16_382).objects for n in (1, 4)] == [2, 4]


@pytest.mark.parametrize("pdu_bytes", [256, 16_382, 131_072])
def test_a_tape_holds_each_object_in_pdus_of_the_allowed_length(
    tmp_path: Path, pdu_bytes: int
) -> None:
    objects = [encoded(number) for number in range(3)]
    tape = write_tape(tmp_path / "tape", objects, pdu_bytes)
    content = tape.path.read_bytes()
    magic, count, associate_at, associate_bytes, table_at = HEAD.unpack_from(content)
    assert (magic, count, tape.objects, tape.contexts) == (MAGIC, 3, 3, (CONTEXT,))
    request = A_ASSOCIATE_RQ()
    request.decode(content[associate_at : associate_at + associate_bytes])
    assert request.called_ae_title.strip() == CALLED
    for number, made in enumerate(objects):
        at, size, data_set_bytes, message_id = ENTRY.unpack_from(
            content, table_at + number * ENTRY.size
        )
        fragments = list(_fragments(content[at : at + size], pdu_bytes))
        command, *data = (fragment for _, fragment in fragments)
        assert b"".join(data) == made.data_set
        assert made.sop_instance_uid.encode() in command
        assert (data_set_bytes, message_id) == (len(made.data_set), number + 1)
        assert [control for control, _ in fragments] == [3, *[0] * (len(data) - 1), 2]


def _fragments(pdus: bytes, pdu_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the control byte and the content of each P-DATA-TF PDU."""
    position = 0
    while position < len(pdus):
        kind, length, item_length, context, control = _PDV.unpack_from(pdus, position)
        assert (kind, item_length, context) == (4, length - 4, 1)
        assert length <= pdu_bytes
        yield control, pdus[position + 12 : position + 6 + length]
        position += 6 + length


def test_an_answer_to_an_association_request_is_read(tmp_path: Path) -> None:
    request = A_ASSOCIATE_RQ()
    request.decode(associate_request(CALLED, CALLING, [CONTEXT, CONTEXT]))
    primitive = request.to_primitive()
    for context in primitive.presentation_context_definition_list:
        context.result = 0 if context.context_id == 1 else 3
    contexts = primitive.presentation_context_definition_list
    primitive.presentation_context_definition_results_list = contexts
    primitive.result = 0
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    assert parse_accept(answer.encode()) == Accepted(131_072, frozenset({1}))


def test_a_rejection_is_told_by_its_numbers() -> None:
    with pytest.raises(Refused, match="result 1, source 1, reason 7"):
        parse_accept(bytes.fromhex("03000000000400010107"))


def test_what_the_blaster_prints_becomes_figures() -> None:
    printed = {
        "response_ns": [4_000_000, 1_000_000, 2_000_000, 3_000_000],
        "objects": 4,
        "bytes": 2_000_000,
        "elapsed_ns": 500_000_000,
        "set_up_ns": 2_500_000,
        "sender_cpu_seconds": 0.25,
        "failure": "",
    }
    blast = read_blast(json.dumps(printed).encode())
    assert blast == Blast(4, 2_000_000, 0.5, 3.0, 4.0, 2.5, 0.25, "")


def test_a_quantile_is_the_value_with_that_part_below_it() -> None:
    assert [quantile(range(100), part) for part in (0.0, 0.5, 0.99, 1.0)] == [0, 50, 99, 99]
    assert quantile([], 0.5) == 0.0


def test_a_run_counts_only_if_all_was_confirmed_and_kept() -> None:
    good = run("dicomdock", 0)
    assert judged(good, CT_1) is good
    lost = judged(replace(good, stored=499), CT_1)
    assert lost == Spoilt("dicomdock", 0, "500 objects confirmed, 499 stored")
    refused = judged(replace(good, blast=replace(BLAST, objects=9, failure="status 0xA700")), CT_1)
    assert refused == Spoilt("dicomdock", 0, "9 of 500 objects confirmed: status 0xA700")


def test_a_ratio_is_the_median_of_the_ratios_in_each_round() -> None:
    ours = [run("dicomdock", n, seconds) for n, seconds in enumerate((0.5, 0.5, 5.0))]
    theirs = [run("storescp", n, seconds) for n, seconds in enumerate((1.0, 2.0, 10.0))]
    assert ratio([*ours, *theirs], "dicomdock", "storescp") == pytest.approx(2.0)
    spoilt = Spoilt("dicomdock", 1, "refused")
    assert ratio([ours[0], spoilt, ours[2], *theirs[1:]], "dicomdock", "storescp") == pytest.approx(
        2.0
    )
    assert ratio(ours, "dicomdock", "storescp") is None


def test_a_summary_leaves_out_what_does_not_count() -> None:
    runs: list[Run | Spoilt] = [run("x", n, 0.5 * 2**n) for n in range(3)]
    runs.append(Spoilt("x", 3, "refused"))
    summary = summary_of("x", runs)
    assert (summary.rounds, summary.trouble) == (3, "refused")
    assert (summary.lowest, summary.objects_per_second, summary.highest) == (250, 500, 1000)
    assert summary.cpu_seconds_per_gb == pytest.approx(0.2 / 0.265)
    assert summary.cpu_us_per_object == pytest.approx(400)
    assert summary_of("x", runs[3:]).objects_per_second == 0


def test_a_table_shows_ratios_bars_and_who_is_absent() -> None:
    runs = [run("dicomdock", 0, 0.5), run("storescp", 0, 0.55)]
    comparison = compared_runs(CT_1, runs, "none")
    titles = {"dicomdock": "dicomdock", "storescp": "DCMTK storescp", "orthanc": "Orthanc"}
    head, columns, ours, storescp, orthanc, missed = table(comparison, titles, "none").splitlines()
    assert head.startswith("CT 0.5 MB, 1 association ·")
    assert columns.split()[:2] == ["receiver", "objects/s"]
    assert ours.split()[:2] == ["dicomdock", "1000"]
    assert "1.10 ×  ≥ 1.3 ✗" in storescp
    assert orthanc.split() == ["Orthanc", "absent"]
    assert missed == "  ✗ 1.10 × storescp, bar ≥ 1.3"


def test_with_a_script_dicomdock_is_compared_as_well() -> None:
    ct_4 = replace(CT_1, associations=4)
    runs = [run("dicomdock", 0), run("dicomdock-script", 0, 1.0), run("orthanc", 0, 0.9)]
    comparison = compared_runs(ct_4, runs, "none")
    assert comparison.scripted == {"orthanc": pytest.approx(0.9)}
    assert "with the script 0.90 × orthanc, bar ≥ 2" in comparison.missed
    assert "  with the script dicomdock is 0.90 × orthanc" in table(comparison, {}, "none")
    assert not any("script" in words for words in compared_runs(CT_1, runs, "none").missed)


def test_columns_are_aligned() -> None:
    assert aligned([("a", "b"), ("long", "12")]) == ["a      b", "long  12"]


def test_bars_are_those_of_the_durability() -> None:
    assert ratio_bar(CT_1, "storescp", "none") == 1.3
    assert ratio_bar(CT_1, "storescp", "full") is None
    assert ratio_bar(CT_1, "disk-limit", "full") == 0.95
    assert ratio_bar(CT_1, "disk-limit", "none") is None
    assert ratio_bar(replace(CT_1, associations=2), "storescp", "none") is None
    assert ratio_bar(Case(WORKLOADS["large"], 16, 16_382), "orthanc", "none") is None
    single = Case(WORKLOADS["small"], 4, 16_382, single=True)
    assert ratio_bar(single, "orthanc", "none") == 0.8
    assert ratio_bar(single, "storescp", "none") == 0.5


def test_memory_and_response_time_have_bars_of_their_own() -> None:
    summary = summary_of("dicomdock", [run("dicomdock", 0)])
    large, ct_4 = Case(WORKLOADS["large"], 1, 16_382), replace(CT_1, associations=4)
    assert missed_limits(large, summary) == missed_limits(ct_4, summary) == []
    assert missed_limits(large, replace(summary, peak_mb=220))
    assert missed_limits(ct_4, replace(summary, p99_ms=8.5))


@pytest.mark.parametrize("single", [False, True])
def test_the_blaster_tells_what_was_refused(tmp_path: Path, single: bool) -> None:
    kept: list[str] = []

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        if uid.endswith(".2"):
            return 0xA700
        kept.append(uid)
        return 0x0000

    entity, port = AE(), free_port()
    entity.maximum_pdu_size = 8_192
    entity.add_supported_context(CT_IMAGE_STORAGE, ExplicitVRLittleEndian)
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    assert server is not None
    try:
        tape = write_tape(tmp_path / "tape", map(encoded, range(5)), 200)
        assert longest_pdu(port, tape.contexts, 16_384) == 8_192
        blast = Blaster(tmp_path).play(tape, port, 2, single=single)
        with Caller(port, [CONTEXT]) as caller:
            assert caller.accepted.context_ids == {1}
    finally:
        server.shutdown()
    assert (blast.objects, blast.failure) == (4, "status 0xA700")
    assert sorted(kept) == ["1.2.3.0", "1.2.3.1", "1.2.3.3", "1.2.3.4"]


def test_the_bare_receiver_keeps_what_it_is_sent(tmp_path: Path) -> None:
    objects, port = list(map(encoded, range(5))), free_port()
    # Longer than the buffer of the bare receiver, so that it arrives in several pieces.
    objects.append(replace(objects[0], data_set=objects[0].data_set + bytes(1_500_000)))
    tape = write_tape(tmp_path / "tape", objects, 16_382)
    with running(Sink(), tmp_path / "sink", port):
        longest = longest_pdu(port, tape.contexts, 16_382)
        blast = Blaster(tmp_path).play(tape, port, 2)
    assert (longest, blast.objects, blast.failure) == (16_382, 6, "")
    assert Sink().stored(tmp_path / "sink") == 6
    kept = (tmp_path / "sink/objects").glob("*.dcm")
    assert sorted(file.read_bytes() for file in kept) == sorted(o.data_set for o in objects)


def test_the_number_of_receiving_processes_is_passed_on_and_shown(tmp_path: Path) -> None:
    several, usual = Dicomdock(processes=3), Dicomdock()
    for name in ("several", "usual"):
        (tmp_path / name).mkdir()
    assert several.command(tmp_path / "several", 11112)[-1] == "--receiving-processes=3"
    assert several.version().endswith("3 receiving processes")
    command = usual.command(tmp_path / "usual", 11112)
    assert not any(word.startswith("--receiving") for word in command)
    default = usual_receiving_processes()
    assert usual.version().endswith(f"{default} receiving processes")


def test_the_estimate_shows_what_its_program_computes() -> None:
    page = (Path(__file__).parents[2] / "docs/developers/estimate.md").read_text()
    assert [table for table in estimate.tables().split("\n\n") if table not in page] == []


def test_an_estimate_names_what_limits() -> None:
    ct, _, small = estimate.KINDS
    plain, script, _ = estimate.PATHS
    found = [
        estimate.by_cores(ct, plain, 1),
        estimate.by_cores(ct, plain, 64),
        estimate.by_cores(small, plain, 64),
        estimate.by_cores(small, script, 64),
        estimate.by_disk(ct, estimate.Disk("slow to write", 1e6, 53.1)),
        estimate.by_disk(ct, estimate.Disk("slow to flush", 100, 1e6)),
    ]
    assert [each.limit for each in found] == [
        *("cores", "network", "main process", "cores"),
        *("bandwidth", "flushes"),
    ]
    assert [each.objects for each in found[-2:]] == [pytest.approx(100), 50]


def test_the_twenty_rules_of_the_routing_benchmark_decide_every_object() -> None:
    """Those that don't match must be asked, or nothing is measured."""
    receiver = Routed().receiver
    routing = Routing.of(receiver, SiteRouting(), ProjectRegistry((Project(PROJECT),)))
    for made in make_objects(WORKLOADS["small"], 4):
        header = read_complete(made.data_set, EXPLICIT_VR_LITTLE_ENDIAN)
        trace = explain(DefaultIdentifier(), header, routing).trace
        ruled = [step for step in trace.steps if step.source is Source.RECEIVER]
        assert len(ruled) == sum(RULES_PER_TEXT) == 20
        assert [step.line for step in ruled if step.decided] == list(RULES_PER_TEXT)


def test_identification_is_measured_with_its_rules() -> None:
    workload, receiver = WORKLOADS["small"], Routed().receiver
    shared = identification_us(workload, receiver, DefaultIdentifier())
    each = identification_us(workload, receiver, Uninformed())
    assert 0 < shared < each < 10_000


def test_queues_of_several_docks_are_the_same_for_a_seed_and_grow_only_in_an_outage() -> None:
    load = queues.Load()
    hours = queues.simulate(load, (queues.Outage(None, 10, 12),))
    assert hours == queues.simulate(load, (queues.Outage(None, 10, 12),))
    assert len(hours) == 24
    waiting = [sum(hour.to_forward) for hour in hours]
    assert waiting[:10] == [0] * 10
    # Two hours of three times the mean are 700,000 objects, less what is random.
    assert 400_000 < max(waiting) == waiting[11] < 700_000
    assert waiting[-1] == 0
    # A dock that is away has nothing new to forward; the others take its senders.
    away = queues.simulate(replace(load, objects_a_year=4e10), (queues.Outage(0, 0, 24),))
    assert {hour.to_forward[0] for hour in away} == {0}
    assert max(sum(hour.to_forward) for hour in away) > 0


def test_the_page_shows_the_pictures_of_the_queues() -> None:
    page = (Path(__file__).parents[2] / "docs/explanation/several-docks.md").read_text("utf-8")
    assert queues.pictures() in page
