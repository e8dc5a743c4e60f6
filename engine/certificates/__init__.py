"""Certificate files: read, checked against each other, and made into a TLS context.

Used by `engine.net.tls`, the configuration and the commands. Read `tls_context` first.
"""
