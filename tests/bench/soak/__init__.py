"""Everything at once for a while, and then everything accounted for.

Four senders (CT, MR, small objects, and CT through a script) send studies to an engine that
archives them by itself and forwards each object to a second engine, which is away for a tenth of
the time. A console is attached, and alerts go to a program. `senders` is the load, `course` what
happens and what must hold in the end, `growth` what must stay flat, `cli` the command.
"""
