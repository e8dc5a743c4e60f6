"""XNAT's REST resources, so that clients and scripts for XNAT work unchanged.

In: requests below `/xapi` and `/data`, with XNAT's paths, members and spellings. Out: XNAT's
records, status codes and texts of errors. Each resource translates; checks and changes are those
of `EngineView`. `tree.py` lists all paths; read it first, then `answers.py`. The other side is
`reader.py`, which asks an XNAT for its configuration.
"""

from engine.remote.xnat.tree import xnat_routes

__all__ = ["xnat_routes"]
