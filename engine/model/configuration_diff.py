"""Compares two configurations field by field, and describes the differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from engine.model.secrets import MASK, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.model.configuration import Configuration
    from engine.model.known_peer import KnownPeer
    from engine.model.processor import Processor
    from engine.model.project import Project
    from engine.model.receiver import Receiver


class Change(StrEnum):
    """The kind of change of a subject or of one of its fields."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One difference: of a whole receiver, project or processor, or of one field."""

    subject: str
    """Such as ``receiver XNAT:8104``, ``project NEURO-01``, ``peer PACS`` or ``site``."""
    change: Change
    field: str = ""
    before: object = None
    after: object = None

    def sentence(self) -> str:
        """Return the difference in one line; of multi-line values, the added and removed lines."""
        if self.change is not Change.CHANGED:
            return f"{self.subject} {self.change}"
        if self.before == self.after == MASK:
            return f"{self.subject} {self.field}: a secret was changed"
        if isinstance(self.before, tuple) or isinstance(self.after, tuple):
            lines = _lines_in_words(_lines(self.before), _lines(self.after))
            return f"{self.subject} {self.field}: {lines}"
        return f"{self.subject} {self.field}: {_shown(self.before)} → {_shown(self.after)}"


def differences(before: Configuration, after: Configuration) -> tuple[FieldDifference, ...]:
    """Return what changed from one configuration to another; revision and author don't count."""
    return (
        *_records("receiver", before.receivers, after.receivers, lambda r: (r.id, r.label)),
        *_records(
            *("project", before.projects.projects, after.projects.projects),
            lambda p: (p.id, p.id),
        ),
        *_records("processor", before.processors, after.processors, lambda p: (p.id, p.label)),
        *_records("peer", before.peers, after.peers, lambda p: (p.ae_title, p.ae_title)),
        *_fields("site", _plain(before.site.to_record()), _plain(after.site.to_record())),
        *_fields("configuration", {"source": before.source}, {"source": after.source}),
    )


def by_member(made: Iterable[FieldDifference]) -> Iterator[FieldDifference]:
    """Yield the differences, those of values with members one by one."""
    for difference in made:
        before, after = difference.before, difference.after
        if not isinstance(before, dict) or not isinstance(after, dict):
            yield difference
            continue
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                member, old, new = f"{difference.field}.{name}", before.get(name), after.get(name)
                yield replace(difference, field=member, before=old, after=new)


def masked(made: Iterable[FieldDifference]) -> Iterator[FieldDifference]:
    """Yield the differences member by member without secrets.

    If only a secret differs, both values are the mask.
    """
    for difference in by_member(made):
        name, old, new = difference.field, difference.before, difference.after
        before, after = without_secrets(name, old), without_secrets(name, new)
        # Two secrets look alike when masked, but that one was changed must show.
        if old != new and before == after:
            before = after = MASK
        yield replace(difference, before=before, after=after)


R = TypeVar("R", "Receiver", "Project", "Processor", "KnownPeer")


def _records(
    kind: str, before: Sequence[R], after: Sequence[R], named: Callable[[R], tuple[object, str]]
) -> Iterator[FieldDifference]:
    """Yield the differences of records; `named` returns the permanent id and the name of one."""
    # Most are in both as the same object: those are left out first.
    in_former, in_present = set(map(id, before)), set(map(id, after))
    former = {named(one)[0]: one for one in before if id(one) not in in_present}
    present = {named(one)[0]: one for one in after if id(one) not in in_former}
    for key, one in former.items():
        if key not in present:
            yield FieldDifference(f"{kind} {named(one)[1]}", Change.REMOVED)
    for key, one in present.items():
        known = former.get(key)
        if known is None:
            yield FieldDifference(f"{kind} {named(one)[1]}", Change.ADDED)
        elif known != one:
            # By id, under the former name: a new label or AE title is a change, not another record.
            subject = f"{kind} {named(known)[1]}"
            yield from _fields(subject, _plain(known.to_record()), _plain(one.to_record()))


def _fields(
    subject: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[FieldDifference]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield FieldDifference(subject, Change.CHANGED, name, before.get(name), after.get(name))


_HIDDEN_FIELDS = {"id", "anonymization_script_revision"}
"""Fields that follow from others."""
_TEXTS = ("_routing", "_script", "_filter")
"""The ends of the names of texts of several lines."""


def _plain(record: Mapping[str, object]) -> dict[str, object]:
    """Make nested members comparable one by one, and texts of several lines line by line."""
    return {
        name: _as_lines(name, value) for name, value in _flat(record) if name not in _HIDDEN_FIELDS
    }


def _flat(record: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{member}", inner) for member, inner in value.items())
        else:
            yield name, value


def _as_lines(name: str, value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str) and (name.endswith(_TEXTS) or "\n" in value):
        return tuple(value.splitlines())
    return value


def _lines(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def in_one_line(value: object) -> str:
    """Return one value of a list in words; of a record, what its members are."""
    if isinstance(value, dict):
        told = ((name, inner) for name, inner in value.items() if inner not in ("", [], ()))
        return "; ".join(f"{name}: {in_one_line(inner)}" for name, inner in told)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _lines_in_words(before: tuple[object, ...], after: tuple[object, ...]) -> str:
    gone = [f"-{in_one_line(line)}" for line in before if line not in after]
    come = [f"+{in_one_line(line)}" for line in after if line not in before]
    return ", ".join((*gone, *come)) or "order changed"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "nothing" if value in {None, ""} else str(value)
