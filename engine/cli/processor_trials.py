"""`processors test`: one processor, and files or the newest object; nothing is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import actor, receiver_named
from engine.cli.live import running_engine
from engine.cli.objects import MASKED
from engine.cli.route import print_processing
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
from engine.processing.contract import Facts
from engine.processing.installed import load_processors

if TYPE_CHECKING:
    import argparse

    from engine.model.configuration import Configuration
    from engine.model.identity import IdentifyingValues
    from engine.model.processing import ProcessorStep
    from engine.model.processor import Processor
    from engine.model.receiver import Receiver
    from engine.processing.chain import Processing, ProcessorChain


@dataclass(frozen=True, slots=True)
class Trial:
    """What a processor made of one file."""

    file: str
    steps: tuple[ProcessorStep, ...] = ()
    unreadable: str = ""
    """Why the file can't be tried, if so."""
    known: IdentifyingValues = NO_VALUES
    """What the object says of its patient."""

    def masked(self, file: str) -> Trial:
        """Return the same under another name and without values of the object."""
        steps = tuple(step.masked(self.known) for step in self.steps)
        return replace(self, file=file, steps=steps)

    @property
    def is_bad(self) -> bool:
        """Whether an administrator should look at it."""
        return bool(self.unreadable) or any(s.verdict is Verdict.FAILED for s in self.steps)

    def to_record(self) -> dict[str, object]:
        """Return the trial for programs."""
        steps = [step.to_record() for step in self.steps]
        return {"file": self.file, "processing": steps, "unreadable": self.unreadable}


def trials(
    arguments: argparse.Namespace,
    processor: Processor,
    receiver: Receiver,
    configuration: Configuration,
) -> list[Trial]:
    """Try a processor on every file; one that can't be read stops nothing."""
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
    if not arguments.mask:
        return tried
    return [one.masked(f"file {number}") for number, one in enumerate(tried, start=1)]


def newest(
    arguments: argparse.Namespace, processor: Processor, configuration: Configuration
) -> int:
    """Try a processor on the newest object of the running engine; 1 if it fails.

    Raises:
        NotFound: if no engine runs, or nothing has arrived.
    """
    name = arguments.receiver
    receiver = receiver_named(configuration, name).label if name is not None else ""
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
