"""Content-Encoding of requests and responses: gzip, deflate, lz4 (frames) and zstd."""

import gzip
import io
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.errors import QueryError

# In this order of preference: over loopback the processor is dearer than the bytes.
_ENCODINGS = ("lz4", "zstd", "gzip", "deflate")
_PIECE_BYTES = 1024 * 1024
# At most 128 MiB come out of so much in one step, before the limit is looked at.
_ZSTD_INPUT_BYTES = 4096


def _inflated(body: bytes, max_bytes: int) -> Iterator[bytes]:
    # Clients mean zlib by "deflate" (RFC 9110 section 8.4.1.2), some send the bare stream.
    try:
        source = zlib.decompressobj()
        piece = source.decompress(body, max_bytes + 1)
    except zlib.error:
        source = zlib.decompressobj(wbits=-15)
        piece = source.decompress(body, max_bytes + 1)
    if not source.eof and len(piece) <= max_bytes:
        raise EOFError
    yield piece


def _zstd_frames(body: bytes) -> Iterator[bytes]:
    # The stream reader takes a cut-off frame for a whole one, so frames are followed by hand.
    rest = memoryview(body)
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while not frame.eof:
            if not rest:
                raise EOFError
            yield frame.decompress(rest[:_ZSTD_INPUT_BYTES])
            rest = rest[_ZSTD_INPUT_BYTES:]
        if frame.unused_data:
            rest = memoryview(body)[len(body) - len(rest) - len(frame.unused_data) :]


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> Iterator[bytes]:
    match encoding:
        case "gzip" | "x-gzip":
            return iter(partial(gzip.GzipFile(fileobj=io.BytesIO(body)).read, _PIECE_BYTES), b"")
        case "lz4":
            return iter(partial(lz4.frame.open(io.BytesIO(body), "rb").read, _PIECE_BYTES), b"")
        case "zstd":
            return _zstd_frames(body)
        case "deflate":
            return _inflated(body, max_bytes)
    raise QueryError(
        errors.NOT_IMPLEMENTED,
        f"Content-Encoding {encoding!r} is not supported; send gzip, deflate, lz4 or zstd.",
    )


def decoded(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Return the body without its Content-Encoding.

    Raises:
        QueryError: unknown encoding, data that is damaged or cut off, or more than max_bytes of it.
    """
    if encoding in ("", "identity"):
        return body
    pieces: list[bytes] = []
    total = 0
    try:
        for piece in _unpacked(body, encoding, max_bytes):
            pieces.append(piece)
            total += len(piece)
            if total > max_bytes:
                text = f"The request body is larger than {max_bytes} bytes when decompressed."
                raise QueryError(errors.TOO_LARGE, text)
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        text = f"The request body is not valid {encoding} data."
        raise QueryError(errors.CANNOT_DECOMPRESS, text) from error
    return b"".join(pieces)


class Encoder(Protocol):
    """Compresses a response piece by piece."""

    def feed(self, piece: bytes) -> bytes:
        """Return what can be sent after this piece."""
        ...

    def finish(self) -> bytes:
        """Return the rest."""
        ...


class _Plain:
    def feed(self, piece: bytes) -> bytes:
        return piece

    def finish(self) -> bytes:
        return b""


class _Compressor:
    """zlib and zstandard share one interface."""

    def __init__(self, compressor: Any) -> None:
        self._compressor = compressor

    def feed(self, piece: bytes) -> bytes:
        return bytes(self._compressor.compress(piece))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush())


class _Lz4Frames:
    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor()
        self._head = self._compressor.begin()

    def feed(self, piece: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._compressor.compress(piece))

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._compressor.flush())


def choose_encoding(accepted: str) -> str | None:
    """Return the encoding to answer in, of those in an Accept-Encoding header; None for plain bytes."""
    offers = [offer.strip().lower().split(";") for offer in accepted.split(",")]
    names = {
        offer[0].strip() for offer in offers if not any(p.strip() in ("q=0", "q=0.0") for p in offer[1:])
    }
    return next((encoding for encoding in _ENCODINGS if encoding in names), None)


def encoder(encoding: str | None) -> Encoder:
    """Return a compressor for one response."""
    match encoding:
        case "lz4":
            return _Lz4Frames()
        case "zstd":
            return _Compressor(zstandard.ZstdCompressor(level=1).compressobj())
        case "gzip":
            return _Compressor(zlib.compressobj(level=1, wbits=31))
        case "deflate":
            return _Compressor(zlib.compressobj(level=1))
    return _Plain()
