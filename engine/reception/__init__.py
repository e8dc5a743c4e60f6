"""The receiving side: ports, their associations, and the objects that arrive on them.

In: connections of `engine.net`, whose bytes `engine.dimse` decodes. Out: objects to
`engine.intake`; associations and rejections to the journal and the console. Read `receivers` first
(which ports are open), then `listener` (a connection arrives), `acceptance` (may it associate?) and
`association`.
"""
