"""Writes a PNG image (ISO/IEC 15948): eight bits a sample, grey or in colours."""

from __future__ import annotations

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOURS = 0, 2


def png(width: int, height: int, samples: int, pixels: bytes) -> bytes:
    """Return an image as a file.

    Args:
        width: columns.
        height: rows.
        samples: 1 for grey, 3 for red, green and blue.
        pixels: row by row, one byte a sample.
    """
    colours = _GREY if samples == 1 else _COLOURS
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    row = width * samples
    rows = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
