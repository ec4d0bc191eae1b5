"""Content-Encoding of requests and responses: gzip, deflate, lz4 (frames) and zstd."""

import gzip
import io
import zlib
from typing import IO, Any, Protocol

import lz4.frame  # type: ignore[import-untyped]
import zstandard

from postloop.embedded.chserver import errors
from postloop.embedded.chserver.errors import QueryError

# In this order of preference: over loopback the processor is dearer than the bytes.
_ENCODINGS = ("lz4", "zstd", "gzip", "deflate")
_PIECE_BYTES = 1024 * 1024


def _deflated(body: bytes) -> IO[bytes]:
    # Clients mean zlib by "deflate" (RFC 9110 section 8.4.1.2), some send the bare stream.
    try:
        return io.BytesIO(zlib.decompress(body))
    except zlib.error:
        return io.BytesIO(zlib.decompress(body, wbits=-15))


def _reader(body: bytes, encoding: str) -> Any:
    match encoding:
        case "gzip" | "x-gzip":
            return gzip.GzipFile(fileobj=io.BytesIO(body))
        case "lz4":
            return lz4.frame.open(io.BytesIO(body), "rb")
        case "zstd":
            return zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
        case "deflate":
            return _deflated(body)
    raise QueryError(
        errors.NOT_IMPLEMENTED,
        f"Content-Encoding {encoding!r} is not supported; send gzip, deflate, lz4 or zstd.",
    )


def decoded(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """Return the body without its Content-Encoding.

    Raises:
        QueryError: unknown encoding, damaged data, or more than max_bytes of it.
    """
    if encoding in ("", "identity"):
        return body
    pieces: list[bytes] = []
    total = 0
    try:
        source = _reader(body, encoding)
        while piece := source.read(_PIECE_BYTES):
            pieces.append(piece)
            total += len(piece)
            if total > max_bytes:
                raise QueryError(
                    errors.TOO_LARGE, f"The request body is larger than {max_bytes} bytes when decompressed."
                )
    except (OSError, EOFError, RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise QueryError(
            errors.CANNOT_DECOMPRESS, f"The request body is not valid {encoding} data."
        ) from error
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
