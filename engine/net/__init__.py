"""Sockets: the loop, admission of connections, TLS, and ports.

In: TCP connections. Out: admitted connections, to `engine.reception.association`.
Read `reactor` first: its thread serves every connection; then `admission`, the limits before an
association; then `tls`.
"""
