"""Bodies that were packed on their way: gzip, deflate, Brotli, Zstandard."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial

PIECE = 2**16  # bytes that are unpacked at a time

Pieces = Iterator[bytes]


def unpacked(body: bytes, coding: str) -> Pieces:
    """A body in pieces, as it was before it was packed by a coding (RFC 9110, 8.4.1); the reader says how much is
    enough, for a small body may unpack to a very large one.

    Raises LookupError naming a coding that is not known, and EOFError, OSError or zlib.error, after what could be
    unpacked, for a body that is cut short or broken.
    """
    coding = coding.strip().lower()
    if coding not in CODINGS:
        raise LookupError(coding)
    if body:  # an empty one is not packed, whatever is said of it
        yield from CODINGS[coding](body)


def _gzip(body: bytes) -> Pieces:
    whole = False  # whether a member came to its end, after which servers may append anything
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as members:
        try:
            while piece := members.read1(PIECE):
                whole = True
                yield piece
        except gzip.BadGzipFile as error:
            if not (whole and str(error).startswith("Not a gzipped file")):
                raise


def _deflate(body: bytes) -> Pieces:
    # zlib's format by the RFC, raw deflate by habit
    packed = zlib.decompressobj(zlib.MAX_WBITS if body[0] & 15 == 8 and not int.from_bytes(body[:2]) % 31 else -15)
    while not packed.eof:
        piece = packed.decompress(body, PIECE)
        body = packed.unconsumed_tail
        if not piece and not body and not packed.eof:
            raise EOFError("deflate stream ended before its end")
        yield piece


def _arrow(body: bytes, codec: str) -> Pieces:
    import pyarrow

    with pyarrow.input_stream(pyarrow.BufferReader(body), compression=codec) as stream:
        while piece := stream.read(PIECE):
            yield piece


CODINGS: dict[str, Callable[[bytes], Pieces]] = {
    "": lambda body: iter([body]),
    "identity": lambda body: iter([body]),
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": partial(_arrow, codec="brotli"),
    "zstd": partial(_arrow, codec="zstd"),
}
