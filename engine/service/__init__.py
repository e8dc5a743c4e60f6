"""The engine: it builds its parts, starts and stops them, and applies each configuration.

`engine` is the `EngineView` of this process and the file to read first; each other file builds one
part.
"""
