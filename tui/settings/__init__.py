"""Settings of the site and of its projects, alerts and study routes.

In: site settings, projects and study routes from the engine. Out: changed settings. The user's own
settings of the console are in `tui.console_settings`. Read `screen` first, then `form` (a form made
from a table of fields), `dialog` and `site_forms`.
"""
