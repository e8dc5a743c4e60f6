"""`state.sqlite`: what can't be derived from any other file.

In: study routes, labels of studies, UIDs that scripts put in the place of others, and the outbox of
what is to be sent, run or told. Out: the same, after a restart or a power cut. The session index is
beside it and can be made anew; this file can't. Read `schema` first, then `earlier` for how files
of earlier versions are taken over and damaged ones replaced.
"""
