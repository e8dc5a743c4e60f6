"""Sockets: what listens, which connections are taken, how TLS is spoken, and the one loop.

In: TCP connections. Out: to `engine.reception.association`, those that may say what they want.
Read `reactor` first: its thread serves every connection; then `admission`, the limits before an
association; then `tls`.
"""
