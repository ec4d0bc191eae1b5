"""A receiver of webhooks to try things with: it says what arrives, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from postloop.adapters.clock import utc_now
from postloop.adapters.health_server import WebServer
from postloop.client.webhooks import WebhookError, verify_webhook
from postloop.domain.webhook.signing import ID_HEADER

Misbehaviour = Literal["", "slow", "hang", "drip", "endless", "reset", "redirect", "410", "429", "500"]

SLOW_S: Final = 10.0
DRIP_S: Final = 1.0
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_CHUNK: Final = b"x" * 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request that arrived.

    Attributes:
        verdict: `verified`; `unchecked`, no secret is known; else why it was refused.
        event_type: From the body, empty where it is no event.
        attempt: The how-manieth request with this id.
        status: Answered; 0: no answer, or none that ends.
    """

    message_id: str
    verdict: str
    event_type: str
    attempt: int
    status: int
    body: bytes = field(repr=False)

    @property
    def is_refused(self) -> bool:
        return self.verdict not in ("verified", "unchecked")


Told = Callable[[Arrival], None]


class WebhookReceiver:
    """Listens on one address; each request is checked, told to `told` and answered.

    Args:
        port: 0 takes any free one.
        secrets: What requests may be signed with; empty: nothing is checked.
        misbehaviour: What is done instead of answering 204.
        slow_s: Seconds until the answer of `slow`.
        drip_s: Seconds between two bytes of `drip`.

    Raises:
        PortTakenError: Another process has the port.
    """

    def __init__(
        self,
        told: Told,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        secrets: Sequence[str] = (),
        misbehaviour: Misbehaviour = "",
        slow_s: float = SLOW_S,
        drip_s: float = DRIP_S,
    ) -> None:
        self._told = told
        self._secrets = tuple(secrets)
        self._misbehaviour: Misbehaviour = misbehaviour
        self._slow_s = slow_s
        self._drip_s = drip_s
        self._seen: dict[str, int] = {}
        self._answer = _ANSWERS[misbehaviour]
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/{path:.*}", self._receive)
        self._server = WebServer(application, host=host, port=port, setting="--port")

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def slow_s(self) -> float:
        return self._slow_s

    @property
    def drip_s(self) -> float:
        return self._drip_s

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self) -> None:
        """Free the port."""
        await self._server.stop()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        verdict = self._verdict(request, body)
        message_id = request.headers.get(ID_HEADER, "")
        attempt = self._seen.get(message_id, 0) + 1
        self._seen[message_id] = attempt
        is_refused = verdict not in ("verified", "unchecked")
        status = 400 if is_refused else _STATUS.get(self._misbehaviour, 204)
        self._told(
            Arrival(
                message_id=message_id,
                verdict=verdict,
                event_type=_event_type(body),
                attempt=attempt,
                status=status,
                body=body,
            )
        )
        return web.Response(status=400, text=verdict) if is_refused else await self._answer(self, request)

    def _verdict(self, request: web.Request, body: bytes) -> str:
        if not self._secrets:
            return "unchecked"
        try:
            verify_webhook(request.headers, body, self._secrets, now=utc_now())
        except WebhookError as error:
            return str(error)
        return "verified"


Answer = Callable[[WebhookReceiver, web.Request], Awaitable[web.StreamResponse]]


def _plain(status: int, **headers: str) -> Answer:
    async def answer(_: WebhookReceiver, __: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): v for name, v in headers.items()})

    return answer


async def _slow(receiver: WebhookReceiver, _: web.Request) -> web.StreamResponse:
    await asyncio.sleep(receiver.slow_s)
    return web.Response(status=204)


async def _hang(_: WebhookReceiver, request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response(status=204)


async def _drip(receiver: WebhookReceiver, request: web.Request) -> web.StreamResponse:
    """Answer with 200 and then a byte at a time, for ever."""
    return await _pour(request, b".", receiver.drip_s)


async def _endless(_: WebhookReceiver, request: web.Request) -> web.StreamResponse:
    return await _pour(request, _CHUNK, 0.0)


async def _pour(request: web.Request, chunk: bytes, pause_s: float) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(chunk)  # ends by an exception when the sender has had enough
        await asyncio.sleep(pause_s)


async def _reset(_: WebhookReceiver, request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=204)


_ANSWERS: Final[dict[Misbehaviour, Answer]] = {
    "": _plain(204),
    "slow": _slow,
    "hang": _hang,
    "drip": _drip,
    "endless": _endless,
    "reset": _reset,
    "redirect": _plain(302, Location="https://example.com/elsewhere"),
    "410": _plain(410),
    "429": _plain(429, Retry_After="30"),
    "500": _plain(500),
}
_STATUS: Final[dict[Misbehaviour, int]] = {
    "hang": 0,
    "drip": 200,
    "endless": 200,
    "reset": 0,
    "redirect": 302,
    "410": 410,
    "429": 429,
    "500": 500,
}


def _event_type(body: bytes) -> str:
    try:
        event: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    found = event.get("type") if isinstance(event, dict) else None
    return found if isinstance(found, str) else ""
