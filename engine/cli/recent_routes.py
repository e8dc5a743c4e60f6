"""`route --recent`: where the objects that arrived last would go by drafted rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.context import actor, receiver_named, store_of
from engine.cli.files import read_text
from engine.cli.live import running_engine
from engine.intake.rehearsal import Rehearsed
from engine.model.routing_draft import drafted

if TYPE_CHECKING:
    import argparse

    from engine.model.identity import RoutingPreview


def recent_routes(arguments: argparse.Namespace) -> list[Rehearsed]:
    """Return what would become of a receiver's last objects, newest first.

    Raises:
        NotFound: if no engine runs, or there is no such receiver.
    """
    configuration = store_of(arguments).load()
    receiver, site = receiver_named(configuration, arguments.receiver), configuration.site
    if arguments.rules is not None:
        text = read_text(arguments.rules)
        receiver, routing = drafted(text, receiver, site.routing, arguments.rules)
        site = replace(site, routing=routing)
    with running_engine(arguments) as engine:
        if arguments.show_values:
            found = engine.shown_routing(receiver, actor(), site)
        else:
            found = engine.preview_routing(receiver, site)
    return [_rehearsed(preview) for preview in found]


def _rehearsed(preview: RoutingPreview) -> Rehearsed:
    return Rehearsed(
        f"{preview.at:%H:%M:%S} from {preview.calling_ae_title}",
        preview.draft,
        preview.saved,
        (),
        preview.draft_processing,
        differs=preview.changes,
    )
