"""Revisions in plain rows, and their return, on a real configuration file."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.api.history import ChangeRow, ReceiverTimes
from engine.config.store import ConfigurationStore
from engine.errors import ChangedMeanwhile, NotFound
from engine.model.configuration_diff import Change, FieldDifference
from engine.model.project import Project
from engine.queries.history import HistoryQueries
from tests.fakes import NOW, FixedClock
from tests.running import make_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.configuration import Configuration
    from engine.model.receiver import Receiver


class Setting:
    """A store with three revisions, and an engine that applies what it is given."""

    def __init__(self, folder: Path) -> None:
        self.store = ConfigurationStore(folder / "config.json", clock=FixedClock())
        self.store.save_project(Project("NEURO-01"), "anna from 10.4.1.20")
        receiver = make_receiver("XNAT", 8104, whitelist=("CT1",))
        self.in_force, saved = self.store.save_receiver(receiver, "bert")
        changed = replace(saved, whitelist=("CT1", "CT2"), enabled=False)
        self.in_force, _ = self.store.save_receiver(changed, "carl")
        self.history = HistoryQueries(
            self.store,
            lambda: self.in_force,
            lambda: nullcontext(self.store),
            self.apply,
        )

    def apply(self, configuration: Configuration) -> None:
        self.in_force = configuration


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_revisions_tell_who_changed_what_when_and_from_where(setting: Setting) -> None:
    page = setting.history.revisions()
    assert [r.number for r in page.revisions] == [3, 2, 1]
    assert (page.in_force, page.more) == (3, False)
    newest, _, first = page.revisions
    assert (newest.changed_by, newest.changed_from, newest.changes) == ("carl", "", 2)
    assert newest.summary == (
        "receiver XNAT:8104 enabled: on → off",
        "receiver XNAT:8104 whitelist: +CT2",
    )
    assert newest.subjects == ("receiver XNAT:8104",)
    assert (first.changed_by, first.changed_from, first.changed_at) == ("anna", "10.4.1.20", NOW)


def test_revisions_come_in_pages(setting: Setting) -> None:
    page = setting.history.revisions(limit=1)
    assert ([r.number for r in page.revisions], page.more) == ([3], True)
    rest = setting.history.revisions(before=3, limit=5)
    assert ([r.number for r in rest.revisions], rest.more) == ([2, 1], False)
    assert rest.revisions[0].summary == ("receiver XNAT:8104 added",)
    assert setting.history.revisions(before=1).revisions == ()


def test_two_revisions_are_compared_in_rows(setting: Setting) -> None:
    assert setting.history.diff(2) == setting.history.diff(2, 3)
    enabled, whitelist = setting.history.diff(2, 3)
    assert (enabled.field, enabled.before, enabled.after) == ("enabled", "on", "off")
    assert (whitelist.before, whitelist.after) == ("CT1", "CT1\nCT2")
    assert whitelist.sentence == "receiver XNAT:8104 whitelist: +CT2"
    assert setting.history.diff(3, 3) == ()
    assert {row.change for row in setting.history.diff(0, 1)} == {Change.ADDED}
    assert setting.history.diff(2, 1)[0].change is Change.REMOVED
    with pytest.raises(NotFound, match="revision 9 is not kept"):
        setting.history.diff(9)


def test_a_revision_is_brought_back_as_a_new_one(setting: Setting) -> None:
    assert setting.history.restore(2, "dora", replacing=3) == 4
    assert setting.in_force.revision == 4
    assert setting.in_force.receivers[0].enabled
    assert setting.history.restore(4, "dora") == 4
    with pytest.raises(NotFound):
        setting.history.restore(9, "dora")


def test_what_somebody_changed_meanwhile_is_not_overwritten(setting: Setting) -> None:
    with pytest.raises(ChangedMeanwhile, match=r"was changed by carl.*whitelist: \+CT2"):
        setting.history.restore(1, "dora", replacing=2)
    assert setting.in_force.revision == 3


def test_secrets_are_never_told(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    made = (FieldDifference("site", Change.CHANGED, "hook", {"token": "old"}, {"token": "new"}),)
    monkeypatch.setattr("engine.queries.history.differences", lambda *_: made)
    sentence = "site hook.token: a secret was changed"
    row = ChangeRow("site", Change.CHANGED, "hook.token", "•" * 8, "•" * 8, sentence)
    assert setting.history.diff(1, 2) == (row,)


@pytest.mark.parametrize(
    ("signed", "who", "where"),
    [
        ("token from 192.0.2.7", "token", "192.0.2.7"),
        ("token from 192.0.2.7, says: bo from 10.0.0.1", "token, says: bo from 10.0.0.1",
         "192.0.2.7"),
        ("root, says: from 10.0.0.1", "root, says: from 10.0.0.1", ""),
        ("root, says: console", "root, says: console", ""),
    ],
)  # fmt: skip
def test_an_address_that_a_client_only_says_it_has_is_not_shown_as_its_address(
    setting: Setting, signed: str, who: str, where: str
) -> None:
    setting.store.save_project(Project("NEURO-02"), signed)
    newest = setting.history.revisions().revisions[0]
    assert (newest.changed_by, newest.changed_from) == (who, where)


def test_receivers_have_the_times_of_their_first_and_their_last_revision(tmp_path: Path) -> None:
    clock = FixedClock()
    store = ConfigurationStore(tmp_path / "config.json", clock=clock)
    in_force = [store.save_project(Project("NEURO-01"), "anna")[0]]
    history = HistoryQueries(store, lambda: in_force[-1], lambda: nullcontext(store), print)
    assert history.receiver_times() == ()

    def save(receiver: Receiver) -> Receiver:
        clock.advance(60)
        configuration, saved = store.save_receiver(receiver, "anna")
        in_force.append(configuration)
        return saved

    first = save(make_receiver("FIRST", 8104))
    second = save(make_receiver("SECOND", 8104))
    minute = timedelta(minutes=1)
    times = ReceiverTimes(first.id, NOW + minute, NOW + minute)
    both = (times, ReceiverTimes(second.id, NOW + 2 * minute, NOW + 2 * minute))
    assert set(history.receiver_times()) == set(both)
    save(replace(first, port=8105))
    changed = replace(times, changed_at=NOW + 3 * minute)
    assert set(history.receiver_times()) == {changed, both[1]}
    # Who begins to look now reads all revisions, and says the same.
    afresh = HistoryQueries(store, lambda: in_force[-1], lambda: nullcontext(store), print)
    assert set(afresh.receiver_times()) == {changed, both[1]}
    # What was before the oldest kept revision is not known.
    store.history.file(1).unlink()
    store.history.file(2).unlink()
    unknown = HistoryQueries(store, lambda: in_force[-1], lambda: nullcontext(store), print)
    gone = {replace(changed, added_at=None), ReceiverTimes(second.id)}
    assert set(unknown.receiver_times()) == gone
