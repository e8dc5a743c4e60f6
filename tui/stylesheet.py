"""The console's styles, each source of which is parsed once for one set of colors.

Textual parses all of them anew whenever styles may have changed; that is three times until the
first picture, for the same result.
"""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class OnceParsed(Stylesheet):
    """Forgets what it parsed only when the variables are others."""

    def set_variables(self, variables: dict[str, str]) -> None:
        """Use these variables from now on."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what was not parsed yet with these variables; on an error all stays as it is."""
        self.parse()
