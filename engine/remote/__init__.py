"""The control API: an `EngineView` over HTTP, on a UNIX socket for consoles and commands.

Everything is derived from the type hints of the `EngineView` protocol and its groups:

- `hints`: the hints as types, also of names that are imported for type checkers only
- `schema`, `codec`: how values of these types are written and read as JSON
- `protocol`: every method of the view with its arguments and its result, and their fingerprint
- `failures`: errors as JSON, and back
- `routes`, `stream`, `openapi`: the ASGI application; further routes are mounted there
- `xnat`, `xnat_errors`: XNAT's resource for receivers, mounted beside them
- `server`, `connection`, `sockets`: the thread that serves it, and what its peers may cost
- `channel`, `looks`, `news`, `client`: the other end, `RemoteEngine`
- `attach`: finds the engine that runs on a data directory
"""
