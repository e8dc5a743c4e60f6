"""Senders of a made-up hospital, and a `SendersView` that answers from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from engine.api.senders import HOURS_KEPT, HourVolume, Sender, SenderDetail, SenderOrder, SenderPage
from engine.errors import NotFound
from tests.fakes.values import NOW


def make_sender(calling_ae_title: str, address: str = "10.4.7.21", **changes: Any) -> Sender:
    """Return a sender that is known for a month and called a minute ago."""
    sender = Sender(
        calling_ae_title,
        address,
        first_seen=NOW - timedelta(days=31),
        last_seen=NOW - timedelta(minutes=1),
        associations=412,
        objects=48_211,
        bytes=13_400_000_000,
        receiver="XNAT:8104",
        implementation="DCM4CHE_5_29",
        implementation_class_uid="1.2.40.0.13.1.3",
        contexts_proposed=14,
        contexts_refused=2,
        refused_contexts=(
            "Encapsulated PDF Storage, no common transfer syntax",
            "Modality Performed Procedure Step, not a storage class",
        ),
    )
    return replace(sender, **changes)


def example_senders() -> list[Sender]:
    """Return forty senders: busy ones, silent ones, failing ones and strangers."""
    rejection = (
        "calling AE title OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE; "
        "nearest: OLD_WS1"
    )
    strangers: dict[str, Any] = {
        "associations": 0,
        "objects": 0,
        "bytes": 0,
        "implementation": "",
        "contexts_proposed": 0,
        "contexts_refused": 0,
        "refused_contexts": (),
    }
    named = [
        make_sender("CT_SCANNER_1", open_associations=1),
        make_sender("MR_PRISMA", "10.4.7.33", implementation="SIEMENS_MRXA", aborted=3),
        make_sender(
            *("PACS_PUSH", "10.4.1.9"),
            failed=19,
            last_error="the data set ends inside an element",
            last_error_at=NOW - timedelta(minutes=40),
            contexts_proposed=138,
            contexts_refused=18,
        ),
        make_sender("ER_CT", "10.4.9.2", objects=9_804, bytes=3_900_000_000),
        make_sender(
            *("OLD_WS", "10.4.2.77"),
            rejected=25,
            last_rejection=rejection,
            last_rejection_at=NOW - timedelta(minutes=2),
            **strangers,
        ),
        make_sender("US_ROOM3", "10.4.8.14", last_seen=NOW - timedelta(days=4), aborted=41),
    ]
    return named + [
        make_sender(
            *(f"MODALITY_{i:02}", f"10.5.{i}.7"),
            last_seen=NOW - timedelta(hours=i),
            objects=1_000 * i,
            bytes=520_000_000 * i,
            associations=3 * i,
        )
        for i in range(1, 35)
    ]


def hostile_senders(names: tuple[str, ...]) -> list[Sender]:
    """Return senders whose names are markup, escape sequences or tricks."""
    return [
        make_sender(name, name, implementation=name, last_rejection=name, last_error=name)
        for name in names
    ]


@dataclass
class FakeSenders:
    """A `SendersView` that answers from memory."""

    known: list[Sender] = field(default_factory=example_senders)

    def list(
        self,
        *,
        text: str = "",
        order: SenderOrder = SenderOrder.LAST_SEEN,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SenderPage:
        wanted = text.casefold()
        found = [
            sender
            for sender in self.known
            if any(
                wanted in one.casefold()
                for one in (sender.calling_ae_title, sender.address, sender.implementation)
            )
        ]
        name = order.value.replace(" ", "_").replace("AE", "ae")
        found.sort(key=lambda sender: getattr(sender, name), reverse=descending)
        page = (_with_day(sender) for sender in found[offset : offset + limit])
        return SenderPage(tuple(page), offset, len(found))

    def detail(self, calling_ae_title: str, address: str) -> SenderDetail:
        for sender in self.known:
            if (sender.calling_ae_title, sender.address) == (calling_ae_title, address):
                return SenderDetail(_with_day(sender), _hours(sender), (sender.receiver,))
        raise NotFound(f"no sender {calling_ae_title!r} is known", "look at the list again")


def _with_day(sender: Sender) -> Sender:
    day = tuple(hour.bytes for hour in _hours(sender, 24))
    return replace(sender, day=day) if any(day) else sender


def _hours(sender: Sender, count: int = HOURS_KEPT) -> tuple[HourVolume, ...]:
    """Return a week of days with traffic from seven to eighteen o'clock."""
    last = NOW.replace(minute=0, second=0)
    hours = []
    for back in range(count - 1, -1, -1):
        at = last - timedelta(hours=back)
        share = max(0.0, math.sin((at.hour - 6) / 13 * math.pi)) if 6 < at.hour < 19 else 0.0
        objects = int(share * sender.objects / 60 * (0.3 if at.weekday() > 4 else 1))
        hours.append(HourVolume(at, objects, objects * 280_000, failed=objects // 4000))
    return tuple(hours)
