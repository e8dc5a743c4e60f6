"""`objects`: headers, images and trails of single objects; masked by default."""

from __future__ import annotations

import argparse
import os
import struct
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.objects import RowChange, Window, arrival_words, arrivals_in
from engine.cli.context import actor
from engine.cli.explanations import add_object_why
from engine.cli.live import running_engine
from engine.cli.object_names import HELP, MASKED, add_show_values, object_name, stored
from engine.cli.options import FileRefused, add_verb, add_verbs, whole_number
from engine.host import terminal
from engine.model.identity import element_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.api.objects import ComparedRow, ElementRow, Thumbnail, TrailStep


_LARGEST_PIXELS = 512
_NO_IMAGE = 1


def add_objects(command: argparse.ArgumentParser) -> None:
    """Add the commands that show single objects."""
    verbs = add_verbs(command)
    recent = add_verb(verbs, "recent", _recent, "list the last objects, newest first")
    recent.add_argument("--receiver", metavar="AE:PORT", default="", help="of this receiver only")
    recent.add_argument("--calling", metavar="AE", default="", help="of this sender only")
    recent.add_argument("--limit", type=whole_number, default=50, metavar="N",
                        help="how many at most (default: 50)")  # fmt: skip
    show = add_verb(verbs, "show", _show, "show the elements of an object")
    as_received = "the header as it arrived, while it is in memory"
    show.add_argument("--as-received", action="store_true", help=as_received)
    compare = add_verb(verbs, "compare", _compare, "show what changed between arrival and storage")
    compare.add_argument("--all", action="store_true", help="equal elements too")
    add_object_why(verbs)
    trail = add_verb(verbs, "trail", _trail, "show the trail of an object")
    image = add_verb(verbs, "image", _image, "write one frame of an object as a small PNG file")
    _add_image_options(image)
    for parser in (show, compare, trail, image):
        parser.add_argument("object", metavar="OBJECT", type=object_name, help=HELP)
    for parser in (show, compare):
        add_show_values(parser)


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    where = "where to; a file that is there is not overwritten"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help=where)
    parser.add_argument("--frame", type=whole_number, default=1, metavar="N", help="from 1")
    largest = f"at most so many columns and rows (default: 256, at most {_LARGEST_PIXELS})"
    parser.add_argument("--size", type=whole_number, default=256, metavar="N", help=largest)
    window = "which values are black and white (default: the object's own)"
    parser.add_argument("--window", type=_window, metavar="CENTER/WIDTH", help=window)


def _window(text: str) -> Window:
    center, _, width = text.partition("/")
    try:
        window = Window(float(center), float(width))
    except ValueError:
        window = Window(0, 0)
    if not (0 < window.width < 1e9 and abs(window.center) < 1e9):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no CENTER/WIDTH, such as 40/400")
    return window


def _recent(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        found = engine.objects.recent(
            receiver=arguments.receiver,
            calling_ae_title=arguments.calling,
            limit=arguments.limit,
        )
    if arguments.json:
        return terminal.print_json({"objects": [asdict(one) for one in found]})
    heads = ("AT", "RECEIVER", "CALLER", "MODALITY", "PROJECT", "SESSION", "STATE", "STATUS",
             "SOP INSTANCE UID", "REASON")  # fmt: skip
    rows = [
        (o.at, o.receiver, o.calling_ae_title, o.modality, o.project, o.label, o.state,
         f"0x{o.status:04X}", o.reference.sop_instance_uid, o.reason)
        for o in found
    ]  # fmt: skip
    return terminal.print_table(heads, rows)


def _show(arguments: argparse.Namespace) -> None:
    received = arguments.as_received
    with running_engine(arguments) as engine:
        named = arguments.object if received else stored(engine, arguments.object)
        if arguments.show_values:
            header = engine.objects.shown(named, actor(), as_received=received)
        else:
            header = engine.objects.header(named, as_received=received)
    if arguments.json:
        elements = [_record(row) for row in header.elements]
        return terminal.print_json(asdict(header) | {"elements": elements})
    heads = ("TAG", "VR", "KEYWORD", "LENGTH", "VALUE")
    terminal.print_table(heads, [_cells(row) for row in header.elements])
    if not header.complete:
        terminal.say("these are not all elements")
    return _say_masked(header.elements)


def _compare(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        named = stored(engine, arguments.object)
        if arguments.show_values:
            found = engine.objects.shown_comparison(named, actor())
        else:
            found = engine.objects.compare(named)
    rows = [row for row in found.rows if arguments.all or row.change is not RowChange.EQUAL]
    if arguments.json:
        record = {"last_tag": element_number(found.last_tag), "complete": found.complete}
        return terminal.print_json(record | {"rows": [_compared_record(row) for row in rows]})
    heads = ("CHANGE", "TAG", "KEYWORD", "AS RECEIVED", "AS STORED")
    terminal.print_table(heads, [_compared_cells(row) for row in rows])
    terminal.say(f"elements behind {element_number(found.last_tag)} are not compared")
    return _say_masked(side for row in rows for side in (row.received, row.stored) if side)


def _trail(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        trail = engine.objects.trail(arguments.object)
    if arguments.json:
        sessions = [
            asdict(session) | {"arrivals": arrivals_in(session.id, trail.steps)}
            for session in trail.sessions
        ]
        return terminal.print_json(asdict(trail) | {"sessions": sessions})
    print_arrivals(trail.steps)
    rows = [
        (session.id, session.place.words, arrival_words(session.id, trail.steps))
        for session in trail.sessions
    ]
    return terminal.print_table(("ID", "SESSION", "ARRIVALS"), rows)


def print_arrivals(steps: Sequence[TrailStep]) -> None:
    """Print every arrival of an object, with the session that it went to."""
    heads = ("NO", "RECEIVED", "RECEIVER", "CALLER", "STATE", "STATUS", "WENT TO", "FILE", "REASON")
    rows = [
        (
            *(number, step.at, step.receiver, step.calling_ae_title, step.state),
            *(f"0x{step.status:04X}", step.went_to, step.file, step.reason),
        )
        for number, step in enumerate(steps, start=1)
    ]
    terminal.print_table(heads, rows)


def _image(arguments: argparse.Namespace) -> int:

    pixels = min(arguments.size, _LARGEST_PIXELS)
    with running_engine(arguments) as engine:
        named = stored(engine, arguments.object)
        image = engine.objects.thumbnail(
            named, frame=arguments.frame, width=pixels, height=pixels, window=arguments.window
        )
    if not image.problem:
        _write(arguments.output, png(image.width, image.height, image.samples, image.pixels))
    if arguments.json:
        record = {name: value for name, value in asdict(image).items() if name != "pixels"}
        file = None if image.problem else str(arguments.output.absolute())
        terminal.print_json({"file": file, **record})
    elif not image.problem:
        terminal.print_text(str(arguments.output))
    terminal.say(_image_words(image))
    return _NO_IMAGE if image.problem else 0


def _image_words(image: Thumbnail) -> str:
    if image.problem:
        return "; ".join(filter(None, (f"there is no image: {image.problem}", image.remedy)))
    whole = f"{image.columns}×{image.rows}"
    return f"frame {image.frame} of {image.frames}, {image.width}×{image.height} of {whole}"


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read: an image may show the patient's name."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileRefused(f"can't write {path}: {reason}", "name another file") from error


def _record(row: ElementRow) -> dict[str, object]:
    return asdict(row) | {"tag": element_number(row.tag), "first_bytes": row.first_bytes.hex()}


def _cells(row: ElementRow) -> tuple[object, ...]:
    tag = f"{'  ' * row.depth}{element_number(row.tag)}"
    length = "" if row.length < 0 else row.length
    return tag, row.vr, row.keyword, length, f"{row.value}{'…' if row.cut else ''}"


def _compared_record(row: ComparedRow) -> dict[str, object]:
    sides = {"received": row.received, "stored": row.stored}
    records = {name: side and _record(side) for name, side in sides.items()}
    return {"change": str(row.change), **records}


def _compared_cells(row: ComparedRow) -> tuple[object, ...]:
    one = row.received or row.stored
    assert one is not None
    values = (side.value if side else "" for side in (row.received, row.stored))
    return (str(row.change), one.path, one.keyword, *values)


def _say_masked(rows: Iterable[ElementRow]) -> None:
    if any(row.masked for row in rows):
        terminal.say(MASKED)


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOURS = 0, 2


def png(width: int, height: int, samples: int, pixels: bytes) -> bytes:
    """Return an image as a PNG file.

    Args:
        width: columns.
        height: rows.
        samples: 1 for grey, 3 for red, green and blue.
        pixels: row by row, one byte a sample.
    """
    colours = _GREY if samples == 1 else _COLOURS
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    row = width * samples
    # PNG 9.2: each row begins with its filter type, 0 for none.
    rows = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    # PNG 5.3: the CRC is of type and data, without the length.
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
