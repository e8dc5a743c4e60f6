"""The default identifier: receiver rules, site rules, then XNAT's built-in defaults (XNAT 5).

What an identifier is, and how to write another one, says `engine.intake.identifiers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identifier import DEFAULT_IDENTIFIERS
from engine.model.identity import Identity

if TYPE_CHECKING:
    from engine.intake.inquiry import Inquiry


class DefaultIdentifier:
    """XNAT's ``dicomObjectIdentifier`` (XNAT 5.2)."""

    info = DEFAULT_IDENTIFIERS[0]
    tags: frozenset[int] = frozenset()
    is_settled_by_header = True

    def identify(self, inquiry: Inquiry) -> Identity:
        """Return project, subject and session as rules and defaults say.

        Raises:
            RoutingFailed: if a subject, session or auto-archive rule fails.
        """
        project = inquiry.project()
        subject, session = inquiry.subject(), inquiry.session()
        return Identity(project, subject, session, inquiry.auto_archive(), inquiry.warning)
