"""The control API: an `EngineView` over HTTP, on a UNIX socket for consoles and commands.

In: the type hints of `EngineView` and its groups, and requests. Out: JSON, and `RemoteEngine`,
which does the same from another process. Read `protocol` first: it makes a path of each method.

- `schema`, `failures`: values and errors as JSON, and back
- `routes`, `openapi`, `xnat`: the ASGI application | `metrics`: metrics and health
- `server`, `callers`, `sockets`, `host`: the thread that serves it, and what its peers may cost
- `channel`, `client`: the other end | `attach`, `status`: the engine of a data directory
"""
