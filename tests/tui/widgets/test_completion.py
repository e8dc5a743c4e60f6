"""What a field offers for what is typed: names that the engine knows, and that the field takes."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult

from engine.model.known_peer import KnownPeer
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.model.receiver import Receiver
from engine.model.whitelist import match, parse_entry
from tests.fakes import FakeEngine, make_status
from tests.fakes.senders import make_sender
from tests.fakes.values import make_snapshot
from tui.widgets.completion import (
    MOST_NAMES,
    CompletingArea,
    Names,
    name_begun,
    offered,
    rest_of_line,
)
from tui.widgets.known_names import MODALITIES, known_names, rest_of_modality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RECEIVER = Receiver(1, AETitle("XNAT"), 8104)
HOSTILE = (
    "\x1b[2J", "CT\n10.0.0.0/8", "[red]CT", "CT\\MR", "10.0.0.0/8", "10.4.7.21", "@10.0.0.1", "",
    "  ", "A" * 17, "CT\u202eRM", "#CT",
)  # fmt: skip


def _known(*titles: str) -> Mapping[Names, Sequence[str]]:
    engine = FakeEngine(current=make_snapshot(receivers=(make_status(RECEIVER),)))
    engine.senders.known = [make_sender(title) for title in titles]
    engine.peers.known = (KnownPeer(AETitle("PACS"), "pacs.example", 104),)
    engine.known_projects = (Project("NEURO", aliases=("Brain study",)), Project("CARDIO"))
    return known_names(engine)


def test_names_come_from_callers_peers_projects_and_receivers() -> None:
    known = _known("CT_1", "MR_1")
    assert known[Names.CALLERS] == ("CT_1", "MR_1")
    assert known[Names.CALLER_ADDRESSES] == ("10.4.7.21",)
    assert known[Names.PEERS] == ("PACS", "CT_1", "MR_1")
    assert known[Names.HOSTS] == ("pacs.example", "10.4.7.21")
    assert known[Names.PROJECTS] == ("NEURO", "CARDIO", "Brain study")
    assert known[Names.RECEIVERS] == ("XNAT:8104",)
    assert known[Names.WHITELIST_LINES][:2] == ("CT_1", "CT_1@10.4.7.21")


@pytest.mark.parametrize("title", HOSTILE)
def test_what_a_hostile_caller_calls_itself_is_offered_only_if_it_means_that_caller(
    title: str,
) -> None:
    known = _known(title)
    for name in (*known[Names.CALLERS], *known[Names.PEERS]):
        assert AETitle.parse(name) == name
    for line in known[Names.WHITELIST_LINES]:
        entry = parse_entry(line)
        assert entry.ae_title == title
        other = match((entry,), "OTHER", ip_address("10.4.7.21"))
        assert other.admitted_by is None


def test_at_most_so_many_names_are_offered_and_none_twice() -> None:
    assert offered(["A", "B", "A", " C", "D\x00", ""]) == ("A", "B")
    assert len(offered(map(str, range(MOST_NAMES * 2)))) == MOST_NAMES


@pytest.mark.parametrize(
    ("typed", "name"),
    [("ct", "CT_1"), ("CT_1", "CT_10"), ("CT_10", ""), ("x", ""), ("ne", "Neuro")],
)
def test_a_name_is_completed_in_any_case(typed: str, name: str) -> None:
    assert name_begun(typed, ["CT_1", "CT_10", "Neuro"]) == name


@pytest.mark.parametrize(
    ("lines", "rest"),
    [
        (["CT"], "_1"),
        (["MR", "  CT_1@"], "10.4.7.21"),
        (["ct"], ""),
        (["CT_1", "CT"], "_1@10.4.7.21"),
        ([""], ""),
        (["CT_1", ""], ""),
    ],
)
def test_a_line_is_completed_to_a_name_that_no_line_above_has(lines: list[str], rest: str) -> None:
    assert rest_of_line(lines, ["CT_1", "CT_1@10.4.7.21"]) == rest


@pytest.mark.parametrize(
    ("lines", "rest"),
    [
        (["[Modality]", "RTS"], "TRUCT"),
        (["[(0008,0060)]", "CT|RTD"], "OSE"),
        (["[Modality]", "^RTI"], "MAGE"),
        (["[Modality]", "CT"], ""),
        (["[Modality]", "[SeriesDescription]", "RTS"], ""),
        (["RTS"], ""),
        (["[Modality]", ""], ""),
    ],
)
def test_a_modality_is_completed_below_the_header_of_modality(lines: list[str], rest: str) -> None:
    assert rest_of_modality(lines, MODALITIES) == rest


class Field(App[None]):
    """One text area, which completes `C`."""

    def compose(self) -> ComposeResult:
        area = CompletingArea(soft_wrap=False, show_line_numbers=True)
        area.complete = lambda lines: "T_SCANNER_1@10.4.7.21" if lines[-1] == "C" else ""
        yield area


async def test_what_completes_a_line_is_seen_whole_though_no_line_is_as_long() -> None:
    app = Field()
    async with app.run_test(size=(40, 10)) as pilot:
        area = app.query_one(CompletingArea)
        area.focus()
        await pilot.press("C")
        await pilot.pause()
        assert "CT_SCANNER_1@10.4.7.21" in area.render_line(0).text
        assert not area.show_horizontal_scrollbar
        await pilot.press("right")
        assert area.text == "CT_SCANNER_1@10.4.7.21"
