"""`processors`: custom processing of the objects of receivers."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import (
    actor,
    add_show_secrets,
    attached,
    receiver_named,
    settings_of,
    shown,
    shows_secrets,
    store_of,
)
from engine.cli.identifications import print_processing
from engine.cli.live import running_engine
from engine.cli.object_names import MASKED, add_show_values
from engine.cli.options import add_switch, add_verb, add_verbs, add_yes, named_value, text_or_file
from engine.dicom.header import identifying_values_of
from engine.dicom.part10 import read_file
from engine.errors import NotFound, UnreadableObject
from engine.host import terminal
from engine.identification.identifiers import MissingIdentifier
from engine.identification.installed import installed_identifiers
from engine.identification.sources import Routing
from engine.intake.receiver_policy import ReceiverPolicy
from engine.intake.rehearsal import processing_without_engine
from engine.intake.trial import try_object
from engine.model.identity import NO_VALUES
from engine.model.processing import Verdict
from engine.model.processor import Location, Processor, ProcessorRules, parse_processor
from engine.processing.contract import Facts
from engine.processing.installed import load_processors, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.model.configuration import Configuration
    from engine.model.identity import IdentifyingValues
    from engine.model.processing import ProcessorStatus, ProcessorStep
    from engine.model.processor import ProcessorClass
    from engine.model.receiver import Receiver
    from engine.processing.chain import Processing, ProcessorChain


_COUNTS = ("runs", "rejects", "errors")


def statuses_of(arguments: argparse.Namespace) -> dict[int, ProcessorStatus]:
    """Return the statuses of all processors by their ids; none if no engine runs."""
    with attached(settings_of(arguments)) as engine:
        statuses = engine.processors.list() if engine is not None else ()
    return {status.processor.id: status for status in statuses}


def status_record(status: ProcessorStatus | None) -> dict[str, object] | None:
    """Return a status as JSON; None without an engine."""
    if status is None:
        return None
    names = (*_COUNTS, "receivers", "problem", "last_error", "last_error_at", "mean_seconds")
    return {"state": str(status.state)} | {name: getattr(status, name) for name in names}


def print_statuses(statuses: Mapping[int, ProcessorStatus]) -> None:
    """Print the counts and problems of processors."""
    heads = ("LABEL", "STATE", *(name.upper() for name in _COUNTS), "MS", "SEES", "PROBLEM")
    rows = [
        (
            *(s.processor.label, str(s.state), s.runs, s.rejects, s.errors),
            *(f"{1000 * s.mean_seconds:.1f}", ", ".join(s.receivers), s.problem or s.last_error),
        )
        for s in statuses.values()
    ]
    terminal.print_table(heads, rows)


_LISTS = ("receivers_allowed", "receivers_denied", "projects")
_FIELDS = ("label", "processor_class", "enabled", "location", "priority", *_LISTS)


def add_processors(command: argparse.ArgumentParser) -> None:
    """Add the commands that list and change processors."""
    verbs = add_verbs(command)
    add_verb(verbs, "classes", _classes, "list the installed classes and their parameters")
    words = "list all processors in the order in which they act"
    add_show_secrets(add_verb(verbs, "list", _list, words))
    added = add_verb(verbs, "add", _add, "add a processor", needs_data=False)
    _add_fields(added, is_new=True)
    edit = add_verb(verbs, "edit", _edit, "change the given fields of a processor")
    _add_fields(edit, is_new=False)
    enable = add_verb(verbs, "enable", _switch, "enable a processor")
    enable.set_defaults(enabled=True)
    disable = add_verb(verbs, "disable", _switch, "disable a processor")
    disable.set_defaults(enabled=False)
    delete = add_verb(verbs, "delete", _delete, "remove a processor")
    add_yes(delete)
    words = "show the effect of a processor, enabled or not, on files or on the newest object"
    test = add_verb(verbs, "test", _test, words)
    for parser in (edit, enable, disable, delete, test):
        parser.add_argument("processor", metavar="PROCESSOR", help="an id or label")
    files = "DICOM files (default: the newest object of the running engine); nothing is stored"
    test.add_argument("files", metavar="FILE", nargs="*", help=files)
    a_name = "as if received there: an id, AE:PORT or AE title (default: the first that it sees)"
    test.add_argument("--receiver", metavar="RECEIVER", help=a_name)
    test.add_argument("--calling", metavar="AE", default="", help="as if this AE title sent them")
    add_show_values(test)


def _add_fields(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Add one option per field of a processor; fields without their option keep their value."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    add("--label", metavar="TEXT", required=is_new, help="its name")
    add("--class", dest="processor_class", metavar="ID", required=is_new,
        help="an installed class, see: processors classes")  # fmt: skip
    add("--location", metavar="WHERE", choices=list(Location),
        help=f"where it acts: {', '.join(Location)}; its class's first unless given")  # fmt: skip
    add("--priority", metavar="N", help="smaller ones act first at their location")
    if is_new:  # later the verbs enable and disable do it
        add_switch(parser, "enabled", "whether it is enabled (default: yes)")
    many = partial(add, action="append")
    again = "repeat for more; replaces all; '' for none"
    many("--allow", dest="receivers_allowed", metavar="AE:PORT",
         help=f"see the objects of this receiver only; {again}")  # fmt: skip
    many("--deny", dest="receivers_denied", metavar="AE:PORT",
         help=f"never see the objects of this receiver; {again}")  # fmt: skip
    many("--project", dest="projects", metavar="ID",
         help=f"see the objects of this project only; {again}")  # fmt: skip
    told = "a parameter of its class; repeatable; NAME=@FILE reads a text; NAME= removes it"
    many("--set", dest="parameters", metavar="NAME=VALUE", type=_parameter, help=told)


def _parameter(text: str) -> tuple[str, str]:
    """Read NAME=VALUE or NAME=@FILE; the class checks the name."""
    fault = "is not a parameter; write NAME=VALUE, such as file=/srv/labels.csv"
    name, value = named_value(text, fault)
    return name, text_or_file(value)


def _classes(arguments: argparse.Namespace) -> int:
    classes = _rules().classes or ()
    if arguments.json:
        terminal.print_json({"classes": [known.to_record() for known in classes]})
    else:
        terminal.print_table(
            ("CLASS", "NAME", "LOCATIONS", "PARAMETERS", "STATE"),
            [
                (c.id, c.name, ", ".join(c.locations), _parameter_list(c), c.error or "ready")
                for c in classes
            ],
        )
    return int(any(known.error for known in classes))


def _parameter_list(known: ProcessorClass) -> str:
    """List the parameters of a class, those that must be given with an asterisk."""
    return ", ".join(f"{p.name}{'*' if p.required else ''}" for p in known.parameters)


def _list(arguments: argparse.Namespace) -> None:
    configuration = store_of(arguments).load()
    processors = sorted(configuration.processors, key=lambda processor: processor.order)
    statuses = statuses_of(arguments)
    secrets = shows_secrets(arguments, "processors list")
    if arguments.json:
        records = [
            shown(processor.to_record(), secrets=secrets)
            | {"status": status_record(statuses.get(processor.id))}
            for processor in processors
        ]
        return terminal.print_json({"revision": configuration.revision, "processors": records})
    _print(processors)
    return print_statuses(statuses) if statuses else None


def _add(arguments: argparse.Namespace) -> None:
    rules = _rules()
    store = store_of(arguments, processors=rules)
    location = _first_location(rules, getattr(arguments, "processor_class", ""))
    record = {"location": location, **_given(arguments, {})}
    before = store.load()
    processor = parse_processor(record, _beside(rules, before))
    _report(arguments, "added", *store.save_processor(processor, actor()))


def _edit(arguments: argparse.Namespace) -> None:
    rules = _rules()
    store = store_of(arguments, processors=rules)
    before = store.load()
    seen = processor_named(before, arguments.processor)
    record = seen.to_record() | _given(arguments, dict(seen.parameters))
    processor = parse_processor(record, _beside(rules, before))
    _report(arguments, "saved", *store.save_processor(processor, actor(), replacing=seen))


def _switch(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    processor = processor_named(store.load(), arguments.processor)
    verb = "enabled" if arguments.enabled else "disabled"
    saved = store.set_processor_enabled(processor.id, arguments.enabled, actor())
    _report(arguments, verb, *saved)


def _delete(arguments: argparse.Namespace) -> None:
    store = store_of(arguments)
    processor = processor_named(store.load(), arguments.processor)
    terminal.confirm(f"Delete processor {processor.label}?", already=arguments.yes)
    configuration = store.delete_processor(processor.id, actor())
    _report(arguments, "deleted", configuration, processor)


def _test(arguments: argparse.Namespace) -> int:
    """Take files through one processor; 1 if it fails on any, or one can't be read."""
    configuration = store_of(arguments).load()
    processor = processor_named(configuration, arguments.processor)
    if not processor.location.is_before_storing:
        remedy = "it acts on what is stored; see what it does there in a running engine"
        raise NotFound(f"{processor.label} does nothing to objects before they are stored", remedy)
    if not arguments.files:
        return newest(arguments, processor, configuration)
    receiver = _receiver_for(processor, configuration, arguments.receiver)
    tried = trials(arguments, processor, receiver, configuration)
    if arguments.json:
        terminal.print_json({"files": [one.to_record() for one in tried]})
    else:
        for one in tried:
            if len(tried) > 1 or one.unreadable:
                terminal.say(f"{one.file}: {one.unreadable or 'tried'}")
            print_processing(one.steps)
        if not arguments.show_values:
            terminal.say(MASKED)
    return int(any(one.is_bad for one in tried))


def _receiver_for(processor: Processor, configuration: Configuration, name: str | None) -> Receiver:
    if name is not None:
        return receiver_named(configuration.receivers, name)
    seen = [r for r in configuration.receivers if processor.admits_receiver(r.label)]
    if not seen:
        remedy = "name one with --receiver, or correct receivers_allowed"
        raise NotFound(f"no receiver's objects are seen by {processor.label}", remedy)
    return seen[0]


def processor_named(configuration: Configuration, name: str) -> Processor:
    """Find a processor by label or id.

    Raises:
        NotFound: if there is none.
    """
    processors = configuration.processors
    by_label = [p for p in processors if p.label == name]
    found = by_label or [p for p in processors if str(p.id) == name]
    if not found:
        raise NotFound(f"there is no processor {name[:80]!r}", "list them with: processors list")
    return found[0]


def _rules() -> ProcessorRules:
    """Return the rules of the installed classes; loads the code of plugins."""
    return rules_of(load_processors())


def _beside(rules: ProcessorRules, configuration: Configuration) -> ProcessorRules:
    others, projects = configuration.processors, configuration.projects
    return ProcessorRules(rules.classes, others, projects, rules.check)


def _first_location(rules: ProcessorRules, class_id: str) -> Location:
    for known in rules.classes or ():
        if known.id == class_id and not known.error:
            return known.locations[0]
    return Location.AFTER_DICOM_READ


def _given(arguments: argparse.Namespace, parameters: Mapping[str, str]) -> dict[str, object]:
    given = vars(arguments)
    fields: dict[str, object] = {name: given[name] for name in _FIELDS if name in given}
    for name in _LISTS:
        if name in given:
            fields[name] = [item for item in given[name] if item]
    return fields | {"parameters": {**parameters, **dict(given.get("parameters", ()))}}


def _report(
    arguments: argparse.Namespace, verb: str, configuration: Configuration, processor: Processor
) -> None:
    if arguments.json:
        record = shown(processor.to_record(), secrets=False)
        return terminal.print_json({"revision": configuration.revision, "processor": record})
    _print([processor])
    for label in (*processor.receivers_allowed, *processor.receivers_denied):
        if label not in {receiver.label for receiver in configuration.receivers}:
            terminal.say(f"no receiver is called {label} now")
    acts = processor.enabled and processor in configuration.processors
    if acts and not any(map(configuration.processors_of, configuration.receivers)):
        terminal.say("no receiver has custom processing on, so no processor sees an object")
    return terminal.say(f"{verb} {processor.label}, revision {configuration.revision}")


def _print(processors: Iterable[Processor]) -> None:
    heads = ("ID", "LABEL", "CLASS", "ENABLED", "LOCATION", "PRIORITY", "RECEIVERS", "PROJECTS")
    rows = [
        (p.id, p.label, p.processor_class, p.enabled, p.location, p.priority,
         _receivers_in_words(p), ", ".join(p.projects) or "all")
        for p in processors
    ]  # fmt: skip
    terminal.print_table(heads, rows)


def _receivers_in_words(processor: Processor) -> str:
    allowed = ", ".join(processor.receivers_allowed) or "all"
    denied = ", ".join(processor.receivers_denied)
    return f"{allowed} but {denied}" if denied else allowed


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a processor for one file."""

    file: str
    steps: tuple[ProcessorStep, ...] = ()
    unreadable: str = ""
    """The reason why the file can't be tried; empty if it can."""
    known: IdentifyingValues = NO_VALUES
    """The identifying values of the object, to be masked."""

    def masked(self, file: str) -> Trial:
        """Return the result under another file name, with values masked."""
        steps = tuple(step.masked(self.known) for step in self.steps)
        return replace(self, file=file, steps=steps)

    @property
    def is_bad(self) -> bool:
        """Whether an administrator should look at it."""
        return bool(self.unreadable) or any(s.verdict is Verdict.FAILED for s in self.steps)

    def to_record(self) -> dict[str, object]:
        """Return the result as JSON."""
        steps = [step.to_record() for step in self.steps]
        return {"file": self.file, "processing": steps, "unreadable": self.unreadable}


def trials(
    arguments: argparse.Namespace,
    processor: Processor,
    receiver: Receiver,
    configuration: Configuration,
) -> list[Trial]:
    """Try a processor on every file; an unreadable one does not stop the others."""
    site, projects = configuration.site, configuration.projects
    identifier = installed_identifiers().get(receiver.identifier) or MissingIdentifier(
        receiver.identifier
    )
    routing = Routing.of(receiver, site.routing, projects)
    facts = Facts(receiver.label, arguments.calling)
    with (
        processing_without_engine(load_processors()) as processing,
        processing.preparing(processor, configuration) as chain,
    ):
        receiver_policy = ReceiverPolicy(receiver, identifier, routing, site.sessions, chain=chain)
        tried = [
            _tried(Path(name), processing, receiver_policy, chain, facts)
            for name in arguments.files
        ]
    if arguments.show_values:
        return tried
    # File names may be made of labels or patients' names.
    return [one.masked(f"file {number}") for number, one in enumerate(tried, start=1)]


def newest(
    arguments: argparse.Namespace, processor: Processor, configuration: Configuration
) -> int:
    """Try a processor on the newest object of the running engine; 1 if it fails.

    Raises:
        NotFound: if no engine runs, or nothing has arrived.
    """
    name = arguments.receiver
    receiver = receiver_named(configuration.receivers, name).label if name is not None else ""
    with running_engine(arguments) as engine:
        if arguments.show_values:
            trial = engine.processors.shown_test(processor, actor(), receiver)
        else:
            trial = engine.processors.test(processor, receiver)
    if not trial.steps:
        raise NotFound("nothing arrived since the engine started", "name files to try it on")
    if arguments.json:
        terminal.print_json(asdict(trial))
    else:
        terminal.say(f"{trial.at:%H:%M:%S} from {trial.calling_ae_title} to {trial.receiver}")
        print_processing(trial.steps)
        if not arguments.show_values:
            terminal.say(MASKED)
    return int(any(step.verdict is Verdict.FAILED for step in trial.steps))


def _tried(
    path: Path,
    processing: Processing,
    receiver_policy: ReceiverPolicy,
    chain: ProcessorChain,
    facts: Facts,
) -> Trial:
    try:
        header = read_file(path, last_tag=receiver_policy.last_tag)
    except UnreadableObject as error:
        return Trial(str(path), unreadable=error.detail)
    steps = try_object(processing, receiver_policy, chain, path, header, facts).steps
    return Trial(str(path), steps, known=identifying_values_of(header))
