"""The frame that all screens share.

In: the `EngineState` and the keys that the user presses. Out: the frame around the panels
of a feature. It holds status line, key line, palette, help, dialogs, form dialogs, row details and
progress of long work. Every feature folder uses it. Read `screen` first: `ConsoleScreen` is the
base class of every screen.
"""
