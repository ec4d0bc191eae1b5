"""A fast receiver in a process of its own, which notes what arrived when, and never answers where it is told to."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_HANGING: Final = b"/hang"
_COUNT, _TELL, _END = "count", "tell", "end"


class Arrival(NamedTuple):
    """One request.

    Attributes:
        path: Of the URL.
        event_id: Of the first event in the body.
        at: When it had arrived whole (Unix time).
    """

    path: str
    message_id: str
    event_id: str
    at: float


class Receiver:
    """The receiver as its parent process sees it."""

    def __init__(self, port: int, line: Connection) -> None:
        self._port = port
        self._line = line

    def url(self, path: str) -> str:
        """Return the URL of a path; one that begins with /hang gets no answer."""
        return f"http://127.0.0.1:{self._port}{path}"

    def count(self) -> int:
        """Return how many requests arrived so far."""
        self._line.send(_COUNT)
        return int(self._line.recv())

    def arrivals(self) -> list[Arrival]:
        """Return what arrived so far."""
        self._line.send(_TELL)
        found: list[Arrival] = self._line.recv()
        return found

    def end(self) -> None:
        """Stop the receiver."""
        self._line.send(_END)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_receive, args=(theirs,), daemon=True)
    process.start()
    try:
        receiver = Receiver(int(ours.recv()), ours)
        yield receiver
        receiver.end()
        process.join(5)
    finally:
        process.terminate()
        process.join()


def _receive(line: Connection) -> None:
    asyncio.run(_serve(line))


async def _serve(line: Connection) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    arrived: list[Arrival] = []
    server = await loop.create_server(lambda: _Connection(arrived), "127.0.0.1", 0)

    def answer() -> None:
        asked = line.recv()
        if asked == _COUNT:
            line.send(len(arrived))
        elif asked == _TELL:
            line.send(arrived)
        else:
            over.set()

    loop.add_reader(line.fileno(), answer)
    line.send(server.sockets[0].getsockname()[1])
    await over.wait()


class _Connection(asyncio.Protocol):
    """Answers a request when its headers and as many bytes as they announce are there."""

    def __init__(self, arrived: list[Arrival]) -> None:
        self._arrived = arrived
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            size = int(_after(head.lower(), b"content-length:"))
            if len(self._data) < end + 4 + size:
                return
            body, self._data = self._data[end + 4 : end + 4 + size], self._data[end + 4 + size :]
            path = head.split(b" ", 2)[1]
            self._arrived.append(
                Arrival(
                    path.decode(),
                    _after(head.lower(), b"webhook-id:").decode(),
                    _quoted_after(body, b'"event_id":"').decode(),
                    time.time(),
                )
            )
            if not path.startswith(_HANGING):
                self._transport.write(_ANSWER)


def _after(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0].strip()


def _quoted_after(body: bytes, name: bytes) -> bytes:
    return body.partition(name)[2].partition(b'"')[0]
