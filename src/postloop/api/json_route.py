"""Routes that take a JSON object: who asks is known before a byte of it is read, and a name stands in it once."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from postloop.api.caller import require_key
from postloop.api.problems import Problem
from postloop.contracts import json_text

_NO_ENCODING: Final = frozenset({"", "identity"})


class JsonRoute(APIRoute):
    """Use as `APIRouter(route_class=JsonRoute)` where routes take a model as their body.

    FastAPI reads and parses a body before it asks who sent it, and would tell a stranger that the body is no JSON.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_admitted(request: Request) -> Response:
            await require_key(request)
            require_plain(request)
            _require_json(request)
            return await handle(_Strict(request.scope, request.receive))

        return handle_admitted


class _Strict(Request):
    async def json(self) -> Any:
        """Return the body parsed.

        Raises:
            ValueError: It is no JSON.
            Problem: 422: a name stands twice in one object.
        """
        return json.loads(await self.body(), object_pairs_hook=_once)


def require_plain(request: Request) -> None:
    """Raise a Problem (415) for a body that is compressed."""
    said = request.headers.get("content-encoding", "").strip().lower()
    if said not in _NO_ENCODING:
        text = "A body with Content-Encoding is not read: send it as it is."
        raise Problem(415, "unsupported_media_type", text, headers={"Accept-Encoding": "identity"})


def _require_json(request: Request) -> None:
    """Raise a Problem (415) for a body that is said to be something else; nothing said is JSON."""
    said = request.headers.get("content-type")
    if said is None:
        return
    kind, _, subtype = said.partition(";")[0].strip().lower().partition("/")
    if kind != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise Problem(
            415,
            "unsupported_media_type",
            "The body must be JSON: send it with Content-Type: application/json.",
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if json_text.has_name_twice(pairs):
        wrong = {"field": "", "code": "repeated_field", "text": "a field stands in it twice"}
        raise Problem(422, "invalid_request", "A field stands in it twice.", errors=[wrong])
    return dict(pairs)
