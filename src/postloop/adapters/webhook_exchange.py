"""One connection to a receiver: a request is written, its answer is read, and only then follows the next.

The parser is llhttp, which Node.js and aiohttp read answers with. What it leaves to its caller is here: how long a
line and how many headers may be, where an answer ends that only the end of the connection ends, and that nothing may
follow an answer. A connection on which something came unasked is never used again, so no answer is taken for that of
another request; decision 0012 says why this is not aiohttp's client.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

MAX_HEADER_COUNT: Final = 100
MAX_LINE_BYTES: Final = 8_190
MAX_RETRY_AFTER_CHARS: Final = 64


class BadAnswerError(Exception):
    """What came is no HTTP, asks for another protocol, or has headers that are too large."""


class ConnectionLostError(Exception):
    """The connection ended before the answer was whole."""


@dataclass(slots=True)
class Answer:
    """What is known of an answer, filled as it arrives: a deadline may cut it anywhere."""

    status: int = 0
    retry_after: str = ""
    body: bytearray = field(default_factory=bytearray)
    is_cut: bool = False


class AnswerReader:
    """Reads the answers that come over one connection, in whatever pieces they arrive.

    Attributes:
        is_over: The answer is whole, or as much of it as is kept.
        is_clean: And what came ended with it, and its sender keeps the connection open.

    Args:
        kept_bytes: Of the body of an answer; what comes after it is not read.
    """

    def __init__(self, *, kept_bytes: int) -> None:
        self._kept_bytes = kept_bytes
        self._parser = HttpResponseParser(self)
        # As aiohttp, for the sake of old servers: folded headers, lines without CR, blanks after the size of a chunk.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._part_count = self._header_count = 0
        self.begin(Answer())

    def begin(self, answer: Answer) -> None:
        """Read what comes next into another answer."""
        self._answer = answer
        self._unfinished_bytes = 0
        self._has_head = self._is_delimited = False
        self.is_over = self.is_clean = False

    def feed(self, data: bytes) -> None:
        """Take in what arrived.

        Raises:
            BadAnswerError: See there.
        """
        part_count = self._part_count
        try:
            # The last byte alone: the parser does not say how much it took, and an answer that is over before
            # its last byte has something behind it.
            self._parser.feed_data(data[:-1])
            if self.is_over:
                self.is_clean = False
                return
            self._parser.feed_data(data[-1:])
        except (HttpParserError, HttpParserUpgrade):
            if not self.is_over:
                raise BadAnswerError from None
            self.is_clean = False  # the answer is whole, and what follows it is not read
        if not self.is_over:
            # The parser keeps a line until it is whole; this bounds also what it keeps nothing of.
            self._unfinished_bytes = (
                self._unfinished_bytes + len(data) if part_count == self._part_count else 0
            )
            if self._unfinished_bytes > MAX_LINE_BYTES:
                raise BadAnswerError

    def feed_end(self) -> None:
        """Take in that nothing more comes.

        Raises:
            ConnectionLostError: The answer is not whole.
        """
        if not self.is_over and (not self._has_head or self._is_delimited):
            raise ConnectionLostError
        self.is_over = True

    # -- called by the parser ----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer begins: ours, one before it (100 to 199), or one too many."""
        self._part_count += 1
        self._header_count = 0
        self._is_delimited = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind the body."""
        self._part_count += 1
        self._header_count += 1
        if self._header_count > MAX_HEADER_COUNT or len(name) + len(value) > MAX_LINE_BYTES:
            raise BadAnswerError
        if self._has_head:
            return
        name = name.lower()
        if name == b"content-length":
            self._is_delimited = True
        elif (
            name == b"transfer-encoding"
        ):  # anything else but chunked at its end lasts until the connection ends
            self._is_delimited = value.rstrip().lower().endswith(b"chunked")
        elif name == b"retry-after" and not self._answer.retry_after:
            self._answer.retry_after = value.decode("latin-1").strip()[:MAX_RETRY_AFTER_CHARS]

    def on_headers_complete(self) -> None:
        """All headers are there."""
        status = self._parser.get_status_code()
        if self._has_head or status >= 200:
            self._answer.status = self._answer.status or status
            self._has_head = True
        elif (
            status < 100 or status == 101
        ):  # nothing that HTTP has, and another protocol that nobody asked for
            raise BadAnswerError
        else:
            self._answer.retry_after = ""

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._part_count += 1
        if self.is_over:
            return
        body = self._answer.body
        body += data
        if len(body) > self._kept_bytes:
            del body[self._kept_bytes :]
            self._answer.is_cut = self.is_over = True

    def on_message_complete(self) -> None:
        """An answer is whole."""
        if self._has_head and not self.is_over:
            self.is_over = True
            self.is_clean = self._parser.should_keep_alive()


class Connection(asyncio.Protocol):
    """A connection whose peer was judged.

    What is written waits in the transport where the receiver does not read: the body of a request at most, which is in
    memory anyway, and until the deadline.

    Attributes:
        is_open: Nothing ended it, and nothing came over it unasked.
        has_heard: A part of an answer to the last request came.
        opened_s: Monotonic.
        idle_since_s: Likewise; when the last answer was whole.
    """

    def __init__(self, *, kept_bytes: int) -> None:
        self._reader = AnswerReader(kept_bytes=kept_bytes)
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Exception | None] | None = None
        self._transport: asyncio.Transport | None = None
        self.is_open = False
        self.has_heard = False
        self.opened_s = self.idle_since_s = self._loop.time()

    @property
    def peer(self) -> str:
        """The address that it leads to. Raises ConnectionLostError where it was closed as soon as it was open."""
        address = self._transport.get_extra_info("peername") if self._transport else None
        if not address:
            raise ConnectionLostError
        return str(address[0])

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow."""
        transport = self._transport
        return (
            self.is_open
            and self._reader.is_clean
            and transport is not None
            and not transport.get_write_buffer_size()  # it was answered before it was read
        )

    async def exchange(self, request: bytes, answer: Answer, *, deadline_s: float) -> None:
        """Send a request and read its answer; whatever goes wrong ends the connection.

        Args:
            deadline_s: On the loop's clock.

        Raises:
            TimeoutError: The answer was not whole by then.
            BadAnswerError, ConnectionLostError: See there.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionLostError
        self._reader.begin(answer)
        self.has_heard = False
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline_s, self._end, TimeoutError())
        try:
            self._transport.write(request)
            failure = await waiter
            if failure is not None:
                raise failure
        except BaseException:
            self.abort()
            raise
        finally:
            timer.cancel()
            self._waiter = None
            self.idle_since_s = self._loop.time()

    def abort(self) -> None:
        """End it at once; who waits for an answer has lost the connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _end(self, failure: Exception | None = None) -> None:
        """Let go of who waits. What comes from now on comes unasked."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(failure)

    # -- called by the transport -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there, with TLS where it has TLS."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if self._waiter is None:
            self.abort()
            return
        self.has_heard = True
        try:
            self._reader.feed(data)
        except BadAnswerError as failure:
            self._end(failure)
        else:
            if self._reader.is_over:
                self._end()

    def eof_received(self) -> None:
        """The receiver sends no more; the transport closes itself."""
        self.is_open = False
        try:
            self._reader.feed_end()
        except ConnectionLostError as failure:
            self._end(failure)
        else:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.is_open = False
        self._end(ConnectionLostError())
