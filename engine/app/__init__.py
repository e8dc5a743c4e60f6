"""What starts and installs an engine: headless run, systemd units, status, self-test, demo.

Used by the commands and the console. Read `headless` first.
"""
