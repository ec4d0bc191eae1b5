"""Receivers of webhooks that behave as told: raw servers on loopback that count who connects."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from postloop.adapters.webhook_lookup import LookupFailedError
from postloop.domain.webhook.target import Address

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """What a server read of one request."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running server; what it saw."""

    port: int = 0
    connection_count: int = 0
    requests: list[Request] = field(default_factory=list)
    is_ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection has ended."""
    sent_bytes: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def read(self, reader: asyncio.StreamReader) -> Request:
        """Read one request; raises IncompleteReadError when there is none."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body)
        self.requests.append(request)
        return request

    def answering(self, *answers: bytes) -> Behaviour:
        """Answer the requests of each connection with these bytes, the last one again and again."""

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = 0
            while True:
                await self.read(reader)
                writer.write(answers[min(number, len(answers) - 1)])
                await writer.drain()
                number += 1

        return behave


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return a whole answer."""
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


@contextlib.asynccontextmanager
async def served(
    behave: Callable[[Receiver], Behaviour], *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Run a server for the time of a test; its connections end with it."""
    receiver = Receiver()
    behaviour = behave(receiver)
    tasks: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        receiver.connection_count += 1
        try:
            await behaviour(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            receiver.is_ended.set()
            tasks.discard(task)

    server = await asyncio.start_server(on_connection, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Names:
    """A name server: each lookup of any name takes the next answer, the last one again and again."""

    def __init__(self, *answers: Sequence[str] | LookupFailedError) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[Address]:
        self.asked.append(host)
        found = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if isinstance(found, LookupFailedError):
            raise found
        return [ip_address(text) for text in found]
