"""The console: a Textual application that shows one engine and changes its configuration.

In: an `EngineView`, in this process or remote. Out: calls to it, and pictures of what it answers.
Read `app` first, then `engine_client` (the way to the engine), `shell.screen` (the base of every
screen) and `dashboard.screen`. Each feature is a folder: screen, tables, forms, dialogs, commands
and styles. `widgets` holds only parts that two features share; `places` lists the screens, `keys`
lists the keys.
"""
