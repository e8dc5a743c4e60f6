"""The configuration: everything the configuration file says, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.errors import (
    ConfigurationError,
    CorruptConfiguration,
    NotFound,
    Problem,
    TooFewDescriptors,
)
from engine.model.known_peer import KnownPeer, parse_known_peer, peer_named
from engine.model.processor import ProcessorRules, parse_processor
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import ReceiverRules, parse_receiver, tls_conflicts
from engine.model.secrets import unknown_members, without_secrets
from engine.model.site import SITE_MEMBERS, SiteSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.model.processor import Processor
    from engine.model.project import PetMr
    from engine.model.receiver import DirectMerge, Receiver

SCHEMA_VERSION = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Configuration:
    """One revision of all settings; the defaults are those of a file that does not exist."""

    revision: int = 0
    site: SiteSettings = SiteSettings()
    projects: ProjectRegistry = field(default_factory=ProjectRegistry)
    receivers: tuple[Receiver, ...] = ()
    """In the order of the file."""
    processors: tuple[Processor, ...] = ()
    """In the order of the file, which is not that in which they act."""
    peers: tuple[KnownPeer, ...] = ()
    """The AEs that may be called, each with another AE title; in the order of the file."""
    changed_by: str = ""
    changed_at: datetime | None = None
    source: str = ""
    """The document that declares all this, while it alone may change it; empty if there is none."""

    def has_settings_of(self, other: Configuration) -> bool:
        """Tell whether both say the same; revision, author and time don't count."""
        # Copied from the other, so that only settings are left to differ.
        of = {name: getattr(other, name) for name in ("revision", "changed_by", "changed_at")}
        return replace(self, **of) == other

    def receiver(self, receiver_id: int) -> Receiver:
        """Return the receiver with this id.

        Raises:
            NotFound: if there is none.
        """
        for receiver in self.receivers:
            if receiver.id == receiver_id:
                return receiver
        raise NotFound(f"there is no receiver with id {receiver_id}", "it may have been deleted")

    def processor(self, processor_id: int) -> Processor:
        """Return the processor with this id.

        Raises:
            NotFound: if there is none.
        """
        for processor in self.processors:
            if processor.id == processor_id:
                return processor
        raise NotFound(f"there is no processor with id {processor_id}", "it may have been deleted")

    def direct_merge(self, label: str) -> DirectMerge | None:
        """Return how a receiver, by its label, adds to archived sessions; None if it does not."""
        named = (receiver for receiver in self.receivers if receiver.label == label)
        receiver = next(named, None)
        return receiver.direct_merge(self.site) if receiver is not None else None

    def peer(self, ae_title: str) -> KnownPeer:
        """Return the peer with this AE title.

        Raises:
            NotFound: if there is none.
        """
        peer = peer_named(self.peers, ae_title)
        if peer is None:
            raise NotFound(f"there is no peer {ae_title[:40]}", "list them with: peers list")
        return peer

    def processors_of(self, receiver: Receiver) -> tuple[Processor, ...]:
        """Return the processors of a receiver, in the order in which they act (XNAT 10.2)."""
        # XNAT runs processors at two places all the same, by mistake (XNAT 8.2).
        if not receiver.custom_processing:
            return ()
        admitted = (p for p in self.processors if p.enabled and p.admits_receiver(receiver.label))
        return tuple(sorted(admitted, key=lambda processor: processor.order))

    @property
    def has_anonymization(self) -> bool:
        """Whether anything is done to the objects of receivers that want them anonymized."""
        return has_anonymization(self.site, self.projects)

    @property
    def anonymizes(self) -> bool:
        """Whether objects will be anonymized, as far as the settings show."""
        wanted = any(r.enabled and r.anonymization for r in self.receivers)
        return wanted and self.has_anonymization

    def pet_mr(self, project_id: str | None) -> PetMr:
        """Return what becomes of a project's studies with PET and MR; None is Unassigned."""
        return self.projects.pet_mr(project_id) or self.site.sessions.pet_mr


@dataclass(frozen=True, slots=True)
class Parsed:
    """Tables that were turned into a configuration; nobody changes their records."""

    raw: Mapping[str, object]
    configuration: Configuration


def has_anonymization(site: SiteSettings, projects: ProjectRegistry | None) -> bool:
    """Tell whether the site or any project has a script or profile that runs.

    Args:
        site: the site's settings.
        projects: the projects; None if they are not known.
    """
    return site.anonymization is not None or bool(projects and projects.anonymizations)


def parse_configuration(raw: Mapping[str, object], earlier: Parsed | None = None) -> Configuration:
    """Turn the tables of a configuration file into a configuration; unknown tables are ignored.

    Installed identifiers and processor classes are not checked here. A receiver without its
    identifier does not listen (`identifier_problems`); a processor without its class does not act.

    Args:
        raw: the tables.
        earlier: what was parsed before: a project whose record is the same object is not parsed
            again.

    Raises:
        CorruptConfiguration: if a newer version of this program wrote the file.
        ConfigurationError: with every problem at once, each naming table, record and field.
    """
    problems: list[Problem] = []
    meta = _parse_meta(raw, problems)
    site = _parse_site(raw, problems)
    registry = _parse_projects(raw, problems, earlier)
    # If the site settings are wrong themselves, ports are not checked by them.
    rules = ReceiverRules(site or SiteSettings(allow_low_ports=True), None)
    receivers = _parse_receivers(raw, rules, problems)
    processors = _parse_processors(raw, problems)
    peers = _parse_peers(raw, problems)
    problems.extend(_tls_problems(receivers, rules.site))
    if problems or site is None:
        raise ConfigurationError(*problems)
    return replace(
        meta,
        site=site,
        projects=registry,
        receivers=receivers,
        processors=processors,
        peers=peers,
    )


RESERVE = 150
"""Databases, logs, folders, workers, consoles, forwarding, and connections before their request.

An engine without associations has 41 open (2026), and takes 50 connections without a request.
"""
PER_ASSOCIATION = 4
"""An association has 2 open while it is idle, and 3.1 while it stores objects of 3 MB (2026)."""
_RAISE_LIMIT = "raise the limit (ulimit -n, LimitNOFILE=)"


@dataclass(frozen=True, slots=True)
class DescriptorNeed:
    """What a configuration needs."""

    ports: int
    """Ports that are listened on."""
    associations: int
    """The most that may be open at once."""

    @property
    def to_listen(self) -> int:
        """Descriptors without which not all ports can listen."""
        return RESERVE + self.ports

    @property
    def in_total(self) -> int:
        """Descriptors with which every association that is allowed can be served."""
        return self.to_listen + PER_ASSOCIATION * self.associations


def descriptors_needed(configuration: Configuration) -> DescriptorNeed:
    """Return what a configuration needs; pure."""
    site = configuration.site
    enabled = [receiver for receiver in configuration.receivers if receiver.enabled]
    places = {(one.bind_address or site.bind_address, one.port) for one in enabled}
    return DescriptorNeed(len(places), site.limits.associations)


def require_descriptors(configuration: Configuration, allowed: int) -> None:
    """Reject a configuration whose ports can't all listen.

    Raises:
        TooFewDescriptors: naming what is needed and what is allowed.
    """
    need = descriptors_needed(configuration)
    if need.to_listen > allowed:
        message = f"is too low: an engine needs {need.to_listen:,} (ports: {need.ports:,})"
        remedy = f"{_RAISE_LIMIT}, or disable receivers"
        raise TooFewDescriptors(Problem("open_files", str(allowed), message, remedy))


def descriptor_note(configuration: Configuration, allowed: int) -> str:
    """Return a warning if not every association that is allowed can be served; else empty."""
    need = descriptors_needed(configuration)
    if need.in_total <= allowed:
        return ""
    return (
        f"only {allowed:,} files and connections may be open at once, and {need.in_total:,} may be "
        f"needed (ports: {need.ports:,}, associations: {need.associations:,}): {_RAISE_LIMIT}, or "
        "lower the site's limit of associations"
    )


def project_conflicts(projects: Sequence[Project]) -> Iterator[tuple[Project, Problem]]:
    """Yield each project with an id or alias that an earlier one has already."""
    # Mostly there is none, which costs a tenth to see.
    names = [project.id for project in projects]
    for project in projects:
        names += project.aliases
    if len(set(names)) == len(names):
        return
    owners: dict[str, str] = {}
    ids: set[str] = set()
    for project in projects:
        if project.id in ids:
            yield project, Problem("id", project.id, "exists already", "choose another id")
        ids.add(project.id)
        for name in dict.fromkeys((project.id, *project.aliases)):
            owner = owners.setdefault(name, project.id)
            if owner != project.id:
                member = "id" if name == project.id else "aliases"
                message = f"already names project {owner}"
                yield project, Problem(member, name, message, "choose another name")


def _parse_meta(raw: Mapping[str, object], problems: list[Problem]) -> Configuration:
    record = _only_record(raw, "meta", problems)
    schema = _count(record, "schema", SCHEMA_VERSION, problems)
    # At once: in a newer version everything else may have another meaning.
    if schema > SCHEMA_VERSION:
        message = f"is newer than this program, which understands {SCHEMA_VERSION}"
        remedy = "update dicomdock, or restore a backup of the older version"
        raise CorruptConfiguration(Problem("meta.schema", str(schema), message, remedy))
    changed_by = record.get("changed_by") or ""
    if not isinstance(changed_by, str):
        problems.append(Problem("meta.changed_by", _shown(changed_by), "is not text", "write text"))
    changed_at = _moment(record.get("changed_at"), problems)
    source = record.get("source") or ""
    if not isinstance(source, str):
        problems.append(Problem("meta.source", _shown(source), "is not text", "remove it"))
    revision = _count(record, "revision", 0, problems)
    _count(record, "last_receiver_id", 0, problems)
    _count(record, "last_processor_id", 0, problems)
    return Configuration(
        revision, changed_by=str(changed_by), changed_at=changed_at, source=str(source)
    )


def _count(record: Mapping[str, object], name: str, default: int, problems: list[Problem]) -> int:
    value = record.get(name, default)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    problems.append(
        Problem(f"meta.{name}", _shown(value), "is not a whole number", f"such as {default}")
    )
    return default


def _moment(value: object, problems: list[Problem]) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        # Without a zone it can't be compared with other times.
        remedy = "write a time such as 2026-01-31T12:00:00+00:00"
        problems.append(
            Problem("meta.changed_at", _shown(value), "is not a time with its zone", remedy)
        )
    return moment


def _parse_site(raw: Mapping[str, object], problems: list[Problem]) -> SiteSettings | None:
    record = _only_record(raw, "site", problems)
    problems.extend(_at("site", unknown_members(record, SITE_MEMBERS)))
    return _parsed("site", SiteSettings.parse, record, problems)


def _parse_projects(
    raw: Mapping[str, object], problems: list[Problem], earlier: Parsed | None
) -> ProjectRegistry:
    table = raw.get("projects", {})
    if not isinstance(table, Mapping):
        list(_records(raw, "projects", problems))  # says what is wrong
        return ProjectRegistry()
    known, made = _parsed_projects(earlier)
    changed = {key: record for key, record in table.items() if known.get(key) is not record}
    if earlier is not None and not changed and list(table) == list(known):
        return earlier.configuration.projects
    fresh: dict[object, Project] = {}
    members = {f.name for f in fields(Project)}
    for record_id, record in _records({"projects": changed}, "projects", problems):
        faults = list(unknown_members(record, members))
        try:
            fresh[str(record_id)] = Project.parse(record)
        except ConfigurationError as error:
            faults.extend(error.problems)
        # Only now, as it costs a third of the whole.
        if faults:
            where = f"projects[{_shown(record.get('id') or f'#{record_id}')}]"
            problems.extend(_at(where, faults))
    # In the order of the file.
    found = (fresh.get(key) if key in changed else made[key] for key in table)
    projects = tuple(project for project in found if project is not None)
    for project, problem in project_conflicts(projects):
        problems.append(replace(problem, field=f"projects[{project.id}].{problem.field}"))
    return ProjectRegistry(projects)


def _parsed_projects(
    earlier: Parsed | None,
) -> tuple[Mapping[object, object], Mapping[object, Project]]:
    """Return the records of projects that were parsed before, and the projects, by record id."""
    records = earlier.raw.get("projects", {}) if earlier is not None else {}
    assert isinstance(records, Mapping)
    # A configuration exists only if every record is a project, in the order of the file.
    projects = earlier.configuration.projects.projects if earlier is not None else ()
    return records, dict(zip(records, projects, strict=True))


def _parse_receivers(
    raw: Mapping[str, object], rules: ReceiverRules, problems: list[Problem]
) -> tuple[Receiver, ...]:
    receivers: list[Receiver] = []
    places: dict[tuple[str, str], int] = {}
    for record_id, record in _records(raw, "receivers", problems):
        ae_title, port = str(record.get("ae_title", "")).strip(" "), _shown(record.get("port", ""))
        label = f"{ae_title[:40]}:{port}" if ae_title else f"#{record_id}"
        where = f"receivers[{label}]"
        if record.get("id", record_id) != record_id:
            message = f"differs from the record's key {record_id}"
            problems.append(Problem(f"{where}.id", _shown(record["id"]), message, "remove it"))
        # Not left to `parse_receiver`, which can't compare with a record that has another fault.
        first = places.setdefault((ae_title, port), record_id)
        if first != record_id and ae_title:
            message = f"this AE title and port are record {first}'s already"
            remedy = "change the AE title or the port"
            problems.append(Problem(f"{where}.ae_title", ae_title[:40], message, remedy))
        receiver = _parsed(
            where, lambda r: parse_receiver(r, rules), {**record, "id": record_id}, problems
        )
        if receiver is not None:
            receivers.append(receiver)
    return tuple(receivers)


def _parse_processors(raw: Mapping[str, object], problems: list[Problem]) -> tuple[Processor, ...]:
    processors: list[Processor] = []
    for record_id, record in _records(raw, "processors", problems):
        where = f"processors[{_shown(record.get('label') or f'#{record_id}')}]"
        # Only those before: of two with one label the later one is reported.
        rules = ProcessorRules(others=tuple(processors))
        if record.get("id", record_id) != record_id:
            message = f"differs from the record's key {record_id}"
            problems.append(Problem(f"{where}.id", _shown(record["id"]), message, "remove it"))
        processor = _parsed(
            where, partial(parse_processor, rules=rules), {**record, "id": record_id}, problems
        )
        if processor is not None:
            processors.append(processor)
    return tuple(processors)


def _parse_peers(raw: Mapping[str, object], problems: list[Problem]) -> tuple[KnownPeer, ...]:
    peers: list[KnownPeer] = []
    for record_id, record in _records(raw, "peers", problems):
        where = f"peers[{_shown(record.get('ae_title') or f'#{record_id}')}]"
        peer = _parsed(where, parse_known_peer, record, problems)
        if peer is not None and peer_named(peers, peer.ae_title) is not None:
            remedy = "remove one of them"
            problems.append(Problem(f"{where}.ae_title", peer.ae_title, "exists twice", remedy))
        elif peer is not None:
            peers.append(peer)
    return tuple(peers)


def _tls_problems(receivers: Sequence[Receiver], site: SiteSettings) -> Iterator[Problem]:
    first_at: dict[tuple[str, int], Receiver] = {}
    for receiver in receivers:
        if receiver.enabled:
            place = (receiver.bind_address or site.bind_address, receiver.port)
            # To compare with the first is enough: all on one port must agree.
            first = first_at.setdefault(place, receiver)
            for problem in tls_conflicts(receiver, (first,), site):
                yield replace(problem, field=f"receivers[{receiver.label}].{problem.field}")


def _parsed(
    where: str,
    parse: Callable[[Mapping[str, object]], T],
    record: Mapping[str, object],
    problems: list[Problem],
) -> T | None:
    try:
        return parse(record)
    except ConfigurationError as error:
        problems.extend(_at(where, error.problems))
    return None


def _at(where: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    return (replace(problem, field=f"{where}.{problem.field}") for problem in problems)


def _records(
    raw: Mapping[str, object], table: str, problems: list[Problem]
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the records of a table with their TinyDB ids."""
    records = raw.get(table, {})
    if not isinstance(records, Mapping):
        remedy = 'write an object of records, such as {"1": {…}}'
        problems.append(Problem(table, _shown(records), "is not a table", remedy))
        return
    for key, record in records.items():
        name = str(key)
        # Each id has one spelling. isdecimal alone takes the digits of other scripts.
        if not (name.isascii() and name.isdecimal() and len(name) <= 9 and name[0] != "0"):
            remedy = "use 1, 2, 3 … without leading zeros"
            problems.append(Problem(f"{table}[#{name[:20]}]", name[:20], "is not an id", remedy))
        # `dict` first: the abstract class costs ten times as much.
        elif not isinstance(record, dict | Mapping):
            where = f"{table}[#{name}]"
            problems.append(
                Problem(where, _shown(record), "is not a record", "write an object of members")
            )
        else:
            yield int(name), record


def _only_record(
    raw: Mapping[str, object], table: str, problems: list[Problem]
) -> Mapping[str, object]:
    records = [record for _, record in _records(raw, table, problems)]
    if len(records) > 1:
        problems.append(
            Problem(table, f"{len(records)} records", "may have one record only", "remove the rest")
        )
    return records[0] if records else {}


def _shown(value: object) -> str:
    # A faulty record may hold a secret, and problems go into logs.
    text = str(without_secrets("", value))
    return text if len(text) <= 40 else text[:39] + "…"
