"""The protocol: DICOM's upper layer and DIMSE as bytes (PS3.7, PS3.8), for both roles.

In: bytes. Out: events, and bytes to send. Only `scu`, which calls peers, has a socket and a clock.
Read `acceptor` first, then `pdata`, `commands` and `acse`.
"""
