"""The protocol: DICOM's upper layer and DIMSE as bytes (PS3.7, PS3.8), for both roles.

In: bytes. Out: events, and bytes to send. Nothing here has a socket, thread or clock but `scu`,
which calls others. Read `acceptor` first, then `pdata`, `commands` and `acse`.
"""
