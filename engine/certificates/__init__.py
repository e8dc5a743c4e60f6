"""Certificate files: reads them, checks them against each other, and makes TLS contexts.

Used by `engine.net.tls`, the configuration and the commands. Read `tls_context` first.
"""
