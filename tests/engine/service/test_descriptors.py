"""The limit on open files: raised as far as allowed, and compared with what is needed."""

from __future__ import annotations

import json
import logging
import resource
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Durability, Engine, EngineSettings
from engine.config.store import ConfigurationStore
from engine.errors import TooFewDescriptors
from engine.events import ConfigurationRefused
from engine.host.open_files import WANTED, raise_limit
from engine.model.configuration import (
    PER_ASSOCIATION,
    RESERVE,
    Configuration,
    DescriptorNeed,
    descriptor_note,
    descriptors_needed,
    parse_configuration,
    require_descriptors,
)
from engine.service import engine as engine_module
from tests.fakes import FixedClock
from tests.running import free_port, make_receiver

if TYPE_CHECKING:
    from pathlib import Path

NO_LIMIT = resource.RLIM_INFINITY


class System:
    """Stands for the `resource` module's limits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.limits = (soft, hard)
        self.refuses = False
        monkeypatch.setattr(resource, "getrlimit", lambda _: self.limits)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, which: int, limits: tuple[int, int]) -> None:
        assert which == resource.RLIMIT_NOFILE
        if self.refuses:
            raise ValueError("not allowed")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 20_000, 20_000),
        (1024, 1_000_000, WANTED),
        (1024, NO_LIMIT, WANTED),
        (100_000, 1_000_000, 100_000),
        (256, 512, 512),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int
) -> None:
    system = System(monkeypatch, soft, hard)
    assert raise_limit() == raised
    assert system.limits == (raised, hard)


def test_no_limit_stays_none(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, NO_LIMIT, NO_LIMIT)
    assert raise_limit() == sys.maxsize
    assert system.limits == (NO_LIMIT, NO_LIMIT)


def test_a_system_that_refuses_leaves_the_limit_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(monkeypatch, 1024, 20_000)
    system.refuses = True
    assert raise_limit() == 1024


def with_ports(*ports: int, associations: int = 10) -> Configuration:
    receivers = {
        str(number): {"ae_title": f"A{number}", "port": port}
        for number, port in enumerate(ports, start=1)
    }
    site = {"limits": {"associations": associations}}
    return parse_configuration({"receivers": receivers, "site": {"1": site}})


def test_ports_and_associations_need_descriptors_and_receivers_on_one_port_share_it() -> None:
    assert descriptors_needed(with_ports(8104, 8104, 8105)) == DescriptorNeed(2, 10)
    (first, *others) = with_ports(8104, 8105).receivers
    configuration = with_ports(8104, 8105)
    disabled = replace(configuration, receivers=(replace(first, enabled=False), *others))
    assert descriptors_needed(disabled).ports == 1
    need = descriptors_needed(configuration)
    assert need.to_listen == RESERVE + 2
    assert need.in_total == RESERVE + 2 + 10 * PER_ASSOCIATION


def test_a_configuration_whose_ports_can_not_listen_is_rejected_and_one_above_passes() -> None:
    configuration = with_ports(8104, 8105)
    with pytest.raises(TooFewDescriptors) as refused:
        require_descriptors(configuration, RESERVE + 1)
    assert refused.value.detail == (
        "open_files '151': is too low: an engine needs 152 (ports: 2); "
        "raise the limit (ulimit -n, LimitNOFILE=), or disable receivers"
    )
    require_descriptors(configuration, RESERVE + 2)


def test_too_few_for_every_association_that_is_allowed_is_a_warning() -> None:
    configuration = with_ports(8104, associations=300)
    assert descriptor_note(configuration, RESERVE + 1 + 300 * PER_ASSOCIATION) == ""
    assert descriptor_note(configuration, 1024) == (
        "only 1,024 files and connections may be open at once, and 1,351 may be needed (ports: 1, "
        "associations: 300): raise the limit (ulimit -n, LimitNOFILE=), or lower the site's limit "
        "of associations"
    )


def test_an_engine_that_may_open_too_little_says_so_before_it_makes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "raise_limit", lambda: 100)
    with pytest.raises(TooFewDescriptors, match="open_files '100': is too low") as refused:
        Engine(EngineSettings(tmp_path / "data")).start()
    assert refused.value.exit_code == 2
    assert not (tmp_path / "data").exists()


def test_what_would_need_too_many_is_not_saved_and_not_taken_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_module, "raise_limit", lambda: RESERVE + 1)
    settings = EngineSettings(tmp_path / "data", durability=Durability.NONE)
    store = ConfigurationStore(settings.config_file, clock=FixedClock())
    first, second = (make_receiver(f"A{n}", free_port()) for n in (1, 2))
    _, first = store.save_receiver(first, "anna")
    engine = Engine(settings)
    with caplog.at_level(logging.WARNING):
        engine.start()
    try:
        (note,) = engine.receiver_notes(first.id)
        assert note in caplog.text
        assert note.startswith("only 151 files and connections may be open at once")
        with pytest.raises(TooFewDescriptors):
            engine.save_receiver(second, "anna")
        assert engine.snapshot().revision == store.load().revision == 1
        tables = json.loads(settings.config_file.read_text())
        tables["receivers"]["2"] = {**second.to_record(), "id": 2}
        settings.config_file.write_text(json.dumps(tables))
        engine.reload()
        snapshot = engine.snapshot()
        assert "open_files '151': is too low" in snapshot.configuration_problem
        assert [status.receiver.label for status in snapshot.receivers] == [first.label]
        refused = [e.event for e in engine.events_since(1).events]
        (event,) = [e for e in refused if isinstance(e, ConfigurationRefused)]
        assert "open_files '151': is too low" in event.sentence()
    finally:
        engine.stop(drain_seconds=0)
