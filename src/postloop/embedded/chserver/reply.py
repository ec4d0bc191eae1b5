"""Responses as ClickHouse writes them."""

import asyncio
import json
import secrets
import string
from typing import IO

from aiohttp import web

from postloop.embedded.chserver.engine import Result
from postloop.embedded.chserver.errors import REQUIRED_PASSWORD, TIMEOUT_EXCEEDED, TOO_LARGE, QueryError

DISPLAY_NAME = "postloop embedded"
_PIECE_BYTES = 1024 * 1024
_TAG_LENGTH = 16
_LETTERS = string.ascii_lowercase
# One round of the event loop reads, one tells the protocol, one spare.
_ROUNDS_TO_READ = 3
_TYPES = (
    ("JSON", "application/json; charset=UTF-8"),
    ("NDJSON", "application/x-ndjson; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("Pretty", "text/plain; charset=UTF-8"),
    ("Native", "application/octet-stream"),
    ("RowBinary", "application/octet-stream"),
    ("Arrow", "application/vnd.apache.arrow.stream"),
    ("Parquet", "application/octet-stream"),
)


class ClientGoneError(Exception):
    """Nobody waits for this answer."""


def is_gone(request: web.Request) -> bool:
    """Tell whether the client has closed its connection."""
    return request.transport is None or request.transport.is_closing()


async def is_gone_by_now(request: web.Request) -> bool:
    """Tell the same, after what has arrived from the network was read.

    A server that was paused finds a whole request and its client's good-bye behind it: the request would be run
    before the good-bye is read.
    """
    for _ in range(_ROUNDS_TO_READ):
        await asyncio.sleep(0)
    return is_gone(request)


def _content_type(output_format: str) -> str:
    return next(
        (kind for prefix, kind in _TYPES if output_format.startswith(prefix)), "text/plain; charset=UTF-8"
    )


def summary(result: Result, *, written: bool, elapsed_s: float) -> str:
    """Return the counts of a finished statement. All figures are strings, as in ClickHouse."""
    counts = {
        "read_rows": result.read_rows,
        "read_bytes": result.read_bytes,
        "written_rows": result.rows if written else 0,
        "written_bytes": result.input_bytes if written else 0,
        "total_rows_to_read": result.read_rows,
        "result_rows": 0 if written else result.rows,
        "result_bytes": len(result.output),
        "elapsed_ns": int(elapsed_s * 1e9),
    }
    return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":"))


def headers(
    *, query_id: str, timezone: str, output_format: str | None, encoding: str | None = None
) -> dict[str, str]:
    """Return the headers of every answer; output_format None means that no rows come back."""
    found = {
        "Content-Type": _content_type(output_format or "TabSeparated"),
        "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
        # A line break in the id must not become a header of its own.
        "X-ClickHouse-Query-Id": "".join(c for c in query_id if c.isprintable()),
        "X-ClickHouse-Timezone": timezone,
        "X-ClickHouse-Exception-Tag": _tag(),
    }
    if output_format is not None:
        found["X-ClickHouse-Format"] = output_format
    if encoding is not None:
        found["Content-Encoding"] = encoding
    return found


def _tag() -> str:
    """Return lower-case letters that no result can know."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in secrets.token_bytes(_TAG_LENGTH))


def failure(error: QueryError, *, version: str, found: dict[str, str]) -> web.Response:
    """Return an error answer."""
    found = {
        **found,
        "Content-Type": "text/plain; charset=UTF-8",
        "X-ClickHouse-Exception-Code": str(error.code),
    }
    if error.code == REQUIRED_PASSWORD:
        found["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    response = web.Response(status=error.status, body=error.body(version).encode(), headers=found)
    if error.code in (TOO_LARGE, TIMEOUT_EXCEEDED):
        # What is left of the body must not be read as the next request.
        response.force_close()
    return response


def broken_off(error: QueryError, *, version: str, tag: str) -> bytes:
    """Return what ends a result that failed after a part of it was sent (ClickHouse 25.11 and later)."""
    message = error.body(version).encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
        tag.encode(),
        message,
        len(message),
        tag.encode(),
    )


class Outlet:
    """One streamed answer. A client that reads nothing for too long is given up."""

    def __init__(self, request: web.Request, found: dict[str, str], *, send_timeout_s: float) -> None:
        self._request = request
        self._timeout_s = send_timeout_s
        self.tag = found["X-ClickHouse-Exception-Tag"]
        self.response = web.StreamResponse(headers=found)

    async def open(self, *, size: int | None = None) -> None:
        """Send the head of the answer."""
        if size is not None:
            self.response.content_length = size
        elif self._request.version >= (1, 1):
            self.response.enable_chunked_encoding()
        await self.response.prepare(self._request)

    async def send(self, piece: bytes) -> None:
        """Send a piece.

        Raises:
            ClientGoneError: the client went away, or takes nothing.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.response.write(piece)
        except (ConnectionError, TimeoutError) as error:
            self.cut()
            raise ClientGoneError from error

    async def send_file(self, source: IO[bytes]) -> None:
        """Send a whole result."""
        size = source.seek(0, 2)
        source.seek(0)
        await self.open(size=size)
        while piece := source.read(_PIECE_BYTES):
            await self.send(piece)

    def cut(self) -> None:
        """Close the connection without the end of the answer, so that no client takes it for whole."""
        if self._request.transport is not None:
            self._request.transport.close()
