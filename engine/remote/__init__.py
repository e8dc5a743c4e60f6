"""The control API: an `EngineView` over HTTP, on a UNIX socket for consoles and commands.

In: the type hints of `EngineView` and its groups, and requests. Out: JSON, and `RemoteEngine`,
which does the same from another process. Read `protocol` first: it makes a path of each method.

- `schema`, `failures`: values and errors as JSON, and back
- `routes`, `xnat`: the ASGI application | `openapi`: its description
- `metrics`: metrics and health
- `host`, `server`, `sockets`: the thread that serves it, and its limits
- `callers`, `logins`: who asks
- `channel`, `client`: the other end | `attach`: finds the engine of a data directory
"""
