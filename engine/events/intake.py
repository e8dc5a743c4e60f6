"""Events of arriving objects, and of the rules, scripts and plug-ins that process them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, by_now, counted

_SMALL = 100_000
"""Below this, a size is shown in kB: in MB it would be 0.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBegun(Event, topic="import", template="import begun by {self.by}"):
    """Somebody imports files; their objects arrive as those of any caller."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEnded(Event, topic="import"):
    """An import of files has ended, complete or not."""

    by: str
    stored: int
    duplicates: int
    filtered: int
    failed: int
    """Those that were refused, or could not be read."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"import by {self.by} ended: {self.stored:,} stored, {self.duplicates:,} here already, "
            f"{self.filtered:,} filtered, {self.failed:,} failed"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsStored(Event, topic="c-store"):
    """How many objects an association has stored since the last such event."""

    objects: int
    duplicates: int
    bytes: int
    filtered: int = 0
    """Answered with success but not stored, because a filter or script excludes them."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        small = 0 < self.bytes < _SMALL
        size = f"{self.bytes / 1e3:.0f} kB" if small else f"{self.bytes / 1e6:.1f} MB"
        numbers = ((self.duplicates, "already here"), (self.filtered, "filtered"))
        others = [(number, what) for number, what in numbers if number]
        if self.objects or not others:
            first = f"stored {counted(self.objects, 'object')} ({size})"
        else:
            number, what = others.pop(0)
            first = f"{counted(number, 'object')} {what} ({size})"
        return ", ".join((first, *(f"{number} {what}" for number, what in others)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRefused(
    Event,
    severity=Severity.WARNING,
    topic="c-store",
    template="object refused with status 0x{self.status:04X}: {self.why}",
):
    """An object was answered with a failure status."""

    status: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizationFailed(Event, severity=Severity.ERROR, topic="script", urgent=True):
    """The site script could not be applied, so the object is refused."""

    revision: int
    """The configuration revision that the script is from."""
    why: str
    """The reason with the line of the script, without element values."""
    times: int
    """How often so far; repetitions are reported at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = by_now(self.times)
        return f"an object is not stored{again}: {self.why} (script of revision {self.revision})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedOnDisk(Event, severity=Severity.WARNING, topic="script"):
    """Objects are on the disk as they came for the moment until they are edited."""

    why: str

    def sentence(self) -> str:
        """Say what happened."""
        return f"objects are on the disk as they came until they are edited: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorFailed(Event, severity=Severity.ERROR, topic="processing", urgent=True):
    """A processor failed, so the object is refused."""

    processor: str
    """The instance's label."""
    why: str
    """The reason, without element values."""
    times: int
    """How often so far; repetitions are reported at 10, 100, 1000 …"""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = by_now(self.times)
        return f"an object is not stored{again}: processor {self.processor}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorProblem(Event, severity=Severity.WARNING, topic="processing"):
    """A processor can't work as configured, or it works again."""

    processor: str
    """The instance's label."""
    problem: str
    """Empty once it works again."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"processor {self.processor}: {self.problem or 'works as configured again'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFailed(Event, severity=Severity.ERROR, topic="routing", urgent=True):
    """A routing rule timed out or failed; that is never treated as "no match"."""

    attribute: str
    """The attribute to decide, such as ``project``."""
    rule: str
    """The place of the rule, such as ``site rule in line 2, (0010,4000)``."""
    reason: str
    times: int
    """How often this rule failed since the configuration changed."""
    suspended: bool
    """Whether the rule is no longer evaluated."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = f", {self.times} times by now" if self.times > 1 else ""
        said = f"the {self.attribute} decision failed at the {self.rule}{again}: {self.reason}"
        if not self.suspended:
            return said
        return f"{said}; the rule is suspended until the configuration changes"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierSlow(
    Event,
    severity=Severity.WARNING,
    topic="routing",
    template="identifier {self.identifier} took {self.seconds:.1f} s for one object",
):
    """An identifier plug-in took so long for an object that senders wait."""

    identifier: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginBroken(
    Event,
    severity=Severity.ERROR,
    topic="plugin",
    template="plugin {self.plugin} can't be used: {self.error}",
):
    """A plugin is installed but can't be used."""

    plugin: str
    """Its id and distribution."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(
    Event, topic="session", template="session {self.session} opened in {self.project}"
):
    """The first object of a session arrived."""

    session: int
    project: str
