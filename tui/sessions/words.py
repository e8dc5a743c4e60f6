"""Describes sessions in words: facts, history, the question before an action, and its outcome."""

from __future__ import annotations

from itertools import chain, repeat
from textwrap import wrap
from typing import TYPE_CHECKING

from engine.model.identity import UNASSIGNED
from engine.model.session import SessionAction, SessionArea, SessionStatus, possible_actions
from tui.keys import pressed, with_keys
from tui.text import clock, count, counted, cut, duration, moment, safe, sentence_case, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.api.sessions import (
        ArchivePreview,
        EditPreview,
        PastAction,
        ScanSummary,
        SessionDetail,
        SessionOutcome,
        SessionSource,
    )
    from engine.model.project import Project
    from engine.model.session import Session

Fact = tuple[str, str]
MOST_SHOWN = 3
"""So many senders or warnings are named, the others counted."""
LINE = 62
"""Cells of one line where there is little room."""
AREA_NAMES = {
    SessionArea.PREARCHIVE: "Prearchive",
    SessionArea.ARCHIVE: "Archive",
    SessionArea.TRASH: "Trash",
}
EMPTY = {
    SessionArea.PREARCHIVE: "no session waits here; what a receiver stores appears by itself",
    SessionArea.ARCHIVE: "nothing is archived yet: a in the prearchive archives a session",
    SessionArea.TRASH: "the trash is empty",
}
VERBS = {
    SessionAction.ARCHIVE: ("archive", "archived"),
    SessionAction.MOVE: ("move", "moved"),
    SessionAction.EDIT: ("edit", "changed"),
    SessionAction.DELETE: ("delete", "in the trash"),
    SessionAction.REBUILD: ("rebuild", "rebuilt"),
    SessionAction.CANCEL: ("cancel the request for", "taken back"),
    SessionAction.RESTORE: ("restore", "back in the prearchive"),
    SessionAction.UNDO: ("undo an action on", "back where it was"),
}
_SUMMARY_LINES = 4
_FAILED = frozenset((SessionStatus.CONFLICT, SessionStatus.ERROR))


def name_of(session: Session) -> str:
    """Return what a session is called."""
    return safe(session.label, 60)


def project_of(session: Session) -> str:
    """Return a session's project; ``Unassigned`` without one."""
    return safe(session.project or UNASSIGNED, 60)


def amount(session: Session) -> str:
    """Return how much there is of a session."""
    return f"{counted(session.objects, 'object')}, {size(session.bytes)}"


# One session


def session_facts(detail: SessionDetail, now: datetime) -> list[Fact]:
    """Return all facts on a session; those that need an administrator come first."""
    session = detail.session
    facts = [
        ("why", safe(session.reason)),
        ("ready", ready_words(detail, now)),
        *(("patients", safe(words)) for words in detail.patients),
        ("waits", request_words(detail, now)),
        (
            "project",
            project_of(session)
            + ("" if session.project else f"; {pressed('session.why')} says why"),
        ),
        ("subject", safe(session.subject or "–")),
        ("session", safe(session.label)),
        ("received", _span(session, now)),
        *sources(detail.sources),
        ("files", amount(session)),
        ("anonymized", anonymized(detail.anonymized_by)),
        ("duplicates", count(detail.duplicates)),
        *_warnings(detail),
        ("index", _removed_rows(session, now)),
        ("study UID", safe(session.study_instance_uid)),
        ("folder", safe(str(detail.folder))),
    ]
    if detail.purged_at is not None:
        facts.insert(0, ("restorable", f"until {moment(detail.purged_at, now)}, then it is gone"))
    return [(name, value) for name, value in facts if value]


def _removed_rows(session: Session, now: datetime) -> str:
    if session.rows_removed_at is None:
        return ""
    since = moment(session.rows_removed_at, now)
    return f"rows of its objects removed {since}; read again from its files when needed"


def ready_words(detail: SessionDetail, now: datetime) -> str:
    """Say when a session that is received will be built; empty for others."""
    if detail.ready_at is None:
        return ""
    seconds = (detail.ready_at - now).total_seconds()
    if seconds <= 0:
        return "in a moment: no object has come for long enough"
    build = f"{pressed('session.rebuild')} builds it now"
    return f"in {duration(seconds)} if no further object comes; {build}"


def session_summary(detail: SessionDetail, now: datetime) -> list[Fact]:
    """Return the same in four lines, for where there is little room; a long reason has three."""
    session = detail.session
    scans = " · ".join(
        f"{safe(s.id)} {safe(s.description or s.modality, 16)} {count(s.objects)}"
        for s in detail.scans
    )
    first = ("why", session.reason) if session.reason else ("received", _span(session, now))
    if detail.ready_at is not None and not session.reason:
        first = ("ready", ready_words(detail, now))
    waits = request_words(detail, now)
    by = ", ".join(value for _, value in sources(detail.sources[:1]))
    warned = sum(warning.objects for warning in detail.warnings)
    handled = (
        f"{anonymized(detail.anonymized_by)}   duplicates {count(detail.duplicates)}"
        f"   warnings {count(warned)}"
    )
    if detail.purged_at is not None:
        first = ("restorable", f"until {moment(detail.purged_at, now)}, then it is gone")
    is_stuck = detail.request is not None and detail.request.begun and bool(session.reason)
    name, value = ("waits", waits) if waits and not is_stuck else first
    said = zip(chain([name], repeat("")), _broken(value), strict=False)
    facts = [
        *said,
        ("by", cut(f"{by}   {amount(session)}", LINE)),
        ("scans", cut(scans or "none yet", LINE)),
        ("anonymized", cut(handled, LINE)),
    ]
    return facts[:_SUMMARY_LINES]


def _broken(text: str) -> list[str]:
    """Break a text into lines that leave one of a summary for something else; the last is cut."""
    lines = wrap(safe(text), LINE, break_on_hyphens=False) or [""]
    most = _SUMMARY_LINES - 1
    rest = " ".join(lines[most - 1 :])
    return [cut(line, LINE) for line in (*lines[: most - 1], *([rest] if rest else []))]


def request_words(detail: SessionDetail, now: datetime) -> str:
    """Return the request that is not carried out yet, in words; empty if there is none."""
    request = detail.request
    if request is None:
        return ""
    when = f" at {moment(request.asked_at, now)}" if request.asked_at else ""
    cancel = pressed("session.cancel")
    state = f"waits; {cancel} takes it back"
    if request.begun:
        may_end = SessionAction.CANCEL in possible_actions(detail.session)
        state = f"has begun; {cancel} takes it back" if may_end else "has begun"
    return f"{request.action}, asked by {safe(request.by, 40)}{when}, {state}"


def sources(found: Sequence[SessionSource]) -> list[Fact]:
    """Return who sent, the most recent first."""
    facts = [
        (
            "" if number else "by",
            f"{safe(s.receiver)} ← {safe(s.calling_ae_title)} {safe(s.address)}".rstrip(),
        )
        for number, s in enumerate(found[:MOST_SHOWN])
    ]
    if len(found) > MOST_SHOWN:
        facts.append(("", f"and {len(found) - MOST_SHOWN} more"))
    return facts


def anonymized(scripts: Sequence[str]) -> str:
    """Say which scripts a session's first object says have run on it."""
    if not scripts:
        return "no script has run"
    return f"yes, script {', '.join(safe(number, 20) for number in scripts)}"


def _warnings(detail: SessionDetail) -> list[Fact]:
    if not detail.warnings:
        return [("warnings", "0")]
    shown = detail.warnings[:MOST_SHOWN]
    facts = [
        ("" if number else "warnings", f"{count(w.objects)} × {safe(w.reason)}")
        for number, w in enumerate(shown)
    ]
    more = len(detail.warnings) - len(shown)
    return [*facts, *([("", f"and {more} more kinds")] if more else [])]


def _span(session: Session, now: datetime) -> str:
    first = moment(session.first_object_at, now)
    return f"{first} – {clock(session.last_object_at)}"


def history_lines(detail: SessionDetail, now: datetime) -> list[Fact]:
    """Return what happened to a session, oldest first."""
    return [(_when(step.at, now), safe(step.text)) for step in detail.history]


def _when(at: datetime, now: datetime) -> str:
    """Return the local time of day, or day and time if that is not today."""
    local, today = at.astimezone(), now.astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%m-%d %H:%M")


# Actions


def action_title(action: SessionAction, sessions: Sequence[Session]) -> str:
    """Name an action and what it is for."""
    verb = sentence_case(VERBS[action][0])
    if len(sessions) == 1:
        return f"{verb} {name_of(sessions[0])}"
    return f"{verb} {len(sessions):,} sessions"


def impossible_words(action: SessionAction, session: Session) -> str:
    """Say why an action is not possible on a session now; empty if it is."""
    if action in possible_actions(session):
        return ""
    status = session.status.lower().replace("_", " ")
    if action is SessionAction.CANCEL:
        return f"no request waits for {name_of(session)}, which is {status}"
    if session.area is SessionArea.TRASH:
        return f"{name_of(session)} is in the trash; {pressed('session.restore')} restores it"
    if action is SessionAction.RESTORE:
        return f"{name_of(session)} is not in the trash"
    if session.area is SessionArea.ARCHIVE:
        return f"{name_of(session)} is in the archive"
    if action is SessionAction.ARCHIVE and session.project is None:
        helps = with_keys("{session.move} moves it to one, {session.why} says why")
        return f"{name_of(session)} has no project; {helps}"
    receiving = session.status is SessionStatus.RECEIVING
    built = "builds it now, else it is built when no object has come for a while"
    hint = f"; {pressed('session.rebuild')} {built}"
    return f"{name_of(session)} is {status}{hint if receiving else ''}"


def done_words(action: SessionAction, done: int, sessions: Sequence[Session]) -> str:
    """Say what became of the sessions of an action."""
    past = VERBS[action][1]
    if len(sessions) == 1 and done:
        return f"{name_of(sessions[0])} {past}"
    return f"{counted(done, 'session')} {past}"


def failure(action: SessionAction, outcome: SessionOutcome) -> str:
    """Return why a request came to nothing; empty if it did what was asked."""
    session = outcome.session
    if action is SessionAction.CANCEL or session is None:
        return ""
    waits_for_room = session.status is SessionStatus.RECEIVING and session.reason
    return outcome.text if session.status in _FAILED or waits_for_room else ""


def delete_question(sessions: Sequence[Session], trash_days: int, until: datetime) -> str:
    """Say what deleting means and until when it can be taken back."""
    which = "It goes" if len(sessions) == 1 else "They go"
    objects = sum(session.objects for session in sessions)
    bytes_there = sum(session.bytes for session in sessions)
    where = {AREA_NAMES[session.area].lower() for session in sessions}
    return (
        f"{which} from the {' and '.join(sorted(where))} to the trash with "
        f"{counted(objects, 'object')} ({size(bytes_there)}).\n\n"
        f"It can be restored until {until.astimezone():%Y-%m-%d %H:%M} "
        f"({counted(trash_days, 'day')}); after that it is gone for good."
    )


def archive_question(session: Session, previews: Sequence[ArchivePreview]) -> str:
    """Say what archiving would come to: where to, how much, or every reason against it."""
    plain = previews[0]
    head = f"Project {project_of(session)}, {amount(session)}.\n\n"
    if not plain.conflicts:
        return head + _consequence(plain)
    reasons = "\n".join(f"▲ {safe(reason)}" for reason in plain.conflicts)
    ways = [
        f"{way}: {_consequence(preview) if not preview.conflicts else 'not possible'}"
        for way, preview in zip(("Merge", "Overwrite"), previews[1:], strict=False)
    ]
    return head + "It can't be archived as it is:\n" + "\n".join((reasons, "", *ways))


def _consequence(preview: ArchivePreview) -> str:
    into = preview.into
    target = f"the archived session {name_of(into)}" if into else "the archive as a new session"
    words = f"{counted(preview.added, 'object')} come into {target}"
    if preview.replaced:
        words += f"; {counted(preview.replaced, 'object')} there go to the trash"
    if preview.skipped:
        words += f"; {counted(preview.skipped, 'object')} that are there already are skipped"
    return f"{words}."


def archive_question_many(sessions: Sequence[Session]) -> str:
    """Say what archiving many sessions means."""
    objects = sum(session.objects for session in sessions)
    return (
        f"{counted(objects, 'object')} in {counted(len(sessions), 'session')}. "
        "What is in conflict with the archive stays where it is and is listed with its reasons.\n\n"
        "Merge adds to archived sessions of the same label. Overwrite also replaces the objects "
        "that are there already; the old ones go to the trash."
    )


def rebuild_question(session: Session) -> str:
    """Say what building again leads to, where that is the archive."""
    return (
        f"It is built again with {amount(session)}. "
        f"{project_of(session)} archives it by itself then.\n\nZ undoes it."
    )


def scan_words(scan: ScanSummary) -> str:
    """Describe a scan in one line."""
    what = " ".join(filter(None, (safe(scan.modality, 8), safe(scan.description, 26))))
    return f"{safe(scan.id, 20):<6} {what:<30} {counted(scan.objects, 'object')}"


def edit_words(
    detail: SessionDetail, said: EditPreview | str | None, removed: Sequence[str], *, renames: bool
) -> str:
    """Say what other names and fewer scans come to, in lines."""
    lines = []
    if removed:
        gone = [scan for scan in detail.scans if scan.id in set(removed)]
        objects = sum(scan.objects for scan in gone)
        lines.append(
            f"▲ {counted(len(gone), 'scan')} with {counted(objects, 'object')} to the trash, from"
            " where they can be restored"
        )
    if isinstance(said, str):
        lines.append(f"✗ {said}")
    elif said is not None and renames:
        lines += [f"▲ {safe(clash)}" for clash in said.clashes]
        lines += [sentence_case(safe(words)) for words in said.consequences]
    elif renames:
        lines.append("looking …")
    return "\n".join(lines) or "Nothing changes yet."


def action_line(action: PastAction, now: datetime) -> str:
    """Describe what somebody did in one line."""
    where = f"{safe(action.label, 24)} in {safe(action.project or UNASSIGNED, 20)}"
    mark = "–" if action.why_not else "●"
    when = _when(action.at, now)
    return f"{mark} {when:<11} {safe(action.by, 14):<14} {safe(action.what):<22} {where}"


def undo_words(action: PastAction) -> str:
    """Say whether an action can be undone, and what stays."""
    if action.why_not:
        return f"It can't be undone: {safe(action.why_not)}."
    stays = " What a script has changed stays so, and what was forwarded." * (
        "archive" in action.what
    )
    back = (
        "The scans go back into the session"
        if action.what == "remove scans"
        else ("The session goes back to where it was, with its labels of then, and waits for you")
    )
    return f"{back}.{stays}"


def matching_projects(projects: Sequence[Project], typed: str) -> list[Project]:
    """Return the projects that a typed word means, those that begin with it first."""
    word = typed.strip().casefold()
    found = [p for p in projects if word in f"{p.id}\n{p.title}".casefold()]
    return sorted(found, key=lambda p: (not p.id.casefold().startswith(word), p.id.casefold()))
