"""No body is read beyond its limit, however it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postloop.api.problems import Problem, response

DEFAULT_BYTES: Final = 1_000_000


class BodyLimit:
    """Refuses with 413 what is larger than the limit of its path.

    Args:
        limits: Path -> bytes; other paths have DEFAULT_BYTES.
    """

    def __init__(self, app: ASGIApp, *, limits: Mapping[str, int]) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what it receives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limits.get(scope["path"], DEFAULT_BYTES)
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > limit:
            await response(413, "body_too_large", _text(limit))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise Problem(413, "body_too_large", _text(limit))
            return message

        await self._app(scope, counted, send)


def _text(limit: int) -> str:
    return f"The body has more than {limit:,} bytes."
