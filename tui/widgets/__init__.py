"""Widgets that at least two features use.

In: plain values. Out: lines on the screen, and messages about what the user does. Of `tui` they
import only `keys`, `text` and `theme`, never a feature or the shell. Read `table` first.
"""
