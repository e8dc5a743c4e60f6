"""What receives: ports, the associations on them, and what they bring.

In: connections of `engine.net`, and what their bytes mean by `engine.dimse`. Out: objects to
`engine.intake`, associations and rejections to whoever looks. Read `receivers` first (which ports
are open), then `listener` (a connection comes), `acceptance` (may it associate?) and `association`.
"""
